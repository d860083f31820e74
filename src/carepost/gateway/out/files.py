"""Files too large for email, on their way with a message: may they go, who may have them, what their readers are told.

Promises
    Which files go is named in one header field, that only we read and that never leaves. A file goes with messages of
    its own mailbox only, and only once it was looked at: a field that names anything else is refused, at every door.
    Nobody has looked through a large file for patients: it counts as not read, and its scan as what it was.
    Inside, readers are told by a link under the text; it opens for the mailboxes that the message was laid into.

R127. The files themselves are kept by store/large_files.py.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from typing import Protocol

from carepost.base.ids import MailboxId, OrganisationId, OutgoingId
from carepost.gateway.disclosure import DISCLOSURE, UNREAD
from carepost.gateway.model import Finding
from carepost.gateway.out.facts import LARGE_FILE, LARGE_FILES
from carepost.infra.db import Transaction
from carepost.mailauth.fields import split_message
from carepost.message.edit import add_footer, is_sealed
from carepost.message.parse import parse
from carepost.store.large_files import FileState, LargeFile, LargeFiles, Scanned

FIELD = "X-Carepost-Files"
FILES_MAX = 20  # of one message
_GONE = "A large file of this message is no longer there. Take it out, and add it again."
_STATES = {
    FileState.COMING: "“{}” has not been uploaded to its end. Choose it again to go on, or take it out.",
    FileState.WHOLE: "“{}” is still being examined. Try again in a minute.",
    FileState.REFUSED: "“{}” cannot be sent. {}",
}


@dataclass(frozen=True, slots=True)
class FilesFound:
    """What a message brings along."""

    findings: tuple[Finding, ...] = ()
    refusals: tuple[str, ...] = ()


class CarriesFiles(Protocol):
    """What the outbound walk asks of large files."""

    async def look(self, organisation: OrganisationId, mailbox: MailboxId, raw: bytes) -> FilesFound: ...

    async def use(  # noqa: PLR0917 - which, of whom, by what
        self,
        tx: Transaction,
        organisation: OrganisationId,
        mailbox: MailboxId,
        outgoing: OutgoingId,
        raw: bytes,
        leaves_at: datetime,
    ) -> None: ...

    async def of_outgoing(self, organisation: OrganisationId, outgoing: OutgoingId) -> Sequence[LargeFile]: ...

    async def share(
        self,
        tx: Transaction,
        organisation: OrganisationId,
        outgoing: OutgoingId,
        files: Sequence[LargeFile],
        mailboxes: Sequence[MailboxId],
    ) -> None: ...

    async def unshare(
        self,
        tx: Transaction,
        organisation: OrganisationId,
        mailbox: MailboxId,
        owner: OrganisationId,
        outgoing: OutgoingId,
    ) -> bool: ...

    def told(self, raw: bytes, files: Sequence[LargeFile]) -> bytes: ...


def file_names(raw: bytes) -> tuple[str, ...]:
    """The files that a message names, in its header."""
    fields, _ = split_message(raw)
    wanted = FIELD.lower().encode()
    named = [octets.partition(b":")[2].decode("ascii", "replace").split() for name, octets in fields if name == wanted]
    return tuple(dict.fromkeys(name for some in named for name in some))


def files_field(names: Iterable[str]) -> bytes:
    """The header field; nothing for no files. Names are letters and digits."""
    lines = "\r\n ".join(names)
    return f"{FIELD}: {lines}\r\n".encode("ascii") if lines else b""


@dataclass(frozen=True, slots=True, kw_only=True)
class WithoutFiles:
    """Where no large files are kept: whoever names one is told."""

    async def look(self, organisation: OrganisationId, mailbox: MailboxId, raw: bytes) -> FilesFound:  # noqa: ARG002
        return FilesFound(refusals=(_GONE,)) if file_names(raw) else FilesFound()

    async def use(self, *_: object) -> None:
        return

    async def of_outgoing(self, organisation: OrganisationId, outgoing: OutgoingId) -> Sequence[LargeFile]:  # noqa: ARG002
        return ()

    async def share(self, *_: object) -> None:
        return

    async def unshare(self, *_: object) -> bool:
        return False

    def told(self, raw: bytes, files: Sequence[LargeFile]) -> bytes:  # noqa: ARG002
        return raw


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesOut:
    """CarriesFiles, over the store. `pages` is where people sign in."""

    files: LargeFiles
    pages: str
    max_files: int = field(default=FILES_MAX)

    async def look(self, organisation: OrganisationId, mailbox: MailboxId, raw: bytes) -> FilesFound:
        names = file_names(raw)
        if not names:
            return FilesFound()
        if len(names) > self.max_files:
            return FilesFound(refusals=(f"A message can bring {self.max_files} large files at most.",))
        if is_sealed(parse(raw)):
            said = "A message that is signed or encrypted by its sender's program cannot bring a large file."
            return FilesFound(refusals=(said,))
        found = {one.name: one for one in await self.files.named(organisation, names) if one.mailbox == mailbox}
        wrong = [_refusal(found.get(name)) for name in names]
        if any(wrong):
            return FilesFound(refusals=tuple(dict.fromkeys(one for one in wrong if one)))
        return FilesFound(findings=tuple(said for name in names for said in _findings(found[name])))

    async def use(  # noqa: PLR0917 - which, of whom, by what
        self,
        tx: Transaction,
        organisation: OrganisationId,
        mailbox: MailboxId,
        outgoing: OutgoingId,
        raw: bytes,
        leaves_at: datetime,
    ) -> None:
        """It goes with this message. Raises NotPossible when a file ended meanwhile."""
        if names := file_names(raw):
            await self.files.use(tx, organisation, mailbox, outgoing, names, leaves_at)

    async def of_outgoing(self, organisation: OrganisationId, outgoing: OutgoingId) -> Sequence[LargeFile]:
        async with self.files.db.transaction(organisation) as tx:
            return await self.files.of_outgoing(tx, organisation, outgoing)

    async def share(
        self,
        tx: Transaction,
        organisation: OrganisationId,
        outgoing: OutgoingId,
        files: Sequence[LargeFile],
        mailboxes: Sequence[MailboxId],
    ) -> None:
        await self.files.share(tx, organisation, outgoing, files, mailboxes)

    async def unshare(
        self,
        tx: Transaction,
        organisation: OrganisationId,
        mailbox: MailboxId,
        owner: OrganisationId,
        outgoing: OutgoingId,
    ) -> bool:
        return await self.files.unshare(tx, organisation, mailbox, owner, outgoing)

    def told(self, raw: bytes, files: Sequence[LargeFile]) -> bytes:
        """With the links under the text, for readers inside. PURE."""
        return add_footer(raw, FileLinks(tuple(files), self.pages)) if files else raw


@dataclass(frozen=True, slots=True)
class FileLinks:
    """What readers inside find under the text."""

    files: tuple[LargeFile, ...]
    pages: str

    @property
    def as_text(self) -> str:
        lines = [f"{one.called} ({file_size(one.size)})\n{self._at(one)}\n" for one in self.files]
        return f"\n\n{_HEADING} {self._until}\n\n" + "\n".join(lines)

    @property
    def as_html(self) -> str:
        lines = [
            f'<li><a href="{escape(self._at(one))}">{escape(one.called)}</a> ({file_size(one.size)})</li>'
            for one in self.files
        ]
        return f"\n<hr>\n<p>{_HEADING} {self._until}</p>\n<ul>\n" + "\n".join(lines) + "\n</ul>\n"

    def _at(self, one: LargeFile) -> str:
        return f"{self.pages}/files/{one.name}"

    @property
    def _until(self) -> str:
        end = min(one.expires_at for one in self.files)
        return f"Sign in to fetch them, until {end.day} {end:%B %Y}. They open for those who got this message."


_HEADING = "Files too large for email came with this message."


def file_size(octets: int) -> str:
    """In words, as people say it."""
    return f"{octets / 1_000_000_000:.1f} GB" if octets >= 1_000_000_000 else f"{max(1, round(octets / 1_000_000))} MB"


def _refusal(file: LargeFile | None) -> str:
    if file is None:
        return _GONE
    return _STATES[file.state].format(file.called, file.says) if file.state in _STATES else ""


def _findings(file: LargeFile) -> Iterable[Finding]:
    called = f"“{file.called}”"
    yield Finding(
        code=LARGE_FILE,
        weight=1,
        says=f"{called} ({file_size(file.size)}) is too large for email: who gets it fetches it by a link.",
        check=LARGE_FILES,
        facts={},
    )
    yield Finding(
        code=UNREAD,
        weight=2,
        says=f"{called} is too large to be read, so nobody could look for patients in it.",
        check=DISCLOSURE,
        facts={},
    )
    if file.scanned is Scanned.NO:
        says = f"{called} is larger than the malware scanner takes."
        yield Finding(code="not-scanned", weight=3, says=says, check="malware", facts={})
    for code in file.codes:
        yield Finding(code=code, weight=3, says=f"{called} holds macros.", check="attachments", facts={})
