"""One client's conversation: who it is, what it has selected, what it may; the words it is answered with.

Promises
    Rights are asked for every command that touches a mailbox; what was withdrawn bites within `limits.rights_s`.
    A shared mailbox is noted as opened once in each conversation before anything of it is shown (R51).
    No transaction is held while anything is written to the client (STYLE.md, Data).
"""

from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from carepost.audit.model import Actor
from carepost.base.errors import NotPossible
from carepost.base.ids import FolderId, MailboxId
from carepost.directory.access import AccessRights, OnMailbox, Verb, authorize
from carepost.directory.model import MailboxAccess
from carepost.protocols.imap.names import Place, place_of
from carepost.protocols.imap.ports import ImapServices, SignedIn
from carepost.protocols.imap.session import Selected, Told, ToldExists, ToldExpunged, ToldFlags, ToldKeywords
from carepost.store.model import FolderView, MailboxLike
from carepost.wire import imap_replies as replies
from carepost.wire.imap import ImapServerEngine


@dataclass(frozen=True, slots=True)
class Answer:
    """A command's last line: `OK`, `NO` or `BAD`, a code without brackets, and words."""

    how: str
    text: str
    code: str = ""

    @classmethod
    def ok(cls, text: str, code: str = "") -> "Answer":
        return cls("OK", text, code)

    @classmethod
    def no(cls, text: str, code: str = "") -> "Answer":
        return cls("NO", text, code)

    @classmethod
    def bad(cls, text: str, code: str = "") -> "Answer":
        return cls("BAD", text, code)


class Line(Protocol):
    """The way to and from the client; `connection.py` has the real one."""

    @property
    def secure(self) -> bool: ...

    @property
    def can_start_tls(self) -> bool: ...

    @property
    def client_address(self) -> str: ...

    async def write(self, octets: bytes) -> None:
        """Returns when the client has taken enough of it. Raises ConnectionError or TimeoutError if it does not."""
        ...

    async def read_line(self, *, wait_s: float, or_changed: bool = False) -> bytes | None:
        """The next line where no command is due; None if it did not come in time; with `or_changed`, b"" as soon as
        `wake` is called. Raises ConnectionError."""
        ...

    def wake(self) -> None:
        """End a `read_line` that waits for changes too. Never blocks."""
        ...

    def admit(self, who: SignedIn, *, asked_at: float) -> None:
        """Note whose conversation this is. `asked_at` is when the password began to be checked, by the loop's time.
        Raise NotPossible if they have too many, NotAllowed if they were signed out since."""
        ...


@dataclass(slots=True)
class Conversation:
    """What the commands work with."""

    services: ImapServices
    engine: ImapServerEngine
    line: Line
    who: SignedIn | None = None
    selected: Selected | None = None
    utf8: bool = False  # ENABLE UTF8=ACCEPT or IMAP4rev2
    rev2: bool = False
    condstore: bool = False
    wrong_passwords: int = 0
    # The body last fetched in part: clients read long messages piece by piece.
    last_body: tuple[int, bytes] | None = None
    tag: str = ""  # of the command being answered
    changed: bool = False  # the selected folder changed since it was last looked at
    _watching: ExitStack = field(default_factory=ExitStack)
    _opened: set[MailboxId] = field(default_factory=set)
    _asked_at: datetime | None = None
    _rights: AccessRights | None = None
    _mailboxes: tuple[MailboxAccess, ...] = ()

    # Words

    async def say(self, *octets: bytes) -> None:
        await self.line.write(b"".join(octets))

    # Who and what

    @property
    def person(self) -> SignedIn:
        if self.who is None:
            raise RuntimeError("the engine let a command through before sign-in")
        return self.who

    @property
    def actor(self) -> Actor:
        who = self.person
        return Actor.for_person(
            who.person,
            who.organisation,
            who.name,
            session=None if who.app_password is None else f"app password {who.app_password}",
            address=self.line.client_address,
        )

    @property
    def folder(self) -> Selected:
        if self.selected is None:
            raise RuntimeError("the engine let a command through without a selected folder")
        return self.selected

    async def rights(self) -> AccessRights:
        """What the person may do, at most `rights_s` old."""
        now = self.services.clock.now()
        fresh = timedelta(seconds=self.services.limits.rights_s)
        if self._rights is None or self._asked_at is None or not timedelta() <= now - self._asked_at <= fresh:
            who, people = self.person, self.services.people
            rights = await people.rights_of(who.organisation, who.person)
            self._mailboxes = tuple(await people.mailboxes_of(who.organisation, who.person))
            self._rights = rights
            self._asked_at = now
        return self._rights

    async def mailboxes(self) -> tuple[MailboxAccess, ...]:
        """Those that the person may read now."""
        await self.rights()
        return self._mailboxes

    async def ask(self, verb: Verb, mailbox: MailboxLike) -> None:
        """Raise NotAllowed unless the person may do this to that mailbox now."""
        authorize(await self.rights(), verb, OnMailbox(mailbox.id, mailbox.organisation))

    async def place(self, name: str, verb: Verb) -> Place:
        """Where the name leads, for doing `verb`. Raise NotPossible when nowhere, NotAllowed when they may not."""
        place = place_of(name, await self.mailboxes())
        if place is None:
            raise NotPossible("There is no folder of that name.", code="NONEXISTENT")
        await self.ask(verb, place.access.mailbox)
        return place

    async def view(self, name: str, verb: Verb) -> tuple[Place, FolderView]:
        """An existing folder, for doing `verb`; raises as `place` does."""
        place = await self.place(name, verb)
        view = await self.services.mail.folders.named(place.access.mailbox, place.name) if place.name else None
        if view is None:
            raise NotPossible("There is no folder of that name.", code="NONEXISTENT")
        return place, view

    async def note_opened(self, place: Place) -> None:
        """R51: somebody is in a shared mailbox. Once for each conversation and mailbox."""
        mailbox = place.access.mailbox
        if place.shared and mailbox.id not in self._opened:
            await self.services.shared_log.opened(self.actor, mailbox)
            self._opened.add(mailbox.id)

    # The selected folder

    def select(self, selected: Selected) -> None:
        self.selected = selected
        self.changed = False
        self.engine.selected()

    def watch(self, mailbox: MailboxId, folder: FolderId) -> None:
        """Be told of changes; before the folder is read, so that none is missed."""

        def called(changed: FolderId | None, _modseq: int) -> None:
            if changed is None or changed == folder:
                self.changed = True
                self.line.wake()

        self._watching.enter_context(self.services.mail.changes.watch(mailbox, called))

    def unselect(self) -> None:
        self._watching.close()
        self.last_body = None
        if self.selected is not None:
            self.selected = None
            self.engine.unselected()

    def close(self) -> None:
        """The conversation is over."""
        self._watching.close()
        self.last_body = None

    async def look(self, *, certainly: bool = False) -> None:
        """Learn what changed in the selected folder, if anything seems to have, or `certainly`."""
        selected = self.selected
        if selected is None or not (self.changed or certainly):
            return
        self.changed = False
        mail = self.services.mail
        view = await mail.folders.by_id(selected.mailbox, selected.folder)
        if view is None:
            selected.learn((), selected.uids)
        elif view.highest_modseq > selected.synced:
            since = selected.synced
            outlines = await mail.reading.outlines(selected.mailbox, selected.folder, since_modseq=since)
            gone = await mail.reading.vanished(selected.mailbox, selected.folder, since_modseq=since)
            selected.learn(outlines, gone, up_to=view.highest_modseq)

    async def tell(self, *, expunges: bool) -> None:
        """Say what the client has not been told."""
        if self.selected is not None and self.selected.has_news:
            await self.say(*(self._words(told) for told in self.selected.tell(expunges=expunges)))

    def _words(self, told: Told) -> bytes:
        match told:
            case ToldExists(count):
                return replies.exists(count)
            case ToldExpunged(sequence):
                return replies.expunged(sequence)
            case ToldKeywords(keywords):
                return replies.folder_flags(keywords)
            case ToldFlags():
                return flags_reply(self, told, with_uid=True)


def flags_reply(talk: Conversation, told: ToldFlags, *, with_uid: bool, silent: bool = False) -> bytes:
    """`* 3 FETCH (FLAGS (…))`, with MODSEQ for those who asked for it. RFC 7162 §3.1.3."""
    items = [] if silent else [b"FLAGS " + replies.flags(told.flags, told.keywords)]
    if with_uid:
        items.insert(0, b"UID %d" % told.uid)
    if talk.condstore:
        items.append(b"MODSEQ (%d)" % told.modseq)
    return replies.fetched(told.sequence, items)
