"""Quarantine, for those who may review it: what waits, one held message, its release or deletion with a reason.

A body is never shown: reviewers judge by sender, recipients and what was found (R41).
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from starlette.responses import Response

from carepost.base.errors import MailError
from carepost.base.ids import HeldId
from carepost.directory.access import OnOrganisation, Verb, is_allowed
from carepost.gateway.explain import explain
from carepost.gateway.quarantine import Held
from carepost.web.forms import Form
from carepost.web.mail import pages
from carepost.web.mail.rooms import MailRooms
from carepost.web.sealing import SaidNote
from carepost.web.shell import Visit
from carepost.web.words import long_time


async def show_all(rooms: MailRooms, visit: Visit) -> Response:
    me, policy = visit.me, visit.house.policy
    page = await rooms.quarantine.page(
        me.actor, me.organisation, before=_key(visit.query("before")), limit=policy.held_lines
    )
    older = ""
    if page.next_key is not None:
        older = pages.with_query("/quarantine", before=pages.key_words(page.next_key))
    held = [_shown(rooms, visit, one) for one in page.held]
    return visit.page("mail/quarantine.html", title="Quarantine", held=held, older=older, newer=visit.query("before"))


async def show_one(rooms: MailRooms, visit: Visit, form: Form | None = None) -> Response:
    me = visit.me
    held = await rooms.quarantine.get(me.actor, me.organisation, HeldId(visit.number("held")))
    page = visit.page_again if form else visit.page
    return page(
        "mail/held.html",
        title="A held message",
        form=form or Form(),
        held=_shown(rooms, visit, held),
        story=explain(held.record, rooms.deck),
        may_release=held.state == "held"
        and is_allowed(me.rights, Verb.QUARANTINE_RELEASE, OnOrganisation(me.organisation)),
    )


async def settle(rooms: MailRooms, visit: Visit) -> Response:
    """Release or delete, by the button that was pressed."""
    me, held = visit.me, HeldId(visit.number("held"))
    reason = visit.form.require("reason", "Say why: it is kept with the record of what you do")
    if not visit.form.is_right:
        return await show_one(rooms, visit, visit.form)
    try:
        if visit.form.text("do") == "release":
            boxes = await rooms.quarantine.release(me.actor, me.organisation, held, reason=reason)
            says = f"Released to {len(boxes)} mailbox{'' if len(boxes) == 1 else 'es'}."
        else:
            await rooms.quarantine.delete(me.actor, me.organisation, held, reason=reason)
            says = "Deleted. Nobody can read it any more."
    except MailError as error:
        visit.form.wrong("reason", error.public)
        return await show_one(rooms, visit, visit.form)
    return visit.go("/quarantine", SaidNote(says))


def _shown(rooms: MailRooms, visit: Visit, held: Held) -> Mapping[str, object]:
    zone, details = visit.house.policy.zone, held.details
    card = rooms.deck.card(held.card)
    return {
        "id": held.id,
        "href": f"/quarantine/{held.id}",
        "sender": ", ".join(details.authors) or details.sender or "No sender",
        "envelope": details.sender or "none (a report)",
        "recipients": ", ".join(one.address for one in details.recipients),
        "reason": card.title if card else held.card,
        "unsure": held.unsure,
        "risk": held.risk,
        "state": held.state,
        "trace": held.trace,
        "size": pages.size_words(held.size),
        "at": long_time(held.held_at.astimezone(zone)),
        "expires": long_time(held.expires_at.astimezone(zone)),
    }


def _key(text: str) -> tuple[datetime, HeldId] | None:
    at, dash, number = text.partition("-")
    if not (dash and at.isascii() and at.isdigit() and number.isascii() and number.isdigit() and len(text) < 34):
        return None
    try:
        return datetime.fromtimestamp(int(at) / 1_000_000, tz=UTC), HeldId(int(number))
    except (OverflowError, ValueError, OSError):
        return None
