"""Every file that any reader might find in a message: our reading, a second one, and what hides between them. PURE.

Promises
    Union scanning (M3): what a more forgiving reader would decode is decoded here too, whatever the structure says.
    Nothing is put together from pieces (message/partial) and nothing is fetched (message/external-body).
    Bounded: `complete` is False when there was more than we take.
"""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote_to_bytes

import fast_mail_parser

from carepost.message.charsets import decode
from carepost.message.defects import Defect
from carepost.message.encodings import decode_base64, decode_header, decode_uu
from carepost.message.model import Message, Part
from carepost.message.second_reading import disagreements, is_bearable, second_reading

# What makes readers differ. With any of these in a message, every view is taken; without, only the cheap ones.
SUSPICIOUS = frozenset(
    {
        Defect.TOO_DEEP, Defect.TOO_MANY_PARTS, Defect.NO_BOUNDARY, Defect.BOUNDARY_NEVER_FOUND,
        Defect.BOUNDARY_LOOKALIKE, Defect.BOUNDARY_REUSED, Defect.PARTS_AFTER_CLOSE, Defect.MULTIPART_ENCODED,
        Defect.MESSAGE_ENCODED, Defect.HEADER_TOO_LARGE, Defect.TOO_MANY_HEADERS, Defect.TOO_MANY_PARAMETERS,
        Defect.SPACE_BEFORE_COLON, Defect.NO_BLANK_LINE, Defect.DUPLICATE_CONTENT_TYPE, Defect.DUPLICATE_ENCODING,
        Defect.DUPLICATE_DISPOSITION, Defect.DUPLICATE_PARAMETER, Defect.BAD_CONTENT_TYPE,
        Defect.COMMENT_IN_MIME_HEADER, Defect.FILENAME_CONFLICT, Defect.FILENAME_ENCODED_WORD, Defect.NUL,
        Defect.BARE_CR, Defect.BAD_BASE64, Defect.UNKNOWN_ENCODING, Defect.UUENCODED, Defect.YENCODED,
    }
)  # fmt: skip


class By(StrEnum):
    """Which reading found it."""

    US = "our reading"
    OTHER = "a second reading"
    FORGIVING = "a forgiving reading"


@dataclass(frozen=True, slots=True)
class Content:
    """One file or body. `names` are as the sender wrote them: for judging, not for showing."""

    names: tuple[str, ...]
    data: bytes
    is_attachment: bool
    media_type: str
    by: By


@dataclass(frozen=True, slots=True)
class Contents:
    """`disagreements` say, in words, what two readings see differently; empty when they agree."""

    files: tuple[Content, ...]
    disagreements: tuple[str, ...]
    complete: bool

    @property
    def size(self) -> int:
        return sum(len(file.data) for file in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentLimits:
    """How much of a message is taken into views. Twice the largest message that is accepted by default, and more."""

    views: int = 200
    view_bytes: int = 100_000_000


# Base64 that nothing declares: at least sixteen letters in a row, then lines of it.
_RUN = re.compile(rb"[A-Za-z0-9+/]{16,}={0,2}(?:[ \t]*\r?\n[ \t]*[A-Za-z0-9+/]{4,}={0,2})*")
# Each letter of base64 as one and the same; everything else as another.
_LETTERS = bytes(
    0x41 if chr(code).isascii() and (chr(code).isalnum() or chr(code) in "+/") else 0x20 for code in range(256)
)
_SIXTEEN = b"A" * 16
_RUN_MIN = 64  # EICAR, the smallest file we care about, is 92 letters long
_BIG_PART = 65_536
_QP_MARK = re.compile(rb"=[0-9A-Fa-f]{2}|=[ \t]*\r?\n")
_UU_NAME = re.compile(rb"(?:^|\n)begin(?:-base64)? [0-7]{3,4} ([^\r\n]{1,255})")
_YENC = re.compile(
    rb"(?:^|\n)=ybegin [^\r\n]*?name=([^\r\n]{1,255})\r?\n(?:=ypart[^\r\n]*\r?\n)?(.*?)(?:\r?\n=yend|\Z)", re.S
)
_ANY_NAME = re.compile(
    rb"(?:file)?name(?:\*\d{0,3}\*?)?[ \t]*=[ \t]*(\"(?:[^\"\\]|\\.){0,1000}\"|[^;\s]{1,1000})", re.IGNORECASE
)


def read_contents(message: Message, limits: ContentLimits | None = None) -> Contents:
    """Never raises on a message that `parse` gave."""
    limits = limits or ContentLimits()
    views = _Views(limits)
    for _, part in message.leaves():
        views.add(_our_content(message, part))
    second = second_reading(message.raw)
    differ = tuple(disagreements(message, second))
    suspicious = bool(message.defects & SUSPICIOUS)
    for found in _undeclared_base64(message):
        views.add(found)
    if suspicious or differ:
        for found in _forgiving(message):
            views.add(found)
        for found in _others(message.raw):
            views.add(found)
    return Contents(tuple(views.files), differ, views.complete)


class _Views:
    """Collects what is new, up to the limits."""

    def __init__(self, limits: ContentLimits) -> None:
        self.files: list[Content] = []
        self.complete = True
        self._limits = limits
        self._bytes = 0
        self._seen: set[tuple[int, bytes]] = set()

    def add(self, content: Content) -> None:
        if content.by is not By.US:
            key = (len(content.data), content.data[:256] + content.data[-64:])
            if key in self._seen or not content.data:
                return
            if len(self.files) >= self._limits.views or self._bytes > self._limits.view_bytes:
                self.complete = False
                return
        self._seen.add((len(content.data), content.data[:256] + content.data[-64:]))
        self._bytes += len(content.data)
        self.files.append(content)


def _our_content(message: Message, part: Part) -> Content:
    return Content(
        names=_names(message, part),
        data=message.body_bytes(part),
        is_attachment=part.is_attachment(),
        media_type=part.media_type,
        by=By.US,
    )


def _names(message: Message, part: Part) -> tuple[str, ...]:
    """Every name that some reader might give the part."""
    names = [part.disposition_params.get("filename", ""), part.params.get("name", "")]
    head = message.raw[part.header.start : min(part.header.end, part.header.start + 16_384)]
    if message.defects & {Defect.FILENAME_CONFLICT, Defect.DUPLICATE_PARAMETER, Defect.DUPLICATE_DISPOSITION,
                          Defect.DUPLICATE_CONTENT_TYPE, Defect.FILENAME_ENCODED_WORD}:  # fmt: skip
        for found in _ANY_NAME.finditer(head):
            value = found[1].strip(b'"')
            names += [decode_header(value), decode(unquote_to_bytes(value.rpartition(b"''")[2]))]
    return tuple(dict.fromkeys(name for name in names if name))


def _undeclared_base64(message: Message) -> Iterator[Content]:
    """Base64 outside the parts that declare it: wrong boundaries, duplicate fields and broken parts end up here."""
    raw, at = message.raw, 0
    declared = sorted(
        (part.body.start, part.body.end) for _, part in message.leaves() if part.encoding == "base64" and part.body.size
    )
    for start, end in [*declared, (len(raw), len(raw))]:
        if start > at:
            yield from _runs(raw, at, start)
        at = max(at, end)


def _runs(raw: bytes, start: int, end: int) -> Iterator[Content]:
    """What the pattern finds from left to right. Where it may begin is found by bytes.find, in a tenth of the time."""
    marks, at = raw[start:end].translate(_LETTERS), 0
    while (at := marks.find(_SIXTEEN, at)) >= 0:
        run = _RUN.match(raw, start + at, end)
        if run is None:  # cannot be: sixteen letters are all it asks for
            return
        if run.end() - run.start() >= _RUN_MIN:
            yield Content((), decode_base64(run[0]), is_attachment=False, media_type="", by=By.FORGIVING)
        at = run.end() - start


def _forgiving(message: Message) -> Iterator[Content]:
    """What is found by ignoring what the message says about itself."""
    for _, part in message.leaves():
        body = message.raw[part.body.start : part.body.end]
        names = _names(message, part)
        if part.encoding == "base64" and Defect.BAD_BASE64 in message.defects:
            yield _view(names, _past_padding(body))
            yield _view(names, _up_to_padding(body))
        if part.encoding != "base64" and len(body) > _RUN_MIN and not body[:4096].strip(_BASE64_BYTES):
            yield _view(names, decode_base64(body))
        if part.encoding != "quoted-printable" and _QP_MARK.search(body):
            yield _view(names, binascii.a2b_qp(body))
        text = message.body_bytes(part)
        for name, data in _embedded(text):
            yield _view((name,), data)
    if _QP_MARK.search(message.raw):
        yield _view((), binascii.a2b_qp(message.raw))


_BASE64_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\r\n\t "


def _view(names: tuple[str, ...], data: bytes) -> Content:
    return Content(names, data, is_attachment=False, media_type="", by=By.FORGIVING)


def _past_padding(body: bytes) -> bytes:
    """As a reader that skips padding in the middle as if it were not there."""
    letters = re.sub(rb"[^A-Za-z0-9+/]", b"", body)
    try:
        return binascii.a2b_base64(letters[: len(letters) // 4 * 4])
    except binascii.Error:
        return b""


def _up_to_padding(body: bytes) -> bytes:
    """As a reader that stops at the first padding."""
    return decode_base64(body.partition(b"=")[0])


def _embedded(text: bytes) -> Iterator[tuple[str, bytes]]:
    """Files of the time before MIME."""
    for found in _UU_NAME.finditer(text):
        yield decode(found[1]), decode_uu(text[found.start() :])
    for found in _YENC.finditer(text):
        yield decode(found[1]), _decode_yenc(found[2])


_YENC_SHIFT = bytes((byte - 42) % 256 for byte in range(256))


def _decode_yenc(data: bytes) -> bytes:
    lines = data.replace(b"\r", b"").replace(b"\n", b"")
    escaped = re.sub(rb"=(.)", lambda found: bytes([(found[1][0] - 64) % 256]), lines, flags=re.S)
    return escaped.translate(_YENC_SHIFT)


def _others(raw: bytes) -> Iterator[Content]:
    """The attachments that the second reader finds, decoded its way."""
    if not is_bearable(raw):
        return  # the disagreement says so
    try:
        mail = fast_mail_parser.parse_email(raw)
    except Exception:  # noqa: BLE001 - the disagreement is known already; a reader that breaks adds nothing
        return
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        return
    for attachment in mail.attachments:
        names = (attachment.filename,) if attachment.filename else ()
        yield Content(
            names, bytes(attachment.content), is_attachment=True, media_type=str(attachment.mimetype), by=By.OTHER
        )
