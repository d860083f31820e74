"""Files too large for email: taken in pieces, kept sealed piece by piece, read from any place in them. R127.

Promises
    No octet of a file is at rest in clear, and none of its name. Each piece is sealed under the file's own key and
    bound to the file, its place and whether it is the last: a piece changed, moved, left out or added does not open.
    A piece is kept in the transaction that says so: after any break the upload goes on behind the last one kept.
    Of two who upload the same file at once each piece is taken from one. In memory is one piece of each at a time.
    Whoever asks for a file may have it, or is told that there is none: unknown, expired and somebody else's are one
    answer, asked anew for every piece. What has ended is deleted, pieces and key.

A file enters by `begin` and `take`; gateway/file_look.py judges it; it is used by messages, and leaves by `tidy`.
"""

import secrets
from base64 import b32decode, b32encode
from collections.abc import AsyncIterable, AsyncIterator, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from carepost.audit.events_files import LargeFileDeleted, LargeFileDownloaded, LargeFileJudged
from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.clock import Clock
from carepost.base.errors import Malformed, NotPossible
from carepost.base.ids import MailboxId, OrganisationId, OutgoingId
from carepost.infra import vault
from carepost.infra.db import Database, Transaction
from carepost.store import repo_files as repo
from carepost.store.keys import Keystore

NAME_BYTES = 16
_NAME_CHARACTERS = 26
_MARK_MAX = 200
_PIECE = b"carepost large file"
_JOB = Actor.job("large files")
_DELETED_AT_ONCE = 64  # pieces: a statement of a second at most


class FileState(StrEnum):
    COMING = "coming"  # being uploaded
    WHOLE = "whole"  # all of it is here, and nobody has looked at it
    READY = "ready"  # looked at: it may be sent
    REFUSED = "refused"  # it may not


class Scanned(StrEnum):
    """Whether the malware scanner has judged it."""

    NO = "no"  # larger than the scanner takes
    WHOLLY = "wholly"
    NO_SCANNER = "no scanner"  # none is configured


class NoSuchFile(NotPossible):
    """Unknown, over, taken back, or somebody else's: one answer."""

    def __init__(self) -> None:
        super().__init__("There is no such file, or its time is over, or it is not yours to have.")


class Elsewhere(NotPossible):
    """The upload does not stand where the browser thinks; it asks where, and goes on from there."""

    def __init__(self) -> None:
        super().__init__("The upload stands at another place. Choose the file again: it goes on where it stopped.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePolicy:
    """Every number of large files."""

    octets_max: int = 2_000_000_000  # of one file. R127
    mailbox_octets_max: int = 20_000_000_000  # of all files of one mailbox, uploads that go on included
    kept_for: timedelta = timedelta(days=28)  # R122: as long as a secure message can be read
    unfinished_for: timedelta = timedelta(days=2)  # an upload that nobody goes on with, or a file that was refused
    # 1 MiB: what is lost when a connection breaks, and what one upload or download has in memory.
    piece_octets: int = 1 << 20
    look_lasts: timedelta = timedelta(minutes=30)  # whoever looks at a file for longer has died
    batch: int = 50


class _Details(msgspec.Struct, frozen=True, array_like=True):
    """New fields go at the end, with a default: old files are stored."""

    key: bytes
    called: str
    media_type: str
    mark: str
    digest: str = ""
    says: str = ""
    scanned: str = Scanned.NO.value
    codes: tuple[str, ...] = ()


_ENCODER, _DETAILS = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(_Details)


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeFile:
    """One file, its details opened."""

    organisation: OrganisationId
    id: int
    name: str  # in its address
    mailbox: MailboxId
    state: FileState
    size: int
    received: int
    piece_octets: int
    expires_at: datetime
    called: str = field(repr=False)  # as people know it
    media_type: str  # what the browser says it is
    mark: str = field(repr=False)  # by which a browser knows the same file again, to go on with it
    digest: str  # SHA-256, once it was looked at
    says: str = field(repr=False)  # why it was refused
    scanned: Scanned
    codes: tuple[str, ...]  # what else was seen that cards speak of
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What came of looking at a file."""

    ready: bool
    digest: str
    scanned: Scanned
    says: str = ""  # why not
    codes: tuple[str, ...] = ()


def read_name(text: str) -> bytes | None:
    """None for what is no name of ours."""
    if len(text) != _NAME_CHARACTERS or not text.isascii() or text != text.lower():
        return None
    with suppress(ValueError):
        return b32decode(text.upper() + "======")
    return None


def name_text(name: bytes) -> str:
    return b32encode(name).decode().rstrip("=").lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeFiles:
    db: Database
    keys: Keystore
    audit: AuditTrail
    clock: Clock
    policy: FilePolicy = field(default_factory=FilePolicy)

    # --- uploading: the caller has asked whether the person may send from the mailbox -------------------------------

    async def begin(  # noqa: PLR0917 - a file, flat
        self, organisation: OrganisationId, mailbox: MailboxId, called: str, media_type: str, size: int, mark: str = ""
    ) -> LargeFile:
        """A place for a file. Raises Malformed for a size that it cannot have, NotPossible when the mailbox is full."""
        if not 0 < size <= self.policy.octets_max:
            raise Malformed(f"A file can have up to {_size(self.policy.octets_max)}, and this one is larger, or empty.")
        name, now = secrets.token_bytes(NAME_BYTES), self.clock.now()
        details = _Details(vault.new_key(), called[:500], media_type[:200], mark[:_MARK_MAX])
        async with self.db.transaction(organisation) as tx:
            made = await repo.insert(
                tx,
                organisation,
                name=name,
                mailbox=mailbox,
                size=size,
                piece=self.policy.piece_octets,
                sealed=await self._seal(tx, organisation, name, details),
                at=now,
                expires=now + self.policy.kept_for,
                most=self.policy.mailbox_octets_max,
            )
            if made is None:
                raise NotPossible(
                    f"The large files of this mailbox would come to more than {_size(self.policy.mailbox_octets_max)}. "
                    "They are deleted by themselves when their time is over; try again then, or ask the service desk."
                )
        found = await self.get(organisation, name_text(name))
        if found is None:
            raise NoSuchFile
        return found

    async def get(self, organisation: OrganisationId, name: str) -> LargeFile | None:
        """Any file of the organisation that has not ended, in any state: ask whose it is."""
        found = await self.named(organisation, [name])
        return found[0] if found else None

    async def named(self, organisation: OrganisationId, names: Iterable[str]) -> list[LargeFile]:
        """The same for several, in the order of their numbers."""
        octets = [name for text in names if (name := read_name(text)) is not None]
        if not octets:
            return []
        async with self.db.transaction(organisation) as tx:
            rows = await repo.by_names(tx, organisation, octets, now=self.clock.now())
            return [await self._opened(tx, organisation, row) for row in sorted(rows, key=lambda row: row.id)]

    async def take(self, file: LargeFile, offset: int, octets: AsyncIterable[bytes]) -> int:
        """Keep what comes, from `offset` on; how far the file has come. Whatever breaks off `octets` loses what has
        come of one piece at most. Raises Elsewhere, Malformed for more than the file's size."""
        if file.state is not FileState.COMING or offset != file.received:
            raise Elsewhere
        held = bytearray()
        async for some in octets:
            rest = memoryview(some)
            while rest:
                if offset == file.size:
                    raise Malformed("More has come than the file has.")
                room = min(file.piece_octets, file.size - offset) - len(held)
                held += rest[:room]
                rest = rest[room:]
                if len(held) == min(file.piece_octets, file.size - offset):
                    offset = await self._keep(file, offset, bytes(held))
                    held.clear()
        return offset

    async def _keep(self, file: LargeFile, offset: int, octets: bytes) -> int:
        number = offset // file.piece_octets
        sealed = vault.seal_small(file.key, _PIECE, _aad(file, number), octets)
        async with self.db.transaction(file.organisation) as tx:
            came = await repo.go_on(
                tx, file.organisation, file.id, octets=len(octets), offset=offset, now=self.clock.now()
            )
            if came is None:
                raise Elsewhere
            await repo.insert_piece(tx, file.organisation, file.id, number, sealed)
        return came

    # --- looking at it ----------------------------------------------------------------------------------------------

    async def claim_look(self, file: LargeFile) -> bool:
        """False when somebody else looks at it already, or it is not there to be looked at."""
        now = self.clock.now()
        async with self.db.transaction(file.organisation) as tx:
            return await repo.claim_look(tx, file.organisation, file.id, now=now, until=now + self.policy.look_lasts)

    async def give_up_look(self, file: LargeFile) -> None:
        async with self.db.transaction(file.organisation) as tx:
            await repo.give_up_look(tx, file.organisation, file.id)

    async def unlooked(self, organisation: OrganisationId) -> list[LargeFile]:
        """What has come and nobody looks at: its browser has gone."""
        async with self.db.transaction(organisation) as tx:
            names = await repo.unlooked(tx, organisation, now=self.clock.now(), limit=self.policy.batch)
        return await self.named(organisation, [name_text(name) for name in names])

    async def judge(self, actor: Actor, file: LargeFile, opinion: Opinion) -> None:
        """From now on it may be sent, or never."""
        state = FileState.READY if opinion.ready else FileState.REFUSED
        details = _Details(
            file.key,
            file.called,
            file.media_type,
            file.mark,
            opinion.digest,
            opinion.says,
            opinion.scanned.value,
            opinion.codes,
        )
        name = read_name(file.name) or b""
        async with self.db.transaction(file.organisation) as tx:
            sealed = await self._seal(tx, file.organisation, name, details)
            now = self.clock.now()
            if await repo.judge(tx, file.organisation, file.id, state=state.value, sealed=sealed, now=now):
                event = LargeFileJudged(
                    file=file.id,
                    mailbox=file.mailbox,
                    octets=file.size,
                    digest=opinion.digest,
                    ready=opinion.ready,
                    scanned=opinion.scanned.value,
                )
                await self.audit.record(tx, actor, event)

    # --- with messages ----------------------------------------------------------------------------------------------

    async def use(  # noqa: PLR0917 - which, of whom, by what
        self,
        tx: Transaction,
        organisation: OrganisationId,
        mailbox: MailboxId,
        outgoing: OutgoingId,
        names: Sequence[str],
        leaves_at: datetime,
    ) -> None:
        """A message carries these files of its own mailbox. Raises NotPossible unless every one may be sent."""
        octets = {name for text in names if (name := read_name(text)) is not None}
        found = await repo.use(
            tx,
            organisation,
            mailbox=mailbox,
            outgoing=outgoing,
            names=list(octets),
            now=self.clock.now(),
            until=leaves_at + self.policy.kept_for,
        )
        if not names or found != len(set(names)):
            raise NotPossible("A large file of this message is no longer there. Take it out and add it again.")

    async def of_outgoing(self, tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId) -> list[LargeFile]:
        """What a message carries, as long as it can be had."""
        rows = await repo.of_outgoing(tx, organisation, outgoing, now=self.clock.now())
        return [await self._opened(tx, organisation, row) for row in rows]

    async def keep_longer(
        self, tx: Transaction, organisation: OrganisationId, outgoing: OutgoingId, until: datetime
    ) -> None:
        """The message can be read until then: its files with it."""
        await repo.keep_longer(tx, organisation, outgoing=outgoing, until=until, now=self.clock.now())

    async def share(
        self,
        tx: Transaction,
        organisation: OrganisationId,
        outgoing: OutgoingId,
        files: Sequence[LargeFile],
        mailboxes: Sequence[MailboxId],
    ) -> None:
        """These mailboxes may have these files. The transaction acts for `organisation`, theirs."""
        if files and mailboxes:
            await repo.share(
                tx,
                organisation,
                mailboxes=list(mailboxes),
                names=[read_name(file.name) for file in files],
                owner=files[0].organisation,
                outgoing=outgoing,
                now=self.clock.now(),
                until=max(file.expires_at for file in files),
            )

    async def unshare(
        self,
        tx: Transaction,
        organisation: OrganisationId,
        mailbox: MailboxId,
        owner: OrganisationId,
        outgoing: OutgoingId,
    ) -> bool:
        """A message was taken back: what came with it cannot be had any more. The transaction acts for theirs."""
        given = {"mailbox": mailbox, "owner": owner, "outgoing": outgoing}
        return bool(await repo.unshare(tx, organisation, **given))

    # --- reading ----------------------------------------------------------------------------------------------------

    async def for_mailboxes(
        self, organisation: OrganisationId, mailboxes: Collection[MailboxId], name: str
    ) -> tuple[LargeFile, MailboxId]:
        """A file that one of these mailboxes sent or was sent, and which. Raises NoSuchFile."""
        octets = read_name(name)
        if octets is None:
            raise NoSuchFile
        own = await self.get(organisation, name)
        if own is not None and own.mailbox in mailboxes and own.state is FileState.READY:
            return own, own.mailbox
        async with self.db.transaction(organisation) as tx:
            given = {"name": octets, "mailboxes": list(mailboxes), "now": self.clock.now()}
            shared = await repo.shared_with(tx, organisation, **given)
        if shared is None:
            raise NoSuchFile
        owner, mailbox = shared
        file = await self.get(owner, name)
        if file is None or file.state is not FileState.READY:
            raise NoSuchFile
        return file, mailbox

    async def read(self, file: LargeFile, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """The octets from `start` to `stop`, a piece at a time. Raises NoSuchFile when it ends meanwhile, DoesNotOpen
        when what is stored is not what was sealed."""
        stop = file.size if stop is None else stop
        size = file.piece_octets
        for number in range(start // size, -(-stop // size)):
            async with self.db.transaction(file.organisation) as tx:
                sealed = await repo.piece(tx, file.organisation, file.id, number, now=self.clock.now())
            if sealed is None:
                raise NoSuchFile
            plain = vault.open_small(file.key, _PIECE, _aad(file, number), sealed)
            yield plain[max(0, start - number * size) : stop - number * size]

    async def downloaded(self, actor: Actor, organisation: OrganisationId, mailbox: MailboxId, file: LargeFile) -> None:
        """Somebody inside fetches it: written into the record of their own organisation."""
        event = LargeFileDownloaded(file=file.id, owner=file.organisation, mailbox=mailbox, digest=file.digest)
        async with self.db.transaction(organisation) as tx:
            await self.audit.record(tx, actor, event)

    # --- the end ----------------------------------------------------------------------------------------------------

    async def tidy(self, organisation: OrganisationId) -> int:
        """Delete what has ended: pieces first, then key and name. A chore; how many files went."""
        now = self.clock.now()
        async with self.db.transaction(organisation) as tx:
            given = {"now": now, "untouched": now - self.policy.unfinished_for, "limit": self.policy.batch}
            ended = await repo.ended(tx, organisation, **given)
            await repo.close(tx, organisation, [one.id for one in ended], now=now)
            await repo.forget_shares(tx, organisation, now=now)
        for one in ended:
            await self._delete_pieces(organisation, one.id)
            async with self.db.transaction(organisation) as tx:
                if await repo.delete(tx, organisation, one.id):
                    event = LargeFileDeleted(file=one.id, mailbox=one.mailbox, why=one.why)
                    await self.audit.record(tx, _JOB, event)
        return len(ended)

    async def _delete_pieces(self, organisation: OrganisationId, file: int) -> None:
        deleted = _DELETED_AT_ONCE
        while deleted:
            async with self.db.transaction(organisation) as tx:
                deleted = await repo.delete_pieces(tx, organisation, file, limit=_DELETED_AT_ONCE)

    # --- within -----------------------------------------------------------------------------------------------------

    async def _seal(self, tx: Transaction, organisation: OrganisationId, name: bytes, details: _Details) -> bytes:
        return await self.keys.seal_column(
            tx, organisation, context="large_file.sealed", row=name.hex(), plaintext=_ENCODER.encode(details)
        )

    async def _opened(self, tx: Transaction, organisation: OrganisationId, row: repo.FileRow) -> LargeFile:
        plain = await self.keys.open_column(
            tx, organisation, context="large_file.sealed", row=row.name.hex(), sealed=row.sealed
        )
        details = _DETAILS.decode(plain)
        return LargeFile(
            organisation=organisation,
            id=row.id,
            name=name_text(row.name),
            mailbox=row.mailbox,
            state=FileState(row.state),
            size=row.size,
            received=row.received,
            piece_octets=row.piece_octets,
            expires_at=row.expires_at,
            called=details.called,
            media_type=details.media_type,
            mark=details.mark,
            digest=details.digest,
            says=details.says,
            scanned=Scanned(details.scanned),
            codes=details.codes,
            key=details.key,
        )


def with_received(file: LargeFile, received: int) -> LargeFile:
    """As it stands after more has come."""
    state = FileState.WHOLE if received == file.size else file.state
    return replace(file, received=received, state=state)


def _aad(file: LargeFile, number: int) -> bytes:
    last = (file.size - 1) // file.piece_octets
    return vault.bound("large file", file.organisation, file.name, file.size, number, "last" if number == last else "")


def _size(octets: int) -> str:
    return f"{octets / 1_000_000_000:.3g} GB" if octets >= 1_000_000_000 else f"{octets / 1_000_000:.3g} MB"
