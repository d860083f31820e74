"""LIST, LSUB, STATUS and CREATE: arguments to values. RFC 9051 §6.3.9, RFC 5258, RFC 5819, RFC 6154."""

from carepost.base.errors import Malformed
from carepost.wire.imap_commands import Create, List, Lsub, Status, StatusItem
from carepost.wire.imap_lexer import Scanner

_SELECTIONS = frozenset({"SUBSCRIBED", "SPECIAL-USE", "REMOTE", "RECURSIVEMATCH"})
_RETURNS = frozenset({"SUBSCRIBED", "CHILDREN", "SPECIAL-USE"})


def list_folders(scanner: Scanner) -> List:
    scanner.space()
    selections: frozenset[str] = frozenset()
    if scanner.peek(b"("):
        selections = _selections(scanner)
        scanner.space()
    reference = scanner.folder() if not scanner.take(b'""') else ""
    scanner.space()
    patterns = tuple(scanner.listed(scanner.list_pattern)) if scanner.peek(b"(") else (scanner.list_pattern(),)
    returns: set[str] = set()
    items: tuple[StatusItem, ...] = ()
    if scanner.take_word(b" RETURN "):
        returns, items = _returns(scanner)
    if "RECURSIVEMATCH" in selections and "SUBSCRIBED" not in selections:
        raise Malformed("RECURSIVEMATCH needs SUBSCRIBED")
    return List(
        reference=reference,
        patterns=patterns,
        only_subscribed="SUBSCRIBED" in selections,
        only_special_use="SPECIAL-USE" in selections,
        recursive_match="RECURSIVEMATCH" in selections,
        tell_subscribed="SUBSCRIBED" in returns or "SUBSCRIBED" in selections,
        tell_children="CHILDREN" in returns,
        tell_special_use="SPECIAL-USE" in returns or "SPECIAL-USE" in selections,
        status=items,
    )


def _selections(scanner: Scanner) -> frozenset[str]:
    if scanner.take(b"()"):
        return frozenset()
    words = frozenset(word.upper() for word in scanner.listed(scanner.atom))
    if not words <= _SELECTIONS:
        raise Malformed("there is no such selection option")
    return words


def _returns(scanner: Scanner) -> tuple[set[str], tuple[StatusItem, ...]]:
    words: set[str] = set()
    items: tuple[StatusItem, ...] = ()
    if scanner.take(b"()"):
        return words, items
    scanner.expect(b"(")
    while True:
        scanner.count()
        word = scanner.keyword("a return option")
        if word == "STATUS":
            scanner.space()
            items = _status_items(scanner)
        elif word in _RETURNS:
            words.add(word)
        else:
            raise Malformed("there is no such return option")
        if not scanner.take(b" "):
            break
    scanner.expect(b")")
    return words, items


def lsub(scanner: Scanner) -> Lsub:
    scanner.space()
    reference = scanner.folder() if not scanner.take(b'""') else ""
    scanner.space()
    return Lsub(reference, scanner.list_pattern())


def status(scanner: Scanner) -> Status:
    scanner.space()
    name = scanner.folder()
    scanner.space()
    return Status(name, _status_items(scanner))


def _status_items(scanner: Scanner) -> tuple[StatusItem, ...]:
    words = scanner.listed(lambda: scanner.keyword("something to ask of a folder"))
    try:
        return tuple(dict.fromkeys(StatusItem(word) for word in words))
    except ValueError:
        raise Malformed("there is no such thing to ask of a folder") from None


def create(scanner: Scanner) -> Create:
    """RFC 6154 §3: `(USE (\\Archive))`."""
    scanner.space()
    name = scanner.folder()
    special_use = None
    if scanner.take_word(b" (USE "):
        uses = scanner.listed(scanner.flag)
        scanner.expect(b")")
        if len(uses) != 1:
            raise Malformed("a folder has one special use at most")
        special_use = uses[0]
    return Create(name, special_use)
