"""Content-Type and its relatives: a value and its parameters (RFC 2045 §5.1, RFC 2231).

Promises
    Comments, folding, missing quotes and missing semicolons are read the way most readers do, in linear time.
    The first of two equal parameters counts; a defect says that there were two.
    An extended parameter (RFC 2231) wins over a plain one; a defect says when they disagree.
"""

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from carepost.message import charsets
from carepost.message.defects import Defect
from carepost.message.encodings import decode_header

PARAMETERS_MAX = 128  # M1; two mail servers have had to patch a bomb made of these
VALUE_MAX = 8_192  # characters of one decoded parameter
CONSIDERED_MAX = 65_536  # bytes of one field's value

# Text here is octets as latin-1: 0x85 and 0xA0 are pieces of UTF-8 characters, not white space.
WHITE = " \t\r\n\v\f"
_PIECE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[^";(]+|\(|;', re.DOTALL)
# Possessive throughout: a failed match must not try its white space again in every other way.
_SIMPLE = re.compile(
    r"""\s*+([^\s;="()<>]++)\s*+(?:;\s*+([A-Za-z0-9_-]++)=("[^"\\]*+"|[^\s;="()]++)\s*+)?+;?\s*+""", re.ASCII
)
_RUN_TOGETHER = re.compile(r"\s[A-Za-z0-9_*-]{1,40}\s{0,8}=", re.ASCII)
_SECTION = re.compile(r"([^*]+)(?:\*(\d{1,4}))?(\*)?", re.ASCII)
_TSPECIALS = re.compile(r'[\s()<>@,;:\\"/\[\]?=]', re.ASCII)


class Parameter(NamedTuple):
    """One as it stands on the wire: its name in lower case, its value without quotes, not decoded."""

    name: str
    value: str
    quoted: bool


class Value(NamedTuple):
    """A structured field, its characters still the wire's octets (latin-1)."""

    text: str
    parameters: tuple[Parameter, ...]
    defects: frozenset[Defect]


_NOTHING_WRONG: frozenset[Defect] = frozenset()


def read_value(raw: bytes, limit: int = PARAMETERS_MAX) -> Value:
    """`raw` is an unfolded field value. Never raises."""
    text = raw[:CONSIDERED_MAX].decode("latin-1")
    simple = _SIMPLE.fullmatch(text)
    if simple is not None:
        name, value = simple[2], simple[3]
        if name is None:
            return Value(simple[1], (), _NOTHING_WRONG)
        quoted = value.startswith('"')
        return Value(simple[1], (Parameter(name.lower(), value.strip('"'), quoted),), _NOTHING_WRONG)
    return _read_slowly(text, limit)


def _read_slowly(text: str, limit: int) -> Value:
    defects: set[Defect] = set()
    first, *segments = _segments(text, limit, defects)
    parameters: list[Parameter] = []
    seen: set[str] = set()
    for segment in segments:
        parameter = _parameter(segment)
        if parameter is None:
            continue
        if parameter.name in seen:
            defects.add(Defect.DUPLICATE_PARAMETER)
            continue
        seen.add(parameter.name)
        parameters.append(parameter)
    head = "".join(piece for piece, _ in first).strip(WHITE)
    if _RUN_TOGETHER.search(head):  # "text/plain charset=x": a semicolon is missing
        defects.add(Defect.BAD_CONTENT_TYPE)
        head, _, rest = head.partition(" ")
        parameter = _parameter([(rest, False)])
        if parameter is not None and parameter.name not in seen:
            parameters.insert(0, parameter)
    return Value(head, tuple(parameters), frozenset(defects))


def _segments(text: str, limit: int, defects: set[Defect]) -> list[list[tuple[str, bool]]]:
    """Split at semicolons outside quotes and comments; comments go. Each piece says whether it was quoted."""
    segments: list[list[tuple[str, bool]]] = [[]]
    position = 0
    while piece := _PIECE.match(text, position):
        position = piece.end()
        word = piece[0]
        if word == ";":
            if len(segments) > limit:
                defects.add(Defect.TOO_MANY_PARAMETERS)
                break
            segments.append([])
        elif word == "(":
            defects.add(Defect.COMMENT_IN_MIME_HEADER)
            position = skip_comment(text, position)
        elif word.startswith('"'):
            segments[-1].append((unquote(word), True))
        else:
            segments[-1].append((word, False))
    return segments


_COMMENT_MARK = re.compile(r"[()]|\\.", re.DOTALL)


def skip_comment(text: str, position: int) -> int:
    """Where the comment ends whose "(" stands just before `position`. Counts, so depth costs nothing."""
    depth = 1
    for mark in _COMMENT_MARK.finditer(text, position):
        if mark[0] == "(":
            depth += 1
        elif mark[0] == ")":
            depth -= 1
            if not depth:
                return mark.end()
    return len(text)


_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)


def unquote(word: str) -> str:
    """A quoted-string's content, also when its end is missing."""
    inner = word[1:-1] if len(word) > 1 and word.endswith('"') and not word.endswith('\\"') else word[1:]
    if word.endswith('\\\\"') and len(word) > 1:
        inner = word[1:-1]
    return _QUOTED_PAIR.sub(r"\1", inner) if "\\" in inner else inner


def _parameter(segment: list[tuple[str, bool]]) -> Parameter | None:
    bare = "".join(piece for piece, is_quoted in segment if not is_quoted)
    name, equals, value = bare.partition("=")
    name = name.strip(WHITE).lower()
    if not name or not equals:
        return None
    quoted = [piece for piece, is_quoted in segment if is_quoted]
    if quoted:
        # Only what stands in the quotes: some readers glue the rest on, so the rest is dropped for all.
        return Parameter(name, "".join(quoted), True)
    value = value.strip(WHITE)
    run_together = _RUN_TOGETHER.search(value)
    return Parameter(name, value[: run_together.start()] if run_together else value, False)


def decode_parameters(parameters: tuple[Parameter, ...]) -> tuple[dict[str, str], set[Defect]]:
    """Names to text: continuations joined, percent and charset decoded, encoded words decoded. RFC 2231 §3, §4."""
    defects: set[Defect] = set()
    plain: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[str, bool]]] = {}
    for name, value, _ in parameters:
        match = _SECTION.fullmatch(name) if "*" in name else None
        if match is None:
            plain[name] = _plain(value)
        else:
            numbered = sections.setdefault(match[1], {})
            numbered.setdefault(int(match[2] or 0), (value, match[3] is not None))
    for name, numbered in sections.items():
        value = _joined(numbered)
        if plain.get(name, value) != value:
            defects.add(Defect.FILENAME_CONFLICT if name in {"name", "filename"} else Defect.DUPLICATE_PARAMETER)
        plain[name] = value
    return plain, defects


def _plain(value: str) -> str:
    if value.isascii() and "=?" not in value:
        return value[:VALUE_MAX]
    return decode_header(value[:CONSIDERED_MAX].encode("latin-1", "replace"))[:VALUE_MAX]


def _joined(numbered: dict[int, tuple[str, bool]]) -> str:
    charset = ""
    out: list[bytes] = []
    for index, number in enumerate(sorted(numbered)):
        value, extended = numbered[number]
        if not extended:
            out.append(value.encode("latin-1", "replace"))
            continue
        if index == 0 and value.count("'") >= 2:
            charset, _, value = value.split("'", 2)
        out.append(unquote_to_bytes(value))
    return charsets.decode(b"".join(out), charset)[:VALUE_MAX]


def needs_quotes(value: str) -> bool:
    """Whether `value` may stand in a parameter only inside quotes. RFC 2045 §5.1."""
    return _TSPECIALS.search(value) is not None
