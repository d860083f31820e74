"""Whose name a message bears: the From field, read so strictly that no two readers could differ. P12.

Promises
    `domains` holds one name only if the header has exactly one From field with exactly one plain address in it.
    Whatever another program might read differently is a `fault`: a second field, a route, a group, a comment inside an
    address, an encoded word where an address should be, text behind the address, control characters.
    Nothing is decoded here, and nothing raises; time is proportional to the field.

The carepost.message package reads fields generously, to show them; this module reads one strictly, to trust it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from carepost.base.address import Domain
from carepost.base.errors import Malformed
from carepost.mailauth.fields import Field, field_value, named

FIELD_BYTES_MAX = 16_384  # RFC 5322 has no limit; a From with one address and a long name is under 1,000 octets
COMMENT_DEPTH_MAX = 10
_SPECIALS = frozenset('()<>[]:;@\\,."')
_WHITE = " \t"


@dataclass(frozen=True, slots=True)
class Author:
    """`fault` is empty if there is one address and no doubt about it; then, and only then, `domains` has one entry.

    In doubt, `domains` is what could be read, and "" for an author who could not: `check_dmarc` fails on it.
    """

    address: str = ""  # the one address, its domain in lower-case A-labels
    domains: tuple[str, ...] = ()  # for check_dmarc, which looks for the strictest policy among them
    fault: str = ""


class _Doubt(Exception):
    pass


def read_author(headers: Sequence[Field]) -> Author:
    """The author of a message, or why there is doubt about it. RFC 5322 §3.6.2, RFC 7489 §6.6.1."""
    fields = named(headers, b"from")
    if not fields:
        return Author(fault="there is no From field")
    domains: list[str] = []
    addresses: list[str] = []
    fault = "there is more than one From field" if len(fields) > 1 else ""
    for field in fields[:3]:
        try:
            for mailbox in _mailboxes(field_value(field)):
                address, domain = _address(mailbox)
                addresses.append(address)
                domains.append(domain)
        except _Doubt as doubt:
            fault = fault or str(doubt)
    if not fault and len(addresses) > 1:
        fault = "the From field holds more than one address"
    if fault:
        return Author(domains=(*dict.fromkeys(domains), "") if domains else (), fault=fault)
    return Author(addresses[0], tuple(domains))


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # "atom", "quoted", "comment", "white", "literal", or the special character itself
    text: str


def _mailboxes(value: bytes) -> list[list[_Token]]:
    """The field's tokens, parted at its commas."""
    if len(value) > FIELD_BYTES_MAX:
        raise _Doubt("the From field is too long")
    text = value.replace(b"\r\n", b"").decode("utf-8", "surrogateescape")
    if any((c < " " and c != "\t") or c == "\x7f" for c in text):
        raise _Doubt("the From field holds control characters")
    mailboxes: list[list[_Token]] = [[]]
    for token in _tokens(text):
        if token.kind == ",":
            mailboxes.append([])
        else:
            mailboxes[-1].append(token)
    return mailboxes


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        start, c = at, text[at]
        if c in _WHITE:
            while at < len(text) and text[at] in _WHITE:
                at += 1
            yield _Token("white", text[start:at])
        elif c == "(":
            at = _end_of_comment(text, at)
            yield _Token("comment", text[start:at])
        elif c == '"':
            at = _end_of_quoted(text, at)
            yield _Token("quoted", text[start:at])
        elif c == "[":
            at = text.find("]", at) + 1
            if at == 0:
                raise _Doubt("the From field has a bracket that is never closed")
            yield _Token("literal", text[start:at])
        elif c in _SPECIALS:
            at += 1
            yield _Token(c, c)
        else:
            while at < len(text) and text[at] not in _SPECIALS and text[at] not in _WHITE:
                at += 1
            yield _Token("atom", text[start:at])


def _end_of_comment(text: str, at: int) -> int:
    depth = 0
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == "(":
            depth += 1
        elif text[at] == ")":
            depth -= 1
            if depth == 0:
                return at + 1
        if depth > COMMENT_DEPTH_MAX:
            break
        at += 1
    raise _Doubt("the From field has a comment that does not end properly")


def _end_of_quoted(text: str, at: int) -> int:
    at += 1
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == '"':
            return at + 1
        at += 1
    raise _Doubt("the From field has a quotation mark that is never closed")


def _address(tokens: Sequence[_Token]) -> tuple[str, str]:
    """`addr-spec` alone, or a name and then `<addr-spec>`; comments only around them. Raises _Doubt."""
    kinds = [token.kind for token in tokens]
    if "<" not in kinds:
        plain = _trimmed(tokens)
        return _addr_spec(plain)
    opening = kinds.index("<")
    if ">" not in kinds[opening:]:
        raise _Doubt("the From field has an angle bracket that is never closed")
    closing = kinds.index(">", opening)
    if any(kind not in ("white", "comment") for kind in kinds[closing + 1 :]):
        raise _Doubt("the From field goes on behind the address")
    address = _addr_spec(_without_edges(tokens[opening + 1 : closing], ("white",)))
    _check_name(tokens[:opening], address[0])
    return address


def _check_name(tokens: Sequence[_Token], address: str) -> None:
    """The display name: words and dots. An unquoted address there is tolerated only if it is the same one."""
    kinds = {token.kind for token in tokens}
    if kinds <= {"white", "comment", "atom", "quoted", "."}:
        return
    if "@" in kinds and _addr_spec(_trimmed(tokens))[0].lower() == address.lower():
        return
    raise _Doubt("the name in the From field holds what only an address may")


def _trimmed(tokens: Sequence[_Token]) -> Sequence[_Token]:
    return _without_edges(tokens, ("white", "comment"))


def _without_edges(tokens: Sequence[_Token], kinds: tuple[str, ...]) -> Sequence[_Token]:
    start, end = 0, len(tokens)
    while start < end and tokens[start].kind in kinds:
        start += 1
    while end > start and tokens[end - 1].kind in kinds:
        end -= 1
    return tokens[start:end]


def _addr_spec(tokens: Sequence[_Token]) -> tuple[str, str]:
    """`local@domain` without anything in between. Gives the address and its domain. RFC 5322 §3.4.1, RFC 6532."""
    kinds = [token.kind for token in tokens]
    if kinds.count("@") != 1:
        raise _Doubt("the From field holds something that is no address")
    at = kinds.index("@")
    local, domain = tokens[:at], tokens[at + 1 :]
    if not (_is_dotted(local) or [token.kind for token in local] == ["quoted"]):
        raise _Doubt("the From field holds something that is no address")
    if not (_is_dotted(domain) or [token.kind for token in domain] == ["literal"]):
        raise _Doubt("the From field holds something that is no address")
    local_text = "".join(token.text for token in local)
    if "=?" in local_text or any("\udc80" <= c <= "\udcff" for c in local_text):
        raise _Doubt("the address in the From field is encoded")
    try:
        name = Domain.parse("".join(token.text for token in domain)).name
    except (Malformed, UnicodeError) as error:
        raise _Doubt("the From field names something that is no domain") from error
    return f"{local_text}@{name}", name


def _is_dotted(tokens: Sequence[_Token]) -> bool:
    """atom *("." atom), nothing else."""
    if len(tokens) % 2 == 0:
        return False
    return all(token.kind == ("atom" if at % 2 == 0 else ".") for at, token in enumerate(tokens))
