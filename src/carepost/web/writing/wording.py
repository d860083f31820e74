"""The pages of signatures and templates: of a mailbox, and of the organisation; and how long a person may undo.

Promises
    What stands under a message is shown as it will stand there, before anything is sent with it.
    Every change asks the one door and is recorded (directory/wording.py); the organisation's are an administrator's.
"""

from dataclasses import dataclass

from starlette.responses import Response

from carepost.base.errors import MailError
from carepost.directory.access import OnOrganisation, Verb, is_allowed
from carepost.directory.model import MailboxAccess, MailboxKind
from carepost.directory.wording import Owner
from carepost.directory.wording_model import BLANKS, OWN, Filling, Wording, WordingKind, signature
from carepost.web.forms import Form
from carepost.web.sealing import SaidNote
from carepost.web.shell import Visit
from carepost.web.words import day_words, long_time
from carepost.web.writing.insertions import filling_for
from carepost.web.writing.rooms import WritingRooms

_GENERAL = "/admin/wording"
_UNDO_OFFERED = (0, 10, 30, 60, 120, 300, 600)


@dataclass(frozen=True, slots=True)
class _Whose:
    """Of which page it is."""

    owner: Owner
    at: str
    name: str
    access: MailboxAccess | None


def _whose(visit: Visit) -> _Whose:
    if "mailbox" not in visit.request.path_params:
        return _Whose(Owner(visit.me.organisation), _GENERAL, visit.me.organisation_name, None)
    access = visit.mailbox()
    mailbox = access.mailbox
    return _Whose(Owner(mailbox.organisation, mailbox.id), f"/wording/{mailbox.id}", mailbox.display_name, access)


async def show(rooms: WritingRooms, visit: Visit) -> Response:
    """The signature, as it stands under messages, and the templates."""
    return await _show(rooms, visit, Form())


async def change(rooms: WritingRooms, visit: Visit) -> Response:
    """Keep the signature, or remove it or a template."""
    form, whose = visit.form, _whose(visit)
    deed, _, number = form.text("do").partition("-")
    actor, wordings = visit.me.actor, rooms.wordings
    try:
        if deed == "remove":
            await wordings.remove(actor, whose.owner, _number(number) or 0)
            return visit.go(whose.at, SaidNote("It is removed."))
        await wordings.keep(
            actor,
            whose.owner,
            WordingKind.SIGNATURE,
            text=form.words("text"),
            allows_own=whose.access is not None or form.text("allows_own") == "yes",
        )
    except MailError as error:
        form.wrong("text", error.public)
        return await _show(rooms, visit, form)
    return visit.go(whose.at, SaidNote("The signature is kept. New messages begin with it."))


async def template(rooms: WritingRooms, visit: Visit) -> Response:
    """One template to change (?id=), or an empty one."""
    asked = visit.query("id")
    if not asked:
        return _template(visit, Form())
    found = await rooms.wordings.get(visit.me.actor, visit.me.organisation, _number(asked) or 0)
    return _template(visit, Form(values={"id": asked, "name": found.name, "text": found.text}))


async def keep_template(rooms: WritingRooms, visit: Visit) -> Response:
    form, whose = visit.form, _whose(visit)
    try:
        kept = await rooms.wordings.keep(
            visit.me.actor,
            whose.owner,
            WordingKind.TEMPLATE,
            name=form.text("name"),
            text=form.words("text"),
            wording=form.number("id"),
        )
    except MailError as error:
        form.wrong("name" if "name" in error.public else "text", error.public)
        return _template(visit, form)
    return visit.go(whose.at, SaidNote(f"The template “{kept.name}” is kept."))


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


async def _show(rooms: WritingRooms, visit: Visit, form: Form) -> Response:
    whose, zone = _whose(visit), visit.house.policy.zone
    general, own = await rooms.wordings.signatures(visit.me.actor, whose.owner)
    mine = own if whose.access is not None else general
    templates = await rooms.wordings.templates(visit.me.actor, whose.owner)
    most = rooms.policy.templates_shown
    pages = max(1, -(-len(templates) // most))
    asked = visit.query("page")
    number = min(max(1, int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 5 else 1), pages)
    page = visit.page_again if form.errors else visit.page
    return page(
        "writing/wording.html",
        title="Signature and templates",
        form=form,
        at=whose.at,
        whose=whose.name,
        general=whose.access is None,
        may_change=_may_change(visit, whose),
        text=form.words("text") if form.errors else (mine.text if mine else ""),
        allows_own=general.allows_own if general else True,
        has_general=general is not None,
        signature=signature(general, own, await _filling(rooms, visit, whose)),
        version=f"Version {mine.version}, {long_time(mine.changed_at.astimezone(zone))}" if mine else "",
        signature_id=mine.id if mine else None,
        templates=[_line(one) for one in templates[(number - 1) * most : number * most]],
        total=len(templates),
        number=number,
        pages=pages,
        blanks=_blanks(own_lines=whose.access is None),
    )


def _may_change(visit: Visit, whose: _Whose) -> bool:
    return whose.access is not None or is_allowed(
        visit.me.rights, Verb.WORDING_EDIT, OnOrganisation(visit.me.organisation)
    )


async def _filling(rooms: WritingRooms, visit: Visit, whose: _Whose) -> Filling:
    """What the signature is shown with: of the organisation's page, as for the person who looks."""
    access = whose.access or visit.me.own
    if access is not None:
        return await filling_for(rooms, visit, access)
    return Filling(
        name=visit.me.name,
        role="",
        practice=visit.me.organisation_name,
        address=visit.me.address,
        today=day_words(rooms.mail.clock.now().astimezone(visit.house.policy.zone)),
    )


def _line(one: Wording) -> dict[str, object]:
    first = next((line for line in one.text.splitlines() if line.strip()), "")
    return {"id": one.id, "name": one.name, "begins": first[:80] + ("…" if len(first) > 80 else "")}


def _blanks(*, own_lines: bool) -> list[tuple[str, str]]:
    found = [("{" + name + "}", words) for name, words in BLANKS.items()]
    return [*found, ("{" + OWN + "}", "people's own lines; without it they go below")] if own_lines else found


def _template(visit: Visit, form: Form) -> Response:
    whose = _whose(visit)
    page = visit.page_again if form.errors else visit.page
    return page(
        "writing/template.html",
        title="Template",
        form=form,
        at=f"{whose.at}/template",
        back=whose.at,
        whose=whose.name,
        id=form.values.get("id", ""),
        text=form.words("text"),
        blanks=_blanks(own_lines=False),
    )


# --- a person's own choices -------------------------------------------------------------------------------------------


async def choices(rooms: WritingRooms, visit: Visit) -> Response:
    """How long they may undo, and where their signatures are."""
    return await _choices(rooms, visit, Form())


async def choose(rooms: WritingRooms, visit: Visit) -> Response:
    """R148: how long they want to be able to undo."""
    form, policy = visit.form, rooms.policy
    chosen = form.number("undo")
    try:
        await rooms.wordings.choose_undo(visit.me.actor, chosen, longest=policy.undo_longest)
    except MailError as error:
        form.wrong("undo", error.public)
        return await _choices(rooms, visit, form)
    return visit.go("/settings/writing", SaidNote("Kept. It counts from the next message on."))


async def _choices(rooms: WritingRooms, visit: Visit, form: Form) -> Response:
    me, policy = visit.me, rooms.policy
    chosen = await rooms.wordings.undo_seconds(me.organisation, me.person)
    longest = int(policy.undo_longest.total_seconds())
    offered = sorted({one for one in (*_UNDO_OFFERED, longest, chosen or 0) if one <= longest})
    page = visit.page_again if form.errors else visit.page
    return page(
        "writing/choices.html",
        title="Writing",
        form=form,
        chosen=chosen,
        offered=[(one, _how_long(one)) for one in offered],
        inside=_how_long(int(policy.undo_inside.total_seconds())),
        outside=_how_long(int(policy.undo_outside.total_seconds())),
        boxes=[one.mailbox for one in me.mailboxes.values() if one.mailbox.kind is not MailboxKind.RESOURCE],
        may_change_general=is_allowed(me.rights, Verb.WORDING_EDIT, OnOrganisation(me.organisation)),
    )


def _how_long(seconds: int) -> str:
    if seconds == 0:
        return "not at all: it leaves at once"
    if seconds % 60 == 0 and seconds >= 60:
        return "1 minute" if seconds == 60 else f"{seconds // 60} minutes"
    return f"{seconds} seconds"
