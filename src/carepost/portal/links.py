"""Links, codes and phrases: made from chance, compared in constant time. PURE but for chance.

Promises
    A link holds nothing about anybody. 96 bits find the message, 160 bits prove the link: their SHA-256 is kept.
    What is not a link is told apart by its form alone, before anything is asked of the database.
"""

import hashlib
import hmac
import secrets
import unicodedata
from base64 import b32decode, b32encode

from carepost.infra import vault
from carepost.infra.vault import EdgeKey
from carepost.portal.model import Agreed, Link

LOOKUP_BYTES, VERIFIER_BYTES = 12, 20
_TOKEN_BYTES = 32


def new_link() -> Link:
    return Link(lookup=secrets.token_bytes(LOOKUP_BYTES), verifier=secrets.token_bytes(VERIFIER_BYTES))


def link_text(link: Link) -> str:
    """As it stands in an address: letters and digits that survive any mail program."""
    return f"{name_of(link.lookup)}.{_text(link.verifier)}"


def read_link(text: str) -> Link | None:
    """None for what cannot be a link of ours."""
    first, dot, second = text.partition(".")
    lookup, verifier = _octets(first, LOOKUP_BYTES), _octets(second, VERIFIER_BYTES)
    if not dot or lookup is None or verifier is None:
        return None
    return Link(lookup=lookup, verifier=verifier)


def name_of(lookup: bytes) -> str:
    return _text(lookup)


def read_name(text: str) -> bytes | None:
    return _octets(text, LOOKUP_BYTES)


def verifier_hash(verifier: bytes) -> bytes:
    return hashlib.sha256(verifier).digest()


def is_verifier(stored: bytes, verifier: bytes) -> bool:
    return hmac.compare_digest(stored, verifier_hash(verifier))


def new_code(digits: int) -> str:
    return f"{secrets.randbelow(10**digits):0{digits}d}"


def read_code(text: str) -> str:
    """What somebody typed or pasted: spaces and dashes between the digits are no mistake."""
    return "".join(c for c in text if c.isascii() and c.isdigit())[:20]


def code_hash(edge: EdgeKey, token_hash: bytes, code: str) -> bytes:
    """Bound to the browser that asked for it, and keyed: the table alone cannot be tried."""
    return edge.pepper("portal code", vault.bound(token_hash, code))


def new_token() -> str:
    return secrets.token_urlsafe(_TOKEN_BYTES)


def token_hash(token: str) -> bytes:
    return hashlib.sha256(b"carepost portal session\x00" + token.encode()).digest()


def token_key(token: str) -> bytes:
    """What only the browser's cookie can open."""
    return hashlib.sha256(b"carepost portal key\x00" + token.encode()).digest()


def normal_phrase(phrase: str, agreed: Agreed) -> str:
    """As it is compared: case, spaces and punctuation do not count. A date of birth is its eight digits."""
    if agreed is Agreed.BIRTH:
        return birth_digits(phrase)
    text = unicodedata.normalize("NFKC", phrase).casefold()
    return " ".join("".join(c if c.isalnum() else " " for c in text).split())


def birth_digits(text: str) -> str:
    """Day, month and year in digits: "7/3/1958" and "07 03 1958" are 07031958."""
    pieces = "".join(c if c.isascii() and c.isdigit() else " " for c in text).split()
    if len(pieces) == 3:
        return f"{pieces[0]:0>2}{pieces[1]:0>2}{pieces[2]}"
    return "".join(pieces)


def _text(octets: bytes) -> str:
    return b32encode(octets).rstrip(b"=").decode().lower()


def _octets(text: str, length: int) -> bytes | None:
    if not text.isascii() or len(text) != -(-length * 8 // 5) or text != text.lower():
        return None
    try:
        octets = b32decode(text.upper() + "=" * (-len(text) % 8))
    except ValueError:
        return None
    # The last character of another spelling has bits that stand for nothing: one message has one link.
    return octets if len(octets) == length and _text(octets) == text else None
