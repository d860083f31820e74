"""SASL without I/O: what a client answered, as values.

Promises
    Nothing here keeps a secret longer than the value it returns, and no error carries one.
    Malformed is the only error, whatever came.
"""

from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass, field

from carepost.base.errors import Malformed

# RFC 4616 §2 allows 255 octets a field; a kilobyte of base64 holds three. Longer answers are attacks (P20).
RESPONSE_OCTETS_MAX = 1400


@dataclass(frozen=True, slots=True)
class PlainCredentials:
    """RFC 4616. `act_as` is empty when the person acts as themselves. The secret never shows in a repr."""

    act_as: str
    address: str
    secret: str = field(repr=False)


class Cancelled(Malformed):
    """The client wrote `*`. RFC 9051 §6.2.2."""


def decode_response(line: bytes) -> bytes:
    """The octets of one base64 answer; `=` is the empty one (RFC 4959 §3). Raise Malformed, or Cancelled for `*`."""
    if line == b"*":
        raise Cancelled("Signing in was cancelled.")
    if line == b"=":
        return b""
    if len(line) > RESPONSE_OCTETS_MAX:
        raise Malformed("The answer is too long.")
    try:
        return b64decode(line, validate=True)
    except (Base64Error, ValueError) as error:
        raise Malformed("The answer is not base64.") from error


def plain(message: bytes) -> PlainCredentials:
    """Read PLAIN's one message: [act-as] NUL address NUL secret. RFC 4616 §2."""
    fields = message.split(b"\0")
    if len(fields) != 3 or not fields[1] or not fields[2]:
        raise Malformed("The answer is not of the form that PLAIN has.")
    try:
        act_as, address, secret = (text.decode("utf-8") for text in fields)
    except UnicodeDecodeError as error:
        raise Malformed("The answer is not UTF-8.") from error
    return PlainCredentials(act_as, address, secret)
