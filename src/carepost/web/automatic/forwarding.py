"""Forwarding: asked for on the page of a mailbox, allowed on the page of its organisation's administrators. R162."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from starlette.responses import Response

from carepost.base.address import EmailAddress
from carepost.base.errors import MailError, Malformed
from carepost.directory.access import Verb
from carepost.directory.forwarding import Forwarding, Forwardings, ForwardingState
from carepost.directory.service import Directory
from carepost.web.forms import Form
from carepost.web.sealing import SaidNote
from carepost.web.shell import Door, On, Visit

_PATH = "/mailbox/{mailbox:int}/forwarding"
_ADMIN = "/admin/forwarding"
LINES_SHOWN = 50
_STATES = {
    ForwardingState.ASKED: "waits for an administrator",
    ForwardingState.ALLOWED: "in force",
    ForwardingState.REFUSED: "refused",
    ForwardingState.ENDED: "ended",
    ForwardingState.STOPPED: "stopped by the service",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardingPages:
    forwardings: Forwardings
    directory: Directory

    def doors(self) -> list[Door]:
        verb, on = Verb.MAILBOX_FORWARD, On.MAILBOX
        allow, of = Verb.FORWARDING_ALLOW, On.ORGANISATION
        return [
            Door(path=_PATH, method="GET", name="forwarding", enter=self.look, verb=verb, on=on),
            Door(path=_PATH, method="POST", name="forwarding.change", enter=self.change, verb=verb, on=on),
            Door(path=_ADMIN, method="GET", name="admin.forwarding", enter=self.waiting, verb=allow, on=of),
            Door(path=_ADMIN, method="POST", name="admin.forwarding.decide", enter=self.decide, verb=allow, on=of),
        ]

    # --- its people ---------------------------------------------------------------------------------------------------

    async def look(self, visit: Visit) -> Response:
        return await self._show(visit, Form())

    async def change(self, visit: Visit) -> Response:
        form, mailbox = visit.form, visit.mailbox().mailbox
        try:
            if form.text("do") == "end":
                await self.forwardings.end(visit.me.actor, mailbox, form.number("which") or 0)
                says = "The forwarding has ended. Mail stays in this mailbox."
            else:
                address = _typed(form.require("address", "Type the address that mail shall be forwarded to"))
                reason = form.require("reason", "Say what it is for: an administrator has to decide")
                if not form.is_right or address is None:
                    return await self._show(visit, form)
                await self.forwardings.ask(visit.me.actor, mailbox, address, reason=reason)
                says = "Asked for. Nothing is forwarded until an administrator has allowed it."
        except MailError as error:
            form.wrong("address", error.public)
            return await self._show(visit, form)
        return visit.go(f"/mailbox/{mailbox.id}/forwarding", SaidNote(says))

    async def _show(self, visit: Visit, form: Form) -> Response:
        mailbox = visit.mailbox().mailbox
        found = await self.forwardings.of_mailbox(visit.me.actor, mailbox)
        page = visit.page_again if form.errors else visit.page
        return page(
            "automatic/forwarding.html",
            title="Forwarding",
            form=form,
            mailbox=mailbox,
            standing=next((_line(visit, one) for one in found if one.is_open), None),
            past=[_line(visit, one) for one in found if not one.is_open],
        )

    # --- administrators -----------------------------------------------------------------------------------------------

    async def waiting(self, visit: Visit) -> Response:
        return await self._list(visit, Form())

    async def decide(self, visit: Visit) -> Response:
        form, me = visit.form, visit.me
        number = form.number("which") or 0
        try:
            if form.text("do") == "allow":
                await self.forwardings.allow(me.actor, me.organisation, number)
                says = "Allowed. Mail is forwarded from now on."
            else:
                await self.forwardings.refuse(me.actor, me.organisation, number, reason=form.text("reason"))
                says = "Done. Nothing is forwarded."
        except MailError as error:
            form.wrong(f"reason-{number}", error.public)
            return await self._list(visit, form)
        return visit.go(_ADMIN, SaidNote(says))

    async def _list(self, visit: Visit, form: Form) -> Response:
        me, asked = visit.me, visit.query("after")
        after = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 18 else 0
        found = await self.forwardings.open(me.actor, me.organisation, after=after, limit=LINES_SHOWN + 1)
        lines = []
        for one in found[:LINES_SHOWN]:
            mailbox = await self.directory.mailbox(me.organisation, one.mailbox)
            whose = mailbox.display_name if mailbox else "a mailbox that is gone"
            lines.append({**_line(visit, one), "whose": whose, "asked": one.state is ForwardingState.ASKED})
        page = visit.page_again if form.errors else visit.page
        return page(
            "automatic/forwardings.html",
            title="Forwarding",
            form=form,
            lines=lines,
            after=after,
            next_after=found[LINES_SHOWN - 1].id if len(found) > LINES_SHOWN else 0,
        )


def _line(visit: Visit, one: Forwarding) -> Mapping[str, object]:
    def day(at: datetime | None) -> str:
        if at is None:
            return ""
        here = at.astimezone(visit.house.policy.zone)
        return f"{here.day} {here:%B %Y}"

    return {
        "id": one.id,
        "address": str(one.address),
        "state": _STATES[one.state],
        "reason": one.reason,
        "because": one.because,
        "asked_on": day(one.asked_at),
        "until": day(one.expires_at),
        "ended_on": day(one.ended_at),
    }


def _typed(text: str) -> EmailAddress | None:
    if not text:
        return None
    try:
        return EmailAddress.parse(text)
    except Malformed as error:
        raise Malformed(f"“{text[:100]}” is not an email address.") from error
