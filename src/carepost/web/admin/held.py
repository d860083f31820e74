"""Mail of our own people that is held, for who may review it: what waits, one message, and what should happen to it.

The content is never shown: reviewers judge by sender, recipients and what was found (R41).
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from starlette.responses import Response

from carepost.audit.model import Actor
from carepost.base.errors import MailError, Malformed
from carepost.base.ids import OrganisationId, OutgoingId
from carepost.directory.access import OnOrganisation, Verb, is_allowed
from carepost.gateway.deck import shipped_outbound
from carepost.gateway.out.held import HeldOutgoing, HeldOutgoingPage
from carepost.web.forms import Form
from carepost.web.mail import pages
from carepost.web.sealing import SaidNote
from carepost.web.shell import Door, On, Visit
from carepost.web.words import long_time

HERE = "/admin/held"
LINES_SHOWN = 50


class HeldDesk(Protocol):
    """`HeldMail`: every verb asks whether the actor may."""

    async def page(
        self, actor: Actor, organisation: OrganisationId, *, after: OutgoingId | None = None, limit: int = 50
    ) -> HeldOutgoingPage: ...

    async def get(self, actor: Actor, organisation: OrganisationId, outgoing: OutgoingId) -> HeldOutgoing: ...

    async def let_go(
        self, actor: Actor, organisation: OrganisationId, outgoing: OutgoingId, *, reason: str, by_link: bool = False
    ) -> int: ...

    async def refuse(self, actor: Actor, organisation: OrganisationId, outgoing: OutgoingId, *, reason: str) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldMailPages:
    mail: HeldDesk

    def doors(self) -> list[Door]:
        one = f"{HERE}/{{outgoing:int}}"
        return [
            _door(HERE, "GET", "admin.held", Verb.QUARANTINE_REVIEW, self.look),
            _door(one, "GET", "admin.held.one", Verb.QUARANTINE_REVIEW, self.look_at_one),
            _door(one, "POST", "admin.held.settle", Verb.QUARANTINE_RELEASE, self.settle),
        ]

    async def look(self, visit: Visit) -> Response:
        me, after = visit.me, visit.query("after")
        key = OutgoingId(int(after)) if after.isascii() and after.isdigit() and len(after) <= 18 else None
        page = await self.mail.page(me.actor, me.organisation, after=key, limit=LINES_SHOWN)
        return visit.page(
            "admin/held.html",
            title="Held on the way out",
            held=[_shown(visit, one) for one in page.held],
            later=f"{HERE}?after={page.next_key}" if page.next_key is not None else "",
            earlier=HERE if key is not None else "",
        )

    async def look_at_one(self, visit: Visit) -> Response:
        return await self._show(visit, Form())

    async def settle(self, visit: Visit) -> Response:
        """Let go, send by link or refuse, by the button that was pressed."""
        me, form, outgoing = visit.me, visit.form, OutgoingId(visit.number("outgoing"))
        reason, deed = form.require("reason", "Say why: it is kept with the record of what you do"), form.text("do")
        if not form.is_right:
            return await self._show(visit, form)
        try:
            match deed:
                case "let-go" | "link":
                    by_link = deed == "link"
                    count = await self.mail.let_go(me.actor, me.organisation, outgoing, reason=reason, by_link=by_link)
                    says = f"Let go for {_people(count)}. The sender has been told."
                case "refuse":
                    count = await self.mail.refuse(me.actor, me.organisation, outgoing, reason=reason)
                    says = f"Refused for {_people(count)}. The sender has been told why."
                case _:
                    raise Malformed("The page did not say what to do.")
        except MailError as error:
            form.wrong("reason", error.public)
            return await self._show(visit, form)
        return visit.go(HERE, SaidNote(says))

    async def _show(self, visit: Visit, form: Form) -> Response:
        me = visit.me
        held = await self.mail.get(me.actor, me.organisation, OutgoingId(visit.number("outgoing")))
        page = visit.page_again if form.errors else visit.page
        may = is_allowed(me.rights, Verb.QUARANTINE_RELEASE, OnOrganisation(me.organisation))
        return page(
            "admin/held_one.html",
            title="A message held on the way out",
            form=form,
            held=_shown(visit, held),
            may_settle=may and bool(held.held),
        )


def _shown(visit: Visit, one: HeldOutgoing) -> Mapping[str, object]:
    zone = visit.house.policy.zone
    cards = [card for card in dict.fromkeys(who.card for who in one.held) if card]
    deck = shipped_outbound()
    titles = [found.title if (found := deck.card(card)) is not None else card for card in cards]
    return {
        "href": f"{HERE}/{one.id}",
        "sender": one.sender,
        "person": one.person if one.person and one.person != one.sender else "",
        "recipients": [str(who.address) for who in one.held],
        "others": one.others,
        "reasons": titles or ["Held for a person to look at"],
        "says": list(dict.fromkeys(who.says for who in one.held if who.says)),
        "found": one.found,
        "since": long_time(one.since.astimezone(zone)),
        "sent": long_time(one.submitted_at.astimezone(zone)),
        "size": pages.size_words(one.size),
        "trace": one.trace,
        "is_held": bool(one.held),
    }


def _people(count: int) -> str:
    return "one recipient" if count == 1 else f"{count} recipients"


def _door(path: str, method: str, name: str, verb: Verb, enter: Callable[[Visit], Awaitable[Response]]) -> Door:
    return Door(path=path, method=method, name=name, enter=enter, verb=verb, on=On.ORGANISATION)
