"""Whom a mailbox writes to, for its holder and members: who is a patient, whose address was checked and how, who has
agreed to plain email, and who is not to be suggested any more (R150, R151, R178).

Every change is recorded with who made it. Addresses come from the mailbox's own list, or are typed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from starlette.responses import Response

from carepost.base.address import EmailAddress
from carepost.base.clock import Clock
from carepost.base.errors import MailError, Malformed
from carepost.directory.access import Verb
from carepost.directory.correspondents import Correspondents
from carepost.directory.correspondents_model import Correspondent, HowVerified, Known
from carepost.directory.model import MailboxRecord
from carepost.web.forms import Form
from carepost.web.sealing import SaidNote
from carepost.web.shell import Door, On, Visit
from carepost.web.writing.ports import SecureDesk
from carepost.web.writing.secure import ask_first

LINES_SHOWN = 50
_BY_HAND = tuple(how for how in HowVerified if how is not HowVerified.BY_LINK)
_PATH = "/people/{mailbox:int}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrespondentPages:
    correspondents: Correspondents
    clock: Clock
    links: SecureDesk | None = None  # None where there is no portal

    def doors(self) -> list[Door]:
        return [
            Door(path=_PATH, method="GET", name="people", enter=self.look, verb=Verb.MAILBOX_SEND, on=On.MAILBOX),
            Door(path=_PATH, method="POST", name="people.note", enter=self.note, verb=Verb.MAILBOX_SEND, on=On.MAILBOX),
        ]

    async def look(self, visit: Visit) -> Response:
        return await self._show(visit, Form())

    async def note(self, visit: Visit) -> Response:
        """One button of one line, or of the form below for an address that is typed."""
        form, mailbox = visit.form, visit.mailbox().mailbox
        typed = form.require("address", "Type an email address")
        if not form.is_right:
            return await self._show(visit, form)
        if (address := _typed(typed)) is None:
            form.wrong("address", f"“{typed[:100]}” is not an email address")
            return await self._show(visit, form)
        try:
            says = await self._do(visit, mailbox, address)
        except MailError as error:
            form.wrong("address", error.public)
            return await self._show(visit, form)
        # Back to the list as it was; after somebody new, to them.
        search = form.text("stay") if "stay" in form.values else typed
        return visit.go(f"/people/{mailbox.id}" + (f"?search={quote(search)}" if search else ""), SaidNote(says))

    async def _do(self, visit: Visit, mailbox: MailboxRecord, address: EmailAddress) -> str:
        actor, what = visit.me.actor, visit.form.text("do")
        if what == "forget":
            await self.correspondents.forget(actor, mailbox, address)
            return f"{address} is not suggested any more."
        if what in ("patient", "no-patient"):
            await self.correspondents.flag_patient(actor, mailbox, address, patient=what == "patient")
            return f"{address} is {'noted as a patient' if what == 'patient' else 'not noted as a patient any more'}."
        if what in ("agreed", "not-agreed"):
            await self.correspondents.note_consent(actor, mailbox, address, agreed=what == "agreed")
            return f"{address} {'has agreed' if what == 'agreed' else 'does not agree any more'} to plain email."
        if what == "ask-first" and self.links is not None:
            return await ask_first(self.links, visit, address)
        how = next((how for how in _BY_HAND if how.value == what), None)
        if how is None:
            raise Malformed("Choose what to note.")
        await self.correspondents.note_verified(actor, mailbox, address, how)
        return f"{address} was checked today, {how.value}."

    async def _show(self, visit: Visit, form: Form) -> Response:
        mailbox, search = visit.mailbox().mailbox, visit.query("search")[:200].strip().lower()
        everybody = [one for one in await self.correspondents.acquaintances(mailbox) if _fits(one, search)]
        pages = max(1, -(-len(everybody) // LINES_SHOWN))
        asked = visit.query("page")
        number = min(max(1, int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 7 else 1), pages)
        shown = everybody[(number - 1) * LINES_SHOWN : number * LINES_SHOWN]
        if not shown and (typed := _typed(search)) is not None:
            shown = [Correspondent(address=typed, name="", times=0, last_at=None)]
        known = await self.correspondents.known(mailbox, [one.address for one in shown])
        page = visit.page_again if form.errors else visit.page
        return page(
            "writing/people.html",
            title="People this mailbox writes to",
            form=form,
            mailbox=mailbox,
            search=search,
            people=[self._line(visit, one, known[one.address.key]) for one in shown],
            total=len(everybody),
            number=number,
            pages=pages,
            ways=[how.value for how in _BY_HAND],
            may_ask=self.links is not None,
        )

    def _line(self, visit: Visit, one: Correspondent, known: Known) -> Mapping[str, object]:
        zone, checked = visit.house.policy.zone, ""
        if known.verified_at is not None and known.verified_how is not None:
            at = known.verified_at.astimezone(zone)
            checked = f"checked {known.verified_how.value} on {at.day} {at:%B %Y}"
        return {
            "address": str(one.address),
            "name": one.name,
            "times": known.times,
            "patient": known.patient,
            "agreed": known.consent_plain,
            "checked": checked,
            "denied": known.denied,
            "check_again": bool(checked) and not known.is_verified(self.clock.now(), self.correspondents.policy),
        }


def _fits(one: Correspondent, search: str) -> bool:
    return search in one.name.lower() or search in one.address.key


def _typed(search: str) -> EmailAddress | None:
    try:
        return EmailAddress.parse(search)
    except Malformed:
        return None
