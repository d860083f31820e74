"""The pages of mail that goes out: where each message stands for each recipient, and what can still be done about it.

Promises
    What was not delivered stands on a tray of its own until somebody takes it off (R165).
    Taking back says for each recipient what it came to; nothing is claimed that did not happen (R148).
"""

from collections.abc import Sequence

from starlette.responses import Response

from carepost.base.address import EmailAddress
from carepost.base.errors import Malformed, NotPossible
from carepost.base.ids import FolderId, OutgoingId, Uid
from carepost.gateway.out.outgoing import NeedsAnswers, OutgoingRow, RecallReport
from carepost.web.sealing import SaidNote
from carepost.web.shell import Visit
from carepost.web.words import long_time
from carepost.web.writing.files import of_outgoing
from carepost.web.writing.pages import outgoing_line, outgoing_view
from carepost.web.writing.recalling import as_csv, packed
from carepost.web.writing.rooms import WritingRooms
from carepost.web.writing.sending import answers, chosen

_FILE = {"content-type": "text/csv; charset=utf-8", "cache-control": "no-store"}


async def show_all(rooms: WritingRooms, visit: Visit) -> Response:
    """Everything that the mailbox sends or sent, newest first."""
    mailbox = visit.mailbox().mailbox
    after = visit.query("after")
    key = OutgoingId(int(after)) if after.isascii() and after.isdigit() and len(after) <= 18 else None
    page = await rooms.look.page(visit.me.actor, mailbox.id, after=key, limit=rooms.policy.outgoing_lines)
    tray = await rooms.look.not_delivered(visit.me.actor, mailbox.id) if key is None else []
    zone, at = visit.house.policy.zone, f"/sent/{mailbox.id}"
    return visit.page(
        "writing/outgoing_list.html",
        title="Sent and on its way",
        back=f"/mail/{mailbox.id}",
        mailbox_name=mailbox.display_name,
        lines=[outgoing_line(row, zone=zone) for row in page.rows],
        tray=[outgoing_line(row, zone=zone) for row in tray],
        newer=at if key is not None else "",
        older=f"{at}?after={page.next_key}" if page.next_key else "",
    )


async def show_one(rooms: WritingRooms, visit: Visit) -> Response:
    return await _show(rooms, visit, await rooms.look.get(visit.me.actor, _id(visit)))


async def settle(rooms: WritingRooms, visit: Visit) -> Response:
    """Undo, cancel, answer, try again, take back, take off the tray: what the pressed button says."""
    outgoing, actor, form = _id(visit), visit.me.actor, visit.form
    deed, _, seq = form.text("do").partition("-")
    row = await rooms.look.get(actor, outgoing)
    here = f"/outgoing/{outgoing}"
    match deed:
        case "undo" | "cancel":
            take_back = rooms.outbound.undo if deed == "undo" else rooms.outbound.cancel
            draft = await take_back(actor, outgoing)
            said = SaidNote("It was not sent. It lies among your drafts; here it is.")
            return visit.go(f"/write/{draft.mailbox}?draft={draft.uid}", said)
        case "answer":
            result = await rooms.outbound.answer(actor, outgoing, answers(form))
            if isinstance(result, NeedsAnswers):
                form.wrong("questions", "Answer every question, and give a reason where one is asked for.")
                return await _show(rooms, visit, await rooms.look.get(actor, outgoing))
            return visit.go(here, SaidNote("Thank you. It leaves now.", outgoing=int(outgoing)))
        case "resend":
            await rooms.outbound.resend(actor, outgoing, _seq(seq))
            return visit.go(here, SaidNote("It is tried again now."))
        case "link":
            await rooms.outbound.resend(actor, outgoing, _seq(seq), by_link=True)
            return visit.go(here, SaidNote("They get a secure link instead."))
        case "clear":
            await rooms.look.clear(actor, outgoing, _seq(seq))
            return visit.go(here, SaidNote("Taken off the list of what was not delivered."))
        case "recall":
            report = await rooms.outbound.recall(actor, outgoing, _chosen_addresses(row, form.numbers("seq")))
            return _recalled(rooms, visit, row, report)
        case "csv":
            content = as_csv(row, form.words("report"), by=f"{visit.me.name} <{visit.me.address}>")
            return Response(content, headers=_FILE | {"content-disposition": f'attachment; filename="{row.trace}.csv"'})
    raise Malformed("The page did not say what to do.")


async def _show(rooms: WritingRooms, visit: Visit, row: OutgoingRow) -> Response:
    now, zone = rooms.mail.clock.now(), visit.house.policy.zone
    view = outgoing_view(row, now=now, zone=zone, chosen=chosen(visit.form))
    page = visit.page if visit.form.is_right else visit.page_again
    files = await of_outgoing(rooms, visit, row.id)
    given = {"title": view.subject, "back": f"/sent/{row.mailbox}", "view": view, "form": visit.form, "files": files}
    return page("writing/outgoing.html", **given)


def _recalled(rooms: WritingRooms, visit: Visit, row: OutgoingRow, report: RecallReport) -> Response:
    here, zone = f"/outgoing/{row.id}", visit.house.policy.zone
    return visit.page(
        "writing/recalled.html",
        title="What was taken back",
        back=here,
        act=here,
        subject=row.subject,
        report=report,
        quoted=[(str(one.trace), long_time(one.at.astimezone(zone))) for one in report.quoted],
        packed=packed(report, at=rooms.mail.clock.now(), zone=zone),
    )


async def of_letter(rooms: WritingRooms, visit: Visit) -> Response:
    """From a letter in Sent to what became of it."""
    mailbox = visit.mailbox().mailbox
    uid = Uid(visit.number("uid"))
    rows = await rooms.mail.messages.rows(mailbox, FolderId(visit.number("folder")), [uid])
    trace = rows[0].trace if rows else None
    found = await rooms.look.by_trace(visit.me.actor, mailbox.id, trace) if trace is not None else None
    if found is None:
        raise NotPossible("Nothing is known any more of how this went out: that is kept for three months.")
    return visit.go(f"/outgoing/{found}")


def _chosen_addresses(row: OutgoingRow, seqs: Sequence[int]) -> list[EmailAddress]:
    """Those that were ticked. Raises NotPossible when none was: nothing is taken back from everybody by mistake."""
    found = [one.address for one in row.recipients if one.seq in set(seqs)]
    if not found:
        raise NotPossible("Choose from whom to take it back.")
    return found


def _id(visit: Visit) -> OutgoingId:
    return OutgoingId(visit.number("outgoing"))


def _seq(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise Malformed("The page did not say for whom.")
    return int(text)
