"""Folders made, named, removed, subscribed. RFC 9051 §6.3.4-6.3.8."""

from carepost.base.errors import NotPossible
from carepost.directory.access import Verb
from carepost.protocols.imap.conversation import Answer, Conversation
from carepost.protocols.imap.names import Place
from carepost.store.model import FolderView
from carepost.wire.imap_commands import Create, Delete, Rename, Subscribe, Unsubscribe


async def create(talk: Conversation, command: Create) -> Answer:
    place = await _new_place(talk, command.name)
    if command.special_use is not None:
        return Answer.no("The folders with a purpose are there already and keep it.", "USEATTR")
    await talk.services.mail.folders.create(place.access.mailbox, place.name)
    return Answer.ok("The folder is there.")


async def delete(talk: Conversation, command: Delete) -> Answer:
    """RFC 9051 §6.3.5: the folder and what it holds. The messages' removal is in the audit log."""
    place, view = await talk.view(command.name, Verb.MAILBOX_WRITE)
    if view.special_use is not None:
        raise NotPossible("This folder has a fixed purpose and cannot be deleted.", code="CANNOT")
    mail, mailbox = talk.services.mail, place.access.mailbox
    if view.messages:
        await talk.ask(Verb.MAILBOX_DELETE, mailbox)
        outlines = await mail.reading.outlines(mailbox, view.id)
        await mail.filing.expunge(talk.actor, mailbox, view.id, [outline.uid for outline in outlines])
    if talk.selected is not None and talk.selected.folder == view.id:
        talk.unselect()
    await mail.folders.delete(mailbox, view.id)
    return Answer.ok("The folder is gone.")


async def rename(talk: Conversation, command: Rename) -> Answer:
    source, view = await talk.view(command.name, Verb.MAILBOX_WRITE)
    target = await _new_place(talk, command.to)
    if source.access.mailbox.id != target.access.mailbox.id:
        return Answer.no("A folder stays in its mailbox. Move its messages instead.", "CANNOT")
    await talk.services.mail.folders.rename(source.access.mailbox, view.id, target.name)
    return Answer.ok("The folder has its new name.")


async def subscribe(talk: Conversation, command: Subscribe) -> Answer:
    place, view = await talk.view(command.name, Verb.MAILBOX_READ)
    await _subscribe(talk, place, view, subscribed=True)
    return Answer.ok("Subscribed.")


async def unsubscribe(talk: Conversation, command: Unsubscribe) -> Answer:
    place, view = await talk.view(command.name, Verb.MAILBOX_READ)
    await _subscribe(talk, place, view, subscribed=False)
    return Answer.ok("Unsubscribed.")


async def _subscribe(talk: Conversation, place: Place, view: FolderView, *, subscribed: bool) -> None:
    if view.subscribed != subscribed:
        await talk.services.mail.folders.subscribe(place.access.mailbox, view.id, subscribed=subscribed)


async def _new_place(talk: Conversation, name: str) -> Place:
    place = await talk.place(name, Verb.MAILBOX_WRITE)
    if not place.name:
        raise NotPossible("A mailbox is made by an administrator, not here.", code="CANNOT")
    return place
