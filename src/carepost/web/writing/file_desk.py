"""What the pages of writing need for files too large for email, and what they say of one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from carepost.base.errors import TryLater
from carepost.base.ids import MailboxId, OrganisationId
from carepost.gateway.file_look import FileLook
from carepost.gateway.out.files import file_size
from carepost.store.large_files import FileState, LargeFile, LargeFiles, read_name

NAMES_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesDesk:
    """One for the process. Each upload has a piece or two in memory."""

    files: LargeFiles
    look: FileLook
    at_once: int = 8
    wait_seconds: float = 20.0
    # One request of an upload: some megabytes over the line of a surgery.
    request_seconds: float = 600.0
    _slots: asyncio.Semaphore = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_slots", asyncio.Semaphore(self.at_once))

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Raises TryLater when too many upload, or this takes too long."""
        try:
            async with asyncio.timeout(self.wait_seconds):
                await self._slots.acquire()
        except TimeoutError as error:
            raise TryLater("Many files are being uploaded just now. It goes on by itself in a minute.") from error
        try:
            async with asyncio.timeout(self.request_seconds):
                yield
        except TimeoutError as error:
            raise TryLater("The upload is slow. It goes on where it is.") from error
        finally:
            self._slots.release()

    async def lines(
        self, organisation: OrganisationId, mailbox: MailboxId, names: Sequence[str]
    ) -> tuple["FileLine", ...]:
        """For the page, in the order given; what is no longer there is said so."""
        found = {one.name: one for one in await self.files.named(organisation, names) if one.mailbox == mailbox}
        return tuple(file_line(name, found.get(name)) for name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLine:
    """One large file on the page of its message."""

    name: str
    called: str
    size: str
    octets: int
    state: str
    mark: str
    says: str


def file_line(name: str, file: LargeFile | None) -> FileLine:
    if file is None:
        says = "It is no longer there. Take it out, and add it again."
        return FileLine(name=name, called="A large file", size="", octets=0, state="gone", mark="", says=says)
    return FileLine(
        name=name,
        called=file.called,
        size=file_size(file.size),
        octets=file.size,
        state=file.state.value,
        mark=file.mark,
        says=_says(file),
    )


def _says(file: LargeFile) -> str:
    match file.state:
        case FileState.COMING:
            done = file.received * 100 // file.size
            return f"{done} % uploaded. To go on, choose the same file again."
        case FileState.WHOLE:
            return "Uploaded. It is being examined."
        case FileState.READY:
            return "Uploaded and examined. Who gets the message fetches it by a link."
        case FileState.REFUSED:
            return f"It cannot be sent. {file.says}"


def names_in(values: Sequence[str]) -> tuple[str, ...]:
    """What a form or a draft names, each once; what can be no name is left out."""
    return tuple(dict.fromkeys(value for value in values if read_name(value) is not None))[:NAMES_MAX]
