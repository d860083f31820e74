"""FETCH, STORE and COPY/MOVE: arguments to values. RFC 9051 §6.4.5-6.4.8, RFC 7162 §3.1, RFC 3516."""

from carepost.base.errors import Malformed
from carepost.wire.imap_commands import (
    Attribute,
    BinarySize,
    Copy,
    Fetch,
    FetchItem,
    Partial,
    Section,
    SectionText,
    Store,
    StoreMode,
)
from carepost.wire.imap_lexer import Scanner
from carepost.wire.imap_sets import number_set

_FAST = (Attribute.FLAGS, Attribute.INTERNALDATE, Attribute.RFC822_SIZE)
MACROS: dict[str, tuple[FetchItem, ...]] = {
    "FAST": _FAST,
    "ALL": (*_FAST, Attribute.ENVELOPE),
    "FULL": (*_FAST, Attribute.ENVELOPE, Attribute.BODY),
}
_OLD_ITEMS: dict[str, Section] = {
    "RFC822": Section(label=b"RFC822"),
    "RFC822.HEADER": Section(text=SectionText.HEADER, peek=True, label=b"RFC822.HEADER"),
    "RFC822.TEXT": Section(text=SectionText.TEXT, label=b"RFC822.TEXT"),
}
# A message nested deeper than this is not one that a client could have been shown.
_PART_NUMBERS_MAX = 100


def fetch(scanner: Scanner, *, uid: bool) -> Fetch:
    scanner.space()
    numbers = number_set(scanner)
    scanner.space()
    items = _items(scanner)
    changed_since = None
    if scanner.take(b" ("):
        if scanner.keyword("CHANGEDSINCE") != "CHANGEDSINCE":
            # VANISHED belongs to QRESYNC, which is not offered.
            raise Malformed("expected CHANGEDSINCE")
        scanner.space()
        changed_since = scanner.number64()
        scanner.expect(b")")
    if uid and Attribute.UID not in items:
        items = (Attribute.UID, *items)
    if changed_since is not None and Attribute.MODSEQ not in items:
        items = (*items, Attribute.MODSEQ)  # RFC 7162 §3.1.4.1
    return Fetch(numbers=numbers, uid=uid, items=items, changed_since=changed_since)


def _items(scanner: Scanner) -> tuple[FetchItem, ...]:
    if scanner.peek(b"("):
        items = scanner.listed(lambda: _item(scanner))
        return tuple(dict.fromkeys(items))
    for name, items_of_macro in MACROS.items():
        if scanner.peek_word(name.encode()):
            scanner.take_word(name.encode())
            return items_of_macro
    return (_item(scanner),)


def _item(scanner: Scanner) -> FetchItem:
    for name, decoded in ((b"BODY", False), (b"BINARY", True)):
        for peek, suffix in ((True, b".PEEK["), (False, b"[")):
            if scanner.take_word(name + suffix):
                return _section(scanner, peek=peek, decoded=decoded)
    if scanner.take_word(b"BINARY.SIZE["):
        part = _part(scanner)
        scanner.expect(b"]")
        return BinarySize(part, b"BINARY.SIZE[%s]" % _numbered(part))
    name_of_item = scanner.keyword("something to fetch")
    old = _OLD_ITEMS.get(name_of_item)
    if old is not None:
        return old
    try:
        return Attribute(name_of_item)
    except ValueError:
        raise Malformed("there is no such thing to fetch") from None


def _section(scanner: Scanner, *, peek: bool, decoded: bool) -> Section:
    part = _part(scanner)
    text = SectionText.ALL
    fields: tuple[bytes, ...] = ()
    if not decoded and not scanner.peek(b"]"):
        text, fields = _section_text(scanner, part)
    scanner.expect(b"]")
    partial = _partial(scanner)
    label = b"%s[%s]" % (b"BINARY" if decoded else b"BODY", _section_label(part, text, fields))
    if partial is not None:
        label += b"<%d>" % partial.start
    return Section(part=part, text=text, fields=fields, partial=partial, peek=peek, decoded=decoded, label=label)


def _part(scanner: Scanner) -> tuple[int, ...]:
    """`1.2.3` or nothing; a dot that leads to a word is left behind with it."""
    numbers: list[int] = []
    while not scanner.peek(b"]") and _digit_next(scanner):
        number = scanner.number("the number of a part")
        if number == 0 or len(numbers) == _PART_NUMBERS_MAX:
            raise Malformed("there is no such part")
        numbers.append(number)
        if not scanner.take(b"."):
            break
    return tuple(numbers)


def _digit_next(scanner: Scanner) -> bool:
    return any(scanner.peek(b"%d" % digit) for digit in range(10))


def _section_text(scanner: Scanner, part: tuple[int, ...]) -> tuple[SectionText, tuple[bytes, ...]]:
    for text in (
        SectionText.HEADER_FIELDS_NOT,
        SectionText.HEADER_FIELDS,
        SectionText.HEADER,
        SectionText.TEXT,
        SectionText.MIME,
    ):
        if not scanner.take_word(text.encode()):
            continue
        if text is SectionText.MIME and not part:
            raise Malformed("MIME needs the number of a part")
        if text in (SectionText.HEADER_FIELDS, SectionText.HEADER_FIELDS_NOT):
            scanner.space()
            return text, tuple(scanner.listed(lambda: _field_name(scanner)))
        return text, ()
    raise Malformed("there is no such section")


def _field_name(scanner: Scanner) -> bytes:
    name = scanner.astring("the name of a header field")
    # RFC 5322 §2.2: printable ASCII without a colon. Anything else names no field and could break the answer.
    if not name or any(not 0x21 <= octet <= 0x7E or octet == 0x3A for octet in name):
        raise Malformed("expected the name of a header field")
    return name.upper()


def _partial(scanner: Scanner) -> Partial | None:
    if not scanner.take(b"<"):
        return None
    start = scanner.number64()
    scanner.expect(b".")
    length = scanner.number64()
    scanner.expect(b">")
    if length == 0:
        raise Malformed("a part of no octets can't be fetched")
    return Partial(start, length)


def _section_label(part: tuple[int, ...], text: SectionText, fields: tuple[bytes, ...]) -> bytes:
    words = [_numbered(part)] if part else []
    if text is not SectionText.ALL:
        words.append(text.value.encode())
    label = b".".join(words)
    return label + b" (" + b" ".join(_quotable(field) for field in fields) + b")" if fields else label


def _quotable(field: bytes) -> bytes:
    if all(octet not in b'()[]{%*"\\' for octet in field):
        return field
    return b'"' + field.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def _numbered(part: tuple[int, ...]) -> bytes:
    return b".".join(b"%d" % number for number in part)


def store(scanner: Scanner, *, uid: bool) -> Store:
    scanner.space()
    numbers = number_set(scanner)
    scanner.space()
    unchanged_since = None
    if scanner.take(b"("):
        if scanner.keyword("UNCHANGEDSINCE") != "UNCHANGEDSINCE":
            raise Malformed("expected UNCHANGEDSINCE")
        scanner.space()
        unchanged_since = scanner.number64()
        scanner.expect(b")")
        scanner.space()
    word = scanner.keyword("FLAGS, +FLAGS or -FLAGS")
    silent = word.endswith(".SILENT")
    try:
        mode = StoreMode(word.removesuffix(".SILENT"))
    except ValueError:
        raise Malformed("expected FLAGS, +FLAGS or -FLAGS") from None
    scanner.space()
    return Store(
        numbers=numbers,
        uid=uid,
        mode=mode,
        silent=silent,
        flags=flags_to_set(scanner),
        unchanged_since=unchanged_since,
    )


def flags_to_set(scanner: Scanner) -> tuple[str, ...]:
    """`(\\Seen $Forwarded)`, `()` or, for STORE, the same without parentheses."""
    if scanner.take(b"()"):
        return ()
    if scanner.peek(b"("):
        return tuple(scanner.listed(scanner.flag))
    flags = [scanner.flag()]
    while scanner.take(b" "):
        flags.append(scanner.flag())
    return tuple(flags)


def copy(scanner: Scanner, *, uid: bool, move: bool) -> Copy:
    scanner.space()
    numbers = number_set(scanner)
    scanner.space()
    return Copy(numbers=numbers, uid=uid, to=scanner.folder(), move=move)
