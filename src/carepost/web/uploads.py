"""Forms with files: read into memory, never onto a disk in clear.

Promises
    What is uploaded is bounded before its first octet is read, and no more than `at_once` forms are read at a time.
    Nothing is written to a temporary file: a stolen disk shows nothing of what somebody attached.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from carepost.base.errors import Malformed, TryLater
from carepost.message.showing import clean_filename

_WORDS_MAX = 4 << 20  # octets of one field that is no file: the longest letter somebody writes
_UNNAMED = "file"


@dataclass(frozen=True, slots=True)
class Upload:
    """One chosen file. `media_type` is the browser's claim."""

    name: str
    media_type: str
    content: bytes = field(repr=False)


class _InMemory(MultiPartParser):
    """Files are never rolled over to a disk: the length of the whole form was checked before."""

    spool_max_size = 1 << 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploads:
    """What all pages share. Sizes in octets."""

    octets_max: int = 52_000_000  # 35 MB of attachments by what they are, and the form around them
    files_max: int = 50
    at_once: int = 4  # so many times octets_max may be in memory at most
    wait_seconds: float = 20.0
    read_seconds: float = 600.0  # 50 MB over a slow line from a surgery
    _slots: asyncio.Semaphore = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_slots", asyncio.Semaphore(self.at_once))

    async def read(self, request: Request) -> tuple[Mapping[str, Sequence[str]], tuple[Upload, ...]]:
        """(fields, chosen files). Raises Malformed for what is no such form or too large, TryLater when it is busy."""
        length = request.headers.get("content-length", "")
        if not length.isdigit() or "transfer-encoding" in request.headers:
            raise Malformed("The form did not say how long it is.")
        if len(length) > 12 or int(length) > self.octets_max:
            raise Malformed("The files are too large to be sent by email. Send fewer of them, or a link to them.")
        try:
            async with asyncio.timeout(self.wait_seconds):
                await self._slots.acquire()
        except TimeoutError as error:
            raise TryLater("Many files are being uploaded just now. Please try again in a minute.") from error
        try:
            async with asyncio.timeout(self.read_seconds):
                return await self._read(request)
        except TimeoutError as error:
            raise TryLater("The upload took too long. Please try again, with fewer files.") from error
        finally:
            self._slots.release()

    async def _read(self, request: Request) -> tuple[Mapping[str, Sequence[str]], tuple[Upload, ...]]:
        parser = _InMemory(
            request.headers, request.stream(), max_files=self.files_max, max_fields=1_000, max_part_size=_WORDS_MAX
        )
        try:
            form = await parser.parse()
        except (MultiPartException, KeyError, ValueError) as error:
            raise Malformed("The form could not be read.") from error
        fields: dict[str, list[str]] = {}
        files: list[Upload] = []
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                content = value.file.read()
                value.file.close()
                if value.filename or content:
                    kind = (value.content_type or "application/octet-stream").partition(";")[0].strip().lower()
                    files.append(Upload(clean_filename(value.filename or "") or _UNNAMED, kind, content))
            else:
                fields.setdefault(name, []).append(value)
        return fields, tuple(files)
