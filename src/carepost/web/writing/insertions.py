"""What the page of a message puts in for the writer: the signature of the mailbox it is sent from, and templates. R164.

Promises
    What was typed is saved before; what is put in is saved as well, and shown.
    A message that goes from another mailbox moves to the drafts of that one: no copy stays behind.
"""

from collections.abc import Sequence

from carepost.base.errors import NotPossible
from carepost.base.ids import MailboxId
from carepost.directory.access import OnMailbox, Verb, authorize
from carepost.directory.model import MailboxAccess
from carepost.directory.wording import Owner
from carepost.directory.wording_model import Filling, Wording, filled, signature
from carepost.web.shell import Visit
from carepost.web.words import day_words
from carepost.web.writing.draft import Writing
from carepost.web.writing.rooms import WritingRooms
from carepost.web.writing.signing import known_again, signed, signed_anew, with_template


async def signature_for(rooms: WritingRooms, visit: Visit, access: MailboxAccess) -> str:
    """What stands under what this mailbox sends."""
    general, own = await rooms.wordings.signatures(visit.me.actor, _owner(access))
    if general is None and own is None:
        return ""
    return signature(general, own, await filling_for(rooms, visit, access))


async def begun(rooms: WritingRooms, visit: Visit, access: MailboxAccess, writing: Writing) -> Writing:
    """A new message, or an answer, with its signature."""
    return signed(writing, await signature_for(rooms, visit, access))


async def gone_on(rooms: WritingRooms, visit: Visit, access: MailboxAccess, writing: Writing) -> Writing:
    """A draft that is opened again: it gets no second signature."""
    return writing if writing.signature else known_again(writing, await signature_for(rooms, visit, access))


async def sent_from(
    rooms: WritingRooms, visit: Visit, writing: Writing, mailbox: int | None
) -> tuple[MailboxAccess, Writing]:
    """The same message from another mailbox of theirs, with that one's signature. Raises NotAllowed, NotPossible."""
    access = visit.me.mailboxes.get(MailboxId(mailbox or 0))
    if access is None:
        raise NotPossible("Choose the mailbox that it should be sent from.")
    authorize(visit.me.rights, Verb.MAILBOX_SEND, OnMailbox.of(access.mailbox))
    if writing.answers_to is not None:
        raise NotPossible("An answer goes from the mailbox that got the message.")
    return access, signed_anew(writing, await signature_for(rooms, visit, access))


async def templates_for(rooms: WritingRooms, visit: Visit, access: MailboxAccess) -> Sequence[Wording]:
    """Those of the mailbox, then the person's own, then the organisation's."""
    owners = [_owner(access)]
    if visit.me.own is not None and visit.me.own.mailbox.id != access.mailbox.id:
        owners.append(_owner(visit.me.own))
    return await rooms.wordings.to_choose_from(visit.me.actor, [*owners, Owner(visit.me.organisation)])


async def with_chosen(
    rooms: WritingRooms, visit: Visit, access: MailboxAccess, writing: Writing, template: int | None
) -> Writing:
    """With a template's words, its blanks filled. Raises NotAllowed, NotPossible."""
    if template is None:
        raise NotPossible("Choose a template first.")
    found = await rooms.wordings.get(visit.me.actor, visit.me.organisation, template)
    return with_template(writing, filled(found.text, await filling_for(rooms, visit, access)))


async def filling_for(rooms: WritingRooms, visit: Visit, access: MailboxAccess) -> Filling:
    day = day_words(rooms.mail.clock.now().astimezone(visit.house.policy.zone))
    return await rooms.wordings.filling(visit.me.organisation, visit.me.person, access.mailbox, day)


def _owner(access: MailboxAccess) -> Owner:
    return Owner(access.mailbox.organisation, access.mailbox.id)
