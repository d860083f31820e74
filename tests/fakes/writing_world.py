"""The whole house with the real walk of mail out behind its pages: only the queue and the portal are stand-ins."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from tests.fakes.gateway import FakeScanner
from tests.fakes.outgoing_world import FakeLinks, FakeQueue
from tests.fakes.web_world import WebWorld

from carepost.app.mail_out import MailOutRooms, mail_out_rooms
from carepost.delivery.dispatch import Dispatch
from carepost.infra.settings import MailOut, Settings
from carepost.store.objects import open_body
from carepost.web.mail.rooms import MailRooms
from carepost.web.writing.rooms import WritingRooms


class WritingWorld(WebWorld):
    """`out` is what the pages and the worker have; nothing is let go until a test says `out.release.run_due()`."""

    out: MailOutRooms

    def writing_rooms(self, mail: MailRooms) -> WritingRooms:
        # Journeys send more in one of the world's minutes than a person could.
        settings = Settings(mail_out=MailOut(messages_a_minute=1_000))
        areas: Any = SimpleNamespace(
            settings=settings,
            db=self.db,
            clock=self.clock,
            audit=self.audit,
            edge=self.edge,
            directory=SimpleNamespace(look=self.directory),
            store=SimpleNamespace(keys=self.keys, messages=self.messages),
        )
        self.queue, self.links = FakeQueue(), FakeLinks()
        self.out = mail_out_rooms(areas, queue=self.queue, links=self.links, makes_scanner=lambda _: FakeScanner())
        return replace(
            super().writing_rooms(mail),
            outbound=self.out.outbound,
            look=self.out.view,
            suggestions=self.out.correspondents,
        )

    async def later(self, seconds: float = 60) -> int:
        """The worker's turn, when everything that waits is due."""
        self.clock.advance(timedelta(seconds=seconds))
        return await self.out.release.run_due()

    async def sent_bytes(self, dispatch: Dispatch) -> bytes:
        """What the queue was given, opened with the key that it was given."""
        async with self.db.transaction(dispatch.organisation) as tx:
            row = await tx.one(
                "SELECT sealed, digest FROM object WHERE organisation_id = %(o)s AND id = %(i)s",
                {"o": dispatch.organisation, "i": dispatch.object},
            )
        return open_body(dispatch.key, dispatch.organisation, dispatch.object, row["sealed"], row["digest"])
