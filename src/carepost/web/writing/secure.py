"""The sender's side of secure messages: who opened and saved what; more time; access; asking somebody to write.

Promises
    Only who may look at what the mailbox sends sees this, and every verb asks again.
    Nothing here shows the link itself: whoever has it is asked to prove who they are, but it is not ours to spread.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from starlette.responses import Response

from carepost.base.address import EmailAddress
from carepost.base.errors import MailError, Malformed
from carepost.base.ids import OutgoingId
from carepost.portal.model import AccessRequest, AccessRequestId, Kind, RecipientRecord, SecureMessageId, State, What
from carepost.web.sealing import SaidNote
from carepost.web.shell import Visit
from carepost.web.words import long_time
from carepost.web.writing.ports import SecureDesk
from carepost.web.writing.rooms import WritingRooms

EXTENDED_BY = timedelta(days=28)  # R122: as long as it had at first
_TOLD = (
    (What.NOTICED, "Notice taken by their mail system"),
    (What.OPENED, "Proved who they are"),
    (What.READ, "Read"),
    (What.DOWNLOADED, "Saved a file"),
    (What.REPLIED, "Answered"),
    (What.FROZEN, "Shut for a day: too many wrong codes"),
)
_STATES = {State.OPEN: "Can be read", State.REVOKED: "Taken back", State.EXPIRED: "Its time is over"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLine:
    seq: int
    address: str
    state: str
    until: str
    happened: tuple[tuple[str, str], ...]
    is_open: bool


def link_line(record: RecipientRecord, *, zone: tzinfo) -> LinkLine:
    happened = [(words, record.first(what)) for what, words in _TOLD]
    return LinkLine(
        seq=record.seq,
        address=record.address,
        state=_STATES[record.state],
        until=long_time(record.expires_at.astimezone(zone)),
        happened=tuple((words, long_time(at.astimezone(zone))) for words, at in happened if at is not None),
        is_open=record.state is State.OPEN,
    )


async def show(rooms: WritingRooms, visit: Visit) -> Response:
    """Each recipient's link, and who asks for access."""
    outgoing, organisation = _id(visit), visit.me.organisation
    row = await rooms.look.get(visit.me.actor, outgoing)  # asks whether they may
    zone = visit.house.policy.zone
    records = await rooms.links.record(organisation, outgoing)
    waiting = [one for one in await rooms.links.requests(organisation, outgoing) if one.state == "waiting"]
    return visit.page(
        "writing/secure.html",
        title="Secure links",
        back=f"/outgoing/{outgoing}",
        act=f"/outgoing/{outgoing}/secure",
        subject=row.subject or "No subject",
        links=[link_line(one, zone=zone) for one in records],
        requests=[(_name(one), one, long_time(one.asked_at.astimezone(zone))) for one in waiting],
        days=EXTENDED_BY.days,
    )


async def settle(rooms: WritingRooms, visit: Visit) -> Response:
    """More time for one link; yes or no to somebody who asks."""
    outgoing, organisation, actor = _id(visit), visit.me.organisation, visit.me.actor
    await rooms.look.get(actor, outgoing)
    deed, _, what = visit.form.text("do").partition("-")
    if deed == "extend":
        records = await rooms.links.record(organisation, outgoing)
        until = _longer(records, what, rooms.mail.clock.now())
        await rooms.links.extend(actor, organisation, outgoing, int(what), until=until)
        said = f"It can be read until {long_time(until.astimezone(visit.house.policy.zone))}."
    elif deed in {"yes", "no"}:
        message, request = _asked(await rooms.links.requests(organisation, outgoing), what)
        await rooms.links.settle(actor, organisation, message, request, approve=deed == "yes")
        said = "They have been sent a link of their own." if deed == "yes" else "They cannot read it."
    else:
        raise Malformed("The page did not say what to do.")
    return visit.go(f"/outgoing/{outgoing}/secure", SaidNote(said))


async def ask(rooms: WritingRooms, visit: Visit) -> Response:  # noqa: ARG001 - as every page is called
    """The page that asks an outsider to write first, by a secure page."""
    return _asking(visit)


async def invite(rooms: WritingRooms, visit: Visit) -> Response:
    access, form = visit.mailbox(), visit.form
    try:
        address = EmailAddress.parse(form.require("address", "Type the email address of whom you want to ask."))
    except Malformed:
        if form.is_right:
            form.wrong("address", "This is not an email address. Check it.")
        return _asking(visit)
    try:
        await rooms.links.invite(
            visit.me.actor,
            access,
            address,
            sender_name=visit.me.name,
            organisation_name=visit.me.organisation_name,
        )
    except MailError as error:
        form.wrong("address", error.public)
        return _asking(visit)
    return visit.go(
        f"/invite/{access.mailbox.id}", SaidNote(f"{address} has been sent a link to write to you securely.")
    )


async def ask_first(links: SecureDesk, visit: Visit, address: EmailAddress) -> str:
    """Is this you? A link without content goes to them; what to say of it. Raises NotPossible. R130."""
    await links.invite(
        visit.me.actor,
        visit.mailbox(),
        address,
        sender_name=visit.me.name,
        organisation_name=visit.me.organisation_name,
        kind=Kind.CONFIRMATION,
    )
    return f"{address} has been asked whether this is them. You get a letter when they have answered."


def _asking(visit: Visit) -> Response:
    mailbox = visit.mailbox().mailbox
    page = visit.page if visit.form.is_right else visit.page_again
    return page(
        "writing/invite.html",
        title="Ask somebody to write securely",
        back=f"/mail/{mailbox.id}",
        act=f"/invite/{mailbox.id}",
        mailbox_name=mailbox.display_name,
        form=visit.form,
    )


def _id(visit: Visit) -> OutgoingId:
    return OutgoingId(visit.number("outgoing"))


def _name(request: AccessRequest) -> str:
    return f"{request.name} <{request.address}>" if request.name else request.address


def _longer(records: Sequence[RecipientRecord], seq: str, now: datetime) -> datetime:
    for one in records:
        if str(one.seq) == seq and one.state is State.OPEN:
            return max(one.expires_at, now) + EXTENDED_BY
    raise Malformed("There is no such link, or it can no longer be read.")


def _asked(requests: Sequence[AccessRequest], number: str) -> tuple[SecureMessageId, AccessRequestId]:
    for one in requests:
        if str(one.id) == number:
            return one.message, one.id
    raise Malformed("There is no such request.")
