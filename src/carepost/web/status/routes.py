"""Pages for everybody: help, accessibility, is the service up; and the two addresses that machines ask."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import PlainTextResponse, Response

from carepost.base.errors import MailError
from carepost.directory.model import MailboxRecord
from carepost.directory.service import Directory
from carepost.web.shell import Door, Enter, On, Visit


@dataclass(frozen=True, slots=True)
class PublicPages:
    """`is_ready` says whether the database answers."""

    is_ready: Callable[[], Awaitable[bool]]
    directory: Directory

    def doors(self) -> list[Door]:
        return [
            _anyone("/help", "help", self.help),
            _anyone("/accessibility", "accessibility", self.accessibility),
            _anyone("/status", "status", self.status),
            _anyone("/livez", "livez", self.live),
            _anyone("/readyz", "readyz", self.ready),
        ]

    async def help(self, visit: Visit) -> Response:
        """Whom to ask: one's own local administrators first, then the service desk (R42, R214)."""
        administrators: list[MailboxRecord] = []
        if visit.visitor is not None:
            administrators = await self.directory.administrators(visit.visitor.organisation)
        return visit.page("public/help.html", title="Help", administrators=administrators)

    async def accessibility(self, visit: Visit) -> Response:
        return visit.page("public/accessibility.html", title="Accessibility")

    async def status(self, visit: Visit) -> Response:
        return visit.page("public/status.html", title="Service status", up=await self._ready())

    async def live(self, _visit: Visit) -> Response:
        """This process answers."""
        return PlainTextResponse("alive\n")

    async def ready(self, _visit: Visit) -> Response:
        """This process can do its work."""
        if await self._ready():
            return PlainTextResponse("ready\n")
        return PlainTextResponse("not ready: the database does not answer\n", status_code=503)

    async def _ready(self) -> bool:
        try:
            return await self.is_ready()
        except MailError:
            return False


def _anyone(path: str, name: str, enter: Enter) -> Door:
    return Door(path=path, method="GET", name=name, enter=enter, verb=None, on=On.NOBODY)
