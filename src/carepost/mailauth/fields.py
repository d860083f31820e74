"""Header fields as bytes, and the tag=value lists that DKIM, ARC and DMARC are written in.

Promises
    Splitting is exact: the fields, the empty line and the body, joined, are the message.
    A field's name is what stands before the first colon, without the white space that RFC 5322 §4.5.3 once allowed
    there: `From :` and a From folded before its colon are From fields, and cannot hide from a check (P12).
    Nothing here raises, save TagError for a list that breaks RFC 6376 §3.2.
"""

from collections.abc import Sequence

# The name in lower case, then the whole field as received, name and final CRLF included.
Field = tuple[bytes, bytes]

TAGS_MAX = 64  # No registered list has more than twenty.
_NAME = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_WHITE = b" \t\r\n"
_VISIBLE = bytes(range(33, 127))  # RFC 5322 §2.2, what a field's name is made of
_TEXT = _WHITE + _VISIBLE + bytes(range(128, 256))


class TagError(ValueError):
    """Not a tag-list: RFC 6376 §3.2."""


def split_message(raw: bytes) -> tuple[list[Field], memoryview]:
    """The header fields in order, and the body. Lines end in CRLF; use `with_crlf` first for files that have none.

    A line that is no field (no colon, or a name that cannot be one) is kept, under the empty name.
    A line that begins with white space continues the field before it, or is a field without a name if it is the first.
    """
    if raw.startswith(b"\r\n"):
        return [], memoryview(raw)[2:]
    end = raw.find(b"\r\n\r\n")
    header = raw if end < 0 else raw[: end + 2]
    body = memoryview(raw)[len(raw) if end < 0 else end + 4 :]
    lines = header.split(b"\r\n")
    if lines[-1] == b"":
        lines.pop()
    fields: list[list[bytes]] = []
    for line in lines:
        if fields and line[:1] in (b" ", b"\t"):
            fields[-1].append(line)
        else:
            fields.append([line])
    ends = header.endswith(b"\r\n")
    joined = [b"\r\n".join(field) + b"\r\n" for field in fields]
    if joined and not ends:
        joined[-1] = joined[-1][:-2]
    return [(field_name(field), field) for field in joined], body


def with_crlf(raw: bytes) -> bytes:
    """A file in Unix lines, as it would travel. A message that has any CRLF is returned as it is."""
    return raw if b"\r\n" in raw else raw.replace(b"\n", b"\r\n")


def field_name(field: bytes) -> bytes:
    """The field's name in lower case; empty if this is no field. RFC 5322 §2.2 and §4.5.3."""
    name, colon, _ = field.partition(b":")
    name = name.strip(_WHITE)
    if not colon or not name or name.translate(None, _VISIBLE):
        return b""
    return name.lower()


def field_value(field: bytes) -> bytes:
    """What follows the colon, as received."""
    return field.partition(b":")[2]


def parse_tags(text: bytes) -> dict[str, str]:
    """A tag-list, white space around names and values removed. Raises TagError. RFC 6376 §3.2."""
    tags: dict[str, str] = {}
    specs = text.split(b";", TAGS_MAX + 1)
    if len(specs) > TAGS_MAX:
        raise TagError("too many tags")
    if not specs[-1].strip(_WHITE):
        specs.pop()  # a final semicolon is allowed
    for spec in specs:
        name_bytes, equals, value = spec.partition(b"=")
        name_bytes = name_bytes.strip(_WHITE)
        if not equals or not name_bytes or not set(name_bytes) <= _NAME or name_bytes[:1].isdigit():
            raise TagError("a tag without a name or a value")
        name = name_bytes.decode("ascii")
        if name in tags:
            raise TagError(f"the tag {name} is there twice")  # §3.2: the whole list is invalid
        tags[name] = _decoded(value.strip(_WHITE))
    return tags


def _decoded(value: bytes) -> str:
    if value.translate(None, _TEXT):
        raise TagError("a control character in a value")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TagError("a value that is not text") from error


def without_space(text: str) -> str:
    """The value with all folding and other white space removed: base64, lists of names. RFC 6376 §2.8."""
    return "".join(text.split())


def listed(text: str) -> tuple[str, ...]:
    """A colon-separated list in lower case, white space removed: `h=`, `q=`, `s=`, `t=`."""
    return tuple(without_space(text).lower().split(":"))


def emptied(field: bytes, tag: bytes = b"b") -> bytes:
    """The field with the value of `tag` deleted and every other byte kept. RFC 6376 §3.7."""
    head, colon, value = field.partition(b":")
    specs = value.split(b";")
    for at, spec in enumerate(specs):
        name, equals, _ = spec.partition(b"=")
        if equals and name.strip(_WHITE) == tag:
            # The last tag's value ends before the field's own CRLF.
            ending = b"\r\n" if at == len(specs) - 1 and spec.endswith(b"\r\n") else b""
            specs[at] = name + b"=" + ending
            break
    return head + colon + b";".join(specs)


def named(fields: Sequence[Field], name: bytes) -> list[bytes]:
    """Every field of this name, in order."""
    return [field for field_name_, field in fields if field_name_ == name]
