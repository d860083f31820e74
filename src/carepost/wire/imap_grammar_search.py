"""SEARCH: arguments to one key. RFC 9051 §6.4.4, RFC 4731, RFC 5032, RFC 7162 §3.1.5.

Promises
    Depth and number of keys are bounded by the scanner (P23).
    Strings are decoded from the charset that was named; another charset than UTF-8 or US-ASCII raises BadCharset.
"""

from datetime import date, timedelta

from carepost.base.errors import Malformed
from carepost.wire.imap_commands import Return, Search
from carepost.wire.imap_lexer import Scanner, utf8
from carepost.wire.imap_search_keys import (
    AllOf,
    AnyOf,
    Between,
    BodyHas,
    DateField,
    HasFlag,
    HeaderHas,
    InNumbers,
    LargerThan,
    ModseqFrom,
    Not,
    SearchKey,
    SmallerThan,
    Younger,
)
from carepost.wire.imap_sets import number_set


class BadCharset(Malformed):
    """Answered with NO [BADCHARSET (UTF-8)]. RFC 9051 §7.1."""


_EVERYTHING = AllOf(())
_FLAG_KEYS: dict[str, SearchKey] = {
    "ALL": _EVERYTHING,
    "ANSWERED": HasFlag("\\Answered"),
    "DELETED": HasFlag("\\Deleted"),
    "DRAFT": HasFlag("\\Draft"),
    "FLAGGED": HasFlag("\\Flagged"),
    "SEEN": HasFlag("\\Seen"),
    "UNANSWERED": Not(HasFlag("\\Answered")),
    "UNDELETED": Not(HasFlag("\\Deleted")),
    "UNDRAFT": Not(HasFlag("\\Draft")),
    "UNFLAGGED": Not(HasFlag("\\Flagged")),
    "UNSEEN": Not(HasFlag("\\Seen")),
    # Nothing is ever \Recent here, as RFC 9051 has it: OLD is everything, NEW and RECENT nothing.
    "OLD": _EVERYTHING,
    "NEW": Not(_EVERYTHING),
    "RECENT": Not(_EVERYTHING),
}
_HEADER_KEYS = {"BCC": b"BCC", "CC": b"CC", "FROM": b"FROM", "SUBJECT": b"SUBJECT", "TO": b"TO"}
_DATE_KEYS = {
    "BEFORE": (DateField.INTERNAL, "before"),
    "ON": (DateField.INTERNAL, "on"),
    "SINCE": (DateField.INTERNAL, "since"),
    "SENTBEFORE": (DateField.SENT, "before"),
    "SENTON": (DateField.SENT, "on"),
    "SENTSINCE": (DateField.SENT, "since"),
}


def search(scanner: Scanner, *, uid: bool, keys_max: int) -> Search:
    returns = None
    if scanner.take_word(b" RETURN "):
        returns = _returns(scanner)
    charset = "US-ASCII"
    if scanner.take_word(b" CHARSET "):
        charset = scanner.astring("a charset").decode("ascii", "replace").upper()
        if charset not in ("UTF-8", "US-ASCII"):
            raise BadCharset("searches are understood in UTF-8 only")
    keys: list[SearchKey] = []
    reader = _KeyReader(scanner, keys_max)
    while scanner.take(b" "):
        if keys and scanner.at_end():
            break
        keys.append(reader.key())
    if not keys:
        raise Malformed("expected something to search for")
    key = keys[0] if len(keys) == 1 else AllOf(tuple(keys))
    return Search(key=key, uid=uid, returns=returns, uses_modseq=reader.uses_modseq)


def _returns(scanner: Scanner) -> frozenset[Return]:
    if scanner.take(b"()"):
        return frozenset({Return.ALL})
    words = scanner.listed(lambda: scanner.keyword("MIN, MAX, ALL, COUNT or SAVE"))
    try:
        return frozenset(Return(word) for word in words)
    except ValueError:
        raise Malformed("expected MIN, MAX, ALL, COUNT or SAVE") from None


class _KeyReader:
    """One key after another; remembers whether MODSEQ was among them."""

    __slots__ = ("_left", "_scanner", "uses_modseq")

    def __init__(self, scanner: Scanner, keys_max: int) -> None:
        self._scanner = scanner
        self._left = keys_max
        self.uses_modseq = False

    def key(self) -> SearchKey:
        scanner = self._scanner
        self._left -= 1
        if self._left < 0:
            raise Malformed("too many things to search for at once")
        if scanner.take(b"("):
            return self._group()
        if scanner.peek(b"*") or scanner.peek(b"$") or any(scanner.peek(b"%d" % digit) for digit in range(1, 10)):
            return InNumbers(number_set(scanner), uid=False)
        word = scanner.keyword("something to search for")
        plain = _FLAG_KEYS.get(word)
        if plain is not None:
            return plain
        scanner.space()
        if word in ("NOT", "OR"):
            return self._compound(word)
        if word in _DATE_KEYS:
            return self._date(word)
        if word in _HEADER_KEYS:
            return HeaderHas(_HEADER_KEYS[word], self._text())
        return self._with_argument(word)

    def _group(self) -> SearchKey:
        scanner = self._scanner
        scanner.deeper()
        keys = [self.key()]
        while scanner.take(b" "):
            keys.append(self.key())
        scanner.expect(b")")
        scanner.shallower()
        return keys[0] if len(keys) == 1 else AllOf(tuple(keys))

    def _compound(self, word: str) -> SearchKey:
        scanner = self._scanner
        scanner.deeper()
        first = self.key()
        if word == "NOT":
            key: SearchKey = Not(first)
        else:
            scanner.space()
            key = AnyOf((first, self.key()))
        scanner.shallower()
        return key

    def _date(self, word: str) -> SearchKey:
        what, how = _DATE_KEYS[word]
        day = self._scanner.date()
        return Between(
            what,
            since=day if how in ("on", "since") else None,
            before=_next_day(day) if how == "on" else day if how == "before" else None,
        )

    def _with_argument(self, word: str) -> SearchKey:
        scanner = self._scanner
        match word:
            case "UID":
                return InNumbers(number_set(scanner), uid=True)
            case "KEYWORD":
                return HasFlag(scanner.flag())
            case "UNKEYWORD":
                return Not(HasFlag(scanner.flag()))
            case "LARGER":
                return LargerThan(scanner.number64())
            case "SMALLER":
                return SmallerThan(scanner.number64())
            case "YOUNGER":
                return Younger(scanner.number())
            case "OLDER":
                return Not(Younger(scanner.number()))
            case "BODY":
                return BodyHas(self._text(), header_too=False)
            case "TEXT":
                return BodyHas(self._text(), header_too=True)
            case "HEADER":
                name = utf8(scanner.astring("the name of a header field"), "the name").upper().encode()
                scanner.space()
                return HeaderHas(name, self._text())
            case "MODSEQ":
                return self._modseq()
            case _:
                raise Malformed("there is no such thing to search for")

    def _modseq(self) -> SearchKey:
        scanner = self._scanner
        if scanner.peek(b'"'):
            scanner.string()  # RFC 7162 §3.1.5: the metadata item; we keep one mod-sequence for all of them.
            scanner.space()
            scanner.keyword("priv, shared or all")
            scanner.space()
        self.uses_modseq = True
        return ModseqFrom(scanner.number64())

    def _text(self) -> str:
        return utf8(self._scanner.astring("the words to search for"), "the words to search for")


def _next_day(day: date) -> date:
    try:
        return day + timedelta(days=1)
    except OverflowError:
        raise Malformed("no such day") from None
