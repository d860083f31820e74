"""Domains of the register that are excused from mandatory TLS, for whoever keeps the register: made and taken back."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from starlette.responses import Response

from carepost.base.address import Domain
from carepost.base.clock import Clock
from carepost.base.errors import MailError, Malformed
from carepost.directory.access import Verb
from carepost.directory.tls_exceptions import TlsExceptions
from carepost.web.forms import Form
from carepost.web.sealing import SaidNote
from carepost.web.shell import Door, On, Visit

HERE = "/admin/secure-domains/exceptions"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionPages:
    exceptions: TlsExceptions
    clock: Clock

    def doors(self) -> list[Door]:
        return [
            _door("GET", "admin.exceptions", self.look),
            _door("POST", "admin.exceptions.settle", self.settle),
        ]

    async def look(self, visit: Visit) -> Response:
        return await self._show(visit, Form())

    async def settle(self, visit: Visit) -> Response:
        """Make one, or take one back, by the button that was pressed."""
        form, deed = visit.form, visit.form.text("do")
        name = form.require("domain", "Name the domain")
        reason = form.require("reason", "Say why: it is kept in the audit log")
        try:
            until = _until(form)
            if form.is_right:
                domain = Domain.parse(name)
                if deed == "end":
                    await self.exceptions.end(visit.me.actor, domain, reason=reason)
                    return visit.go(HERE, SaidNote(f"{domain} has to offer checked encryption again."))
                made = await self.exceptions.make(visit.me.actor, domain, reason=reason, until=until)
                return visit.go(HERE, SaidNote(f"{domain} is excused until {_day(made.until)}."))
        except MailError as error:
            form.wrong("domain", error.public)
        return await self._show(visit, form)

    async def _show(self, visit: Visit, form: Form) -> Response:
        now = self.clock.now()
        page = visit.page_again if form.errors else visit.page
        return page(
            "admin/exceptions.html",
            title="Excused from checked encryption",
            form=form,
            exceptions=[
                {
                    "domain": one.domain.name,
                    "reason": one.reason,
                    "until": _day(one.until),
                    "ended": one.until <= now,
                }
                for one in await self.exceptions.all()
            ],
            usual=self.exceptions.policy.usual.days,
            longest=self.exceptions.policy.longest.days,
        )


def _until(form: Form) -> datetime | None:
    """The end of the day that was given. Raises Malformed."""
    given = form.text("until")
    if not given:
        return None
    try:
        day = date.fromisoformat(given)
    except ValueError as error:
        raise Malformed("Give the day as year, month and day: 2026-12-31.") from error
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


def _day(at: datetime) -> str:
    return f"{at.day} {at:%B %Y}"


def _door(method: str, name: str, enter: Callable[[Visit], Awaitable[Response]]) -> Door:
    return Door(path=HERE, method=method, name=name, enter=enter, verb=Verb.SECURE_DOMAIN_EDIT, on=On.ORGANISATION)
