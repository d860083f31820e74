"""The store's five doors and the directory, in memory: for conversations that need no database."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from carepost.audit.model import Actor
from carepost.base.address import EmailAddress
from carepost.base.clock import FixedClock
from carepost.base.errors import NotPossible
from carepost.base.ids import AppPasswordId, FolderId, MailboxId, ObjectId, OrganisationId, PersonId, Uid
from carepost.directory.access import AccessRights
from carepost.directory.model import MailboxAccess, MailboxKind, MailboxRecord, MailboxStatus, MemberRight, PersonStatus
from carepost.directory.revoking import Revoked
from carepost.message.parse import parse
from carepost.message.summary import Summary, summarise
from carepost.message.words import search_text
from carepost.protocols.imap.ports import SignedIn
from carepost.store.folders import FIRST_FOLDERS, checked_name
from carepost.store.model import (
    Flag,
    FlagsChanged,
    FolderView,
    Laid,
    MailboxLike,
    MessageRow,
    Outline,
    SpecialUse,
)
from carepost.store.search import Query

ORGANISATION = OrganisationId(7)


@dataclass
class Kept:
    uid: int
    raw: bytes
    flags: int
    keywords: tuple[str, ...]
    modseq: int
    date: datetime
    summary: Summary = field(init=False)

    def __post_init__(self) -> None:
        self.summary = summarise(parse(self.raw))

    @property
    def outline(self) -> Outline:
        return Outline(Uid(self.uid), self.flags, self.modseq, self.keywords)


@dataclass
class MemoryFolder:
    id: FolderId
    mailbox: MailboxId
    name: str
    special_use: SpecialUse | None
    uidvalidity: int = 1
    uidnext: int = 1
    modseq: int = 1
    subscribed: bool = False
    kept: list[Kept] = field(default_factory=list)
    gone: list[tuple[int, int]] = field(default_factory=list)

    @property
    def view(self) -> FolderView:
        return FolderView(
            id=self.id,
            mailbox=self.mailbox,
            name=self.name,
            special_use=self.special_use,
            uidvalidity=self.uidvalidity,
            uidnext=self.uidnext,
            highest_modseq=self.modseq,
            messages=len(self.kept),
            unseen=sum(1 for one in self.kept if not one.flags & Flag.SEEN),
            octets=sum(len(one.raw) for one in self.kept),
            subscribed=self.subscribed,
        )

    def chosen(self, uids: Sequence[int]) -> list[Kept]:
        wanted = set(uids)
        return [one for one in self.kept if one.uid in wanted]


@dataclass
class MemoryMail:
    """Folders, reading, filing, words and changes of every mailbox, all in one."""

    clock: FixedClock
    folders: dict[FolderId, MemoryFolder] = field(default_factory=dict)
    watchers: list[tuple[MailboxId, Callable[[FolderId | None, int], None]]] = field(default_factory=list)
    bodies_read: int = 0
    summaries_read: int = 0
    expunged_by: list[Actor] = field(default_factory=list)

    def furnish(self, mailbox: MailboxId) -> None:
        for name, use in FIRST_FOLDERS:
            self._add(mailbox, name, use)

    def folder(self, mailbox: MailboxId, name: str) -> MemoryFolder:
        return next(one for one in self.folders.values() if one.mailbox == mailbox and one.name == name)

    def put(
        self, folder: MemoryFolder, raw: bytes, flags: int = 0, keywords: Sequence[str] = (), at: datetime | None = None
    ) -> Kept:
        folder.modseq += 1
        kept = Kept(folder.uidnext, raw, flags, tuple(keywords), folder.modseq, at or self.clock.now())
        folder.uidnext += 1
        folder.kept.append(kept)
        self._tell(folder)
        return kept

    def _add(self, mailbox: MailboxId, name: str, use: SpecialUse | None) -> MemoryFolder:
        made = MemoryFolder(FolderId(len(self.folders) + 100), mailbox, name, use, uidvalidity=len(self.folders) + 1)
        self.folders[made.id] = made
        return made

    def _tell(self, folder: MemoryFolder) -> None:
        for mailbox, watcher in tuple(self.watchers):
            if mailbox == folder.mailbox:
                watcher(folder.id, folder.modseq)

    def _of(self, folder: FolderId) -> MemoryFolder:
        if folder not in self.folders:
            raise NotPossible("That folder no longer exists.", code="NONEXISTENT")
        return self.folders[folder]

    # changes

    @contextmanager
    def watch(self, mailbox: MailboxId, watcher: Callable[[FolderId | None, int], None]) -> Iterator[None]:
        entry = (mailbox, watcher)
        self.watchers.append(entry)
        try:
            yield
        finally:
            self.watchers.remove(entry)

    # folders

    async def all(self, mailbox: MailboxLike) -> list[FolderView]:
        return [one.view for one in self.folders.values() if one.mailbox == mailbox.id]

    async def by_id(self, mailbox: MailboxLike, folder: FolderId) -> FolderView | None:
        return self.folders[folder].view if folder in self.folders else None

    async def named(self, mailbox: MailboxLike, name: str) -> FolderView | None:
        name = "INBOX" if name.upper() == "INBOX" else name
        return next((view for view in await self.all(mailbox) if view.name == name), None)

    async def create(self, mailbox: MailboxLike, name: str) -> FolderId:
        name = checked_name(name)
        if await self.named(mailbox, name) is not None:
            raise NotPossible("There is a folder of that name already.", code="ALREADYEXISTS")
        return self._add(mailbox.id, name, None).id

    async def rename(self, mailbox: MailboxLike, folder: FolderId, to: str) -> None:
        if await self.named(mailbox, to) is not None:
            raise NotPossible("There is a folder of that name already.", code="ALREADYEXISTS")
        before = self._of(folder).name
        for one in self.folders.values():
            if one.mailbox == mailbox.id and (one.name == before or one.name.startswith(before + "/")):
                one.name = to + one.name[len(before) :]

    async def delete(self, mailbox: MailboxLike, folder: FolderId) -> None:
        if self._of(folder).kept:
            raise NotPossible("This folder still holds messages.", code="INUSE")
        del self.folders[folder]

    async def subscribe(self, mailbox: MailboxLike, folder: FolderId, *, subscribed: bool) -> None:
        self._of(folder).subscribed = subscribed

    # reading

    async def outlines(self, mailbox: MailboxLike, folder: FolderId, *, since_modseq: int = 0) -> list[Outline]:
        return [one.outline for one in self._of(folder).kept if one.modseq > since_modseq]

    async def vanished(self, mailbox: MailboxLike, folder: FolderId, *, since_modseq: int) -> list[Uid]:
        return [Uid(uid) for uid, modseq in self._of(folder).gone if modseq > since_modseq]

    async def rows(self, mailbox: MailboxLike, folder: FolderId, uids: Sequence[int]) -> list[MessageRow]:
        return [
            MessageRow(Uid(one.uid), one.flags, one.keywords, one.modseq, len(one.raw), one.date, ObjectId(b""), None)
            for one in self._of(folder).chosen(uids)
        ]

    async def summaries(self, mailbox: MailboxLike, folder: FolderId, uids: Sequence[int]) -> dict[int, Summary]:
        self.summaries_read += len(uids)
        return {one.uid: one.summary for one in self._of(folder).chosen(uids)}

    async def bodies(
        self, mailbox: MailboxLike, folder: FolderId, uids: Sequence[int]
    ) -> AsyncIterator[tuple[Uid, bytes]]:
        for one in self._of(folder).chosen(uids):
            self.bodies_read += 1
            yield Uid(one.uid), one.raw

    # filing

    async def append(
        self,
        mailbox: MailboxLike,
        folder: FolderId,
        raw: bytes,
        *,
        flags: int = 0,
        keywords: Sequence[str] = (),
        internal_date: datetime | None = None,
    ) -> Laid:
        where = self._of(folder)
        kept = self.put(where, raw, flags, keywords, internal_date)
        return Laid(mailbox.id, folder, where.uidvalidity, Uid(kept.uid), kept.modseq)

    async def set_flags(
        self,
        mailbox: MailboxLike,
        folder: FolderId,
        uids: Sequence[int],
        *,
        add: int = 0,
        remove: int = 0,
        add_keywords: Iterable[str] = (),
        remove_keywords: Iterable[str] = (),
        replace: bool = False,
        unchanged_since: int | None = None,
    ) -> FlagsChanged:
        where = self._of(folder)
        changed, refused = [], []
        modseq = where.modseq + 1
        for one in where.chosen(uids):
            if unchanged_since is not None and one.modseq > unchanged_since:
                refused.append(Uid(one.uid))
                continue
            flags = add if replace else (one.flags & ~remove) | add
            words = set() if replace else set(one.keywords) - set(remove_keywords)
            keywords = tuple(sorted(words | set(add_keywords)))
            if (flags, keywords) != (one.flags, one.keywords):
                one.flags, one.keywords, one.modseq = flags, keywords, modseq
                changed.append(one.outline)
        if changed:
            where.modseq = modseq
            self._tell(where)
        return FlagsChanged(changed, refused)

    async def expunge(
        self, actor: Actor, mailbox: MailboxLike, folder: FolderId, uids: Sequence[int] | None = None
    ) -> list[Uid]:
        where = self._of(folder)
        going = [one for one in where.kept if (one.flags & Flag.DELETED if uids is None else one.uid in set(uids))]
        self.expunged_by.append(actor)
        return self._remove(where, going)

    def _remove(self, where: MemoryFolder, going: Sequence[Kept]) -> list[Uid]:
        if going:
            where.modseq += 1
            uids = {one.uid for one in going}
            where.kept = [one for one in where.kept if one.uid not in uids]
            where.gone += [(uid, where.modseq) for uid in sorted(uids)]
            self._tell(where)
        return [Uid(one.uid) for one in going]

    async def copy(
        self,
        mailbox: MailboxLike,
        folder: FolderId,
        uids: Sequence[int],
        *,
        to_mailbox: MailboxLike,
        to_folder: FolderId,
    ) -> tuple[int, list[tuple[Uid, Uid]]]:
        target = self._of(to_folder)
        pairs = []
        for one in self._of(folder).chosen(uids):
            new = self.put(target, one.raw, one.flags, one.keywords, one.date)
            pairs.append((Uid(one.uid), Uid(new.uid)))
        return target.uidvalidity, pairs

    async def move(
        self,
        actor: Actor,
        mailbox: MailboxLike,
        folder: FolderId,
        uids: Sequence[int],
        *,
        to_mailbox: MailboxLike,
        to_folder: FolderId,
    ) -> tuple[int, list[tuple[Uid, Uid]]]:
        if folder == to_folder:
            raise NotPossible("The messages are in that folder already.", code="CANNOT")
        validity, pairs = await self.copy(mailbox, folder, uids, to_mailbox=to_mailbox, to_folder=to_folder)
        where = self._of(folder)
        self._remove(where, where.chosen([old for old, _ in pairs]))
        return validity, pairs

    # words

    async def search(
        self, mailbox: MailboxLike, folder: FolderId | None, query: Query, *, limit: int = 1000
    ) -> list[tuple[FolderId, Uid]]:
        assert folder is not None
        found = []
        for one in self._of(folder).kept:
            text = search_text(parse(one.raw)).lower().split()
            if all(any(word.startswith(term.text.lower()) for word in text) for term in query.terms):
                found.append((folder, Uid(one.uid)))
        return found[:limit]


@dataclass
class MemoryPeople:
    """Who may sign in and what they may open; passwords in the clear, this is a test."""

    passwords: dict[str, tuple[str, SignedIn]] = field(default_factory=dict)
    rights: dict[PersonId, AccessRights] = field(default_factory=dict)
    mailboxes: dict[PersonId, list[MailboxAccess]] = field(default_factory=dict)
    opened_shared: list[tuple[Actor, MailboxId]] = field(default_factory=list)
    revocation_calls: list[Callable[[Revoked], None]] = field(default_factory=list)

    def join(
        self, number: int, address: str, password: str, organisation: OrganisationId = ORGANISATION
    ) -> MailboxRecord:
        person, mailbox = PersonId(number), _record(number, address, MailboxKind.PERSONAL, organisation)
        who = SignedIn(person=person, organisation=organisation, app_password=AppPasswordId(number), name=address)
        self.passwords[address] = (password, who)
        self.rights[person] = AccessRights(
            person=person, organisation=organisation, status=PersonStatus.ACTIVE, personal=mailbox.id
        )
        self.mailboxes[person] = [MailboxAccess(mailbox=mailbox, right=MemberRight.OWNER)]
        return mailbox

    def share(
        self, number: int, address: str, members: Iterable[int], organisation: OrganisationId = ORGANISATION
    ) -> MailboxRecord:
        mailbox = _record(number, address, MailboxKind.SHARED, organisation)
        for member in map(PersonId, members):
            rights = self.rights[member]
            self.rights[member] = replace(rights, shared={**rights.shared, mailbox.id: MemberRight.MEMBER})
            self.mailboxes[member].append(MailboxAccess(mailbox=mailbox, right=MemberRight.MEMBER))
        return mailbox

    def remove_member(self, mailbox: MailboxId, number: int) -> None:
        person = PersonId(number)
        rights = self.rights[person]
        self.rights[person] = replace(
            rights, shared={key: right for key, right in rights.shared.items() if key != mailbox}
        )
        self.mailboxes[person] = [one for one in self.mailboxes[person] if one.mailbox.id != mailbox]

    async def sign_in(self, address: str, secret: str, client_address: str) -> SignedIn | None:
        password, who = self.passwords.get(address.lower(), ("", None))
        return who if who is not None and password == secret else None

    async def rights_of(self, organisation: OrganisationId, person: PersonId) -> AccessRights:
        return self.rights[person]

    async def mailboxes_of(self, organisation: OrganisationId, person: PersonId) -> Sequence[MailboxAccess]:
        return self.mailboxes[person]

    async def opened(self, actor: Actor, mailbox: MailboxLike) -> None:
        self.opened_shared.append((actor, mailbox.id))

    @contextmanager
    def watch(self, call: Callable[[Revoked], None]) -> Iterator[None]:
        self.revocation_calls.append(call)
        try:
            yield
        finally:
            self.revocation_calls.remove(call)

    def revoke(self, revoked: Revoked) -> None:
        for call in tuple(self.revocation_calls):
            call(revoked)


def _record(number: int, address: str, kind: MailboxKind, organisation: OrganisationId) -> MailboxRecord:
    return MailboxRecord(
        id=MailboxId(number),
        organisation=organisation,
        kind=kind,
        person=PersonId(number) if kind is MailboxKind.PERSONAL else None,
        address=EmailAddress.parse(address),
        display_name=address.partition("@")[0],
        status=MailboxStatus.OPEN,
        intake_public=None,
        not_for_urgent=False,
    )
