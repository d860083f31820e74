"""Modified UTF-7: how IMAP4rev1 writes the names of folders. RFC 3501 §5.1.3.

Promises
    `decode(encode(name)) == name` for every name without surrogates.
    `decode` raises Malformed for anything that is not well formed; raw UTF-8 is accepted as RFC 9051 §5.1 has it.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error

from carepost.base.errors import Malformed

_PLAIN = re.compile(r"[\x20-\x25\x27-\x7e]+")
_SHIFTED = re.compile(rb"[A-Za-z0-9+,]+", re.ASCII)


def encode(name: str) -> bytes:
    """The name as seven-bit octets."""
    written: list[bytes] = []
    at = 0
    while at < len(name):
        plain = _PLAIN.match(name, at)
        if plain:
            written.append(plain[0].encode("ascii"))
            at = plain.end()
        elif name[at] == "&":
            written.append(b"&-")
            at += 1
        else:
            start = at
            while at < len(name) and not _PLAIN.match(name, at) and name[at] != "&":
                at += 1
            written.append(b"&" + _base64(name[start:at]) + b"-")
    return b"".join(written)


def decode(octets: bytes) -> str:
    """The name that `octets` spell. Raise Malformed when they spell none."""
    if not octets.isascii():
        return _utf8(octets)
    pieces: list[str] = []
    plain, *shifts = octets.split(b"&")
    pieces.append(plain.decode("ascii"))
    for shift in shifts:
        code, dash, rest = shift.partition(b"-")
        if not dash:
            raise Malformed("The folder's name ends inside an encoded character.", name=octets)
        pieces += ["&" if not code else _from_base64(code), rest.decode("ascii")]
    return "".join(pieces)


def _utf8(octets: bytes) -> str:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("The folder's name is not UTF-8.", name=octets) from error


def _base64(text: str) -> bytes:
    return b64encode(text.encode("utf-16-be", "replace")).rstrip(b"=").replace(b"/", b",")


def _from_base64(code: bytes) -> str:
    if not _SHIFTED.fullmatch(code):
        raise Malformed("The folder's name is not modified UTF-7.", name=code)
    padded = code.replace(b",", b"/") + b"=" * (-len(code) % 4)
    try:
        return b64decode(padded, validate=True).decode("utf-16-be")
    except (Base64Error, UnicodeDecodeError) as error:
        raise Malformed("The folder's name is not modified UTF-7.", name=code) from error
