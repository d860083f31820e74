"""What we say to another mail system: commands as values, and what it offers in answer to EHLO.

Promises
    A command is one line: no value can bring a CR, an LF or any other control character onto the wire (P10). Whoever
    tries gets CannotBeSaid before a byte is written.
    A parameter is said only where the other side has offered its extension; free text in it is xtext (RFC 3461 §4).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from carepost.base.address import EmailAddress
from carepost.base.errors import Malformed
from carepost.wire.smtp_client_replies import PeerReply

# RFC 5321 §4.5.3.1.4 and the additions of RFC 1870, 3461, 6152 and 6531; ORCPT alone may have 500 octets.
COMMAND_MAX = 1500
ENVID_MAX = 100  # RFC 3461 §4.4, before it becomes xtext
ORCPT_MAX = 500  # RFC 3461 §4.2

_HELLO = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}", re.ASCII)
_KEYWORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}", re.ASCII)
_ORCPT = re.compile(r"[A-Za-z0-9-]{1,20};[\x21-\x7e]+", re.ASCII)
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+", re.ASCII)
_NOTIFY = frozenset({"NEVER", "SUCCESS", "FAILURE", "DELAY"})


class CannotBeSaid(ValueError):
    """A value that has no place on the wire as it is. A fault of ours, or an attack that came this far."""


@dataclass(frozen=True, slots=True)
class Offers:
    """The answer to EHLO. RFC 5321 §4.1.1.1. Of a keyword that stands there twice, the first counts."""

    keywords: dict[str, str] = field(default_factory=dict)

    def __contains__(self, keyword: str) -> bool:
        return keyword in self.keywords

    @property
    def size_max(self) -> int | None:
        """The largest message it takes, RFC 1870 §4; None: it does not say."""
        value = self.keywords.get("SIZE", "")
        return int(value) if re.fullmatch(r"[1-9][0-9]{0,18}", value, re.ASCII) else None


def read_offers(reply: PeerReply) -> Offers:
    """The first line is a greeting; lines that are no keyword are passed over."""
    offers: dict[str, str] = {}
    for line in reply.lines[1:]:
        keyword, _, value = line.partition(" ")
        if _KEYWORD.fullmatch(keyword):
            offers.setdefault(keyword.upper(), value.strip())
    return Offers(offers)


@dataclass(frozen=True, slots=True)
class Ehlo:
    name: str

    def line(self, _offers: Offers) -> str:
        return f"EHLO {_hello(self.name)}"


@dataclass(frozen=True, slots=True)
class Helo:
    """For what does not know EHLO. RFC 5321 §3.2."""

    name: str

    def line(self, _offers: Offers) -> str:
        return f"HELO {_hello(self.name)}"


@dataclass(frozen=True, slots=True)
class StartTls:
    def line(self, _offers: Offers) -> str:
        return "STARTTLS"


@dataclass(frozen=True, slots=True, kw_only=True)
class MailFrom:
    """`reverse_path` None is `<>`. `size` in octets, as RFC 1870 counts them."""

    reverse_path: EmailAddress | None
    size: int
    eight_bit: bool = False
    smtputf8: bool = False
    require_tls: bool = False
    ret: str | None = None
    envid: str | None = None

    def line(self, offers: Offers) -> str:
        said = [f"MAIL FROM:<{_path(self.reverse_path, utf8=self.smtputf8) if self.reverse_path else ''}>"]
        if "SIZE" in offers:
            said.append(f"SIZE={self.size}")
        for wanted, extension, parameter in (
            (self.eight_bit, "8BITMIME", "BODY=8BITMIME"),
            (self.smtputf8, "SMTPUTF8", "SMTPUTF8"),
            (self.require_tls, "REQUIRETLS", "REQUIRETLS"),
        ):
            if wanted and extension not in offers:
                raise CannotBeSaid(f"{extension}, which is not offered")
            if wanted:
                said.append(parameter)
        if "DSN" in offers:
            said += self._reports()
        return " ".join(said)

    def _reports(self) -> Iterable[str]:
        if self.ret is not None:
            if self.ret not in ("FULL", "HDRS"):
                raise CannotBeSaid("RET")
            yield f"RET={self.ret}"
        if self.envid is not None and len(self.envid) <= ENVID_MAX:
            yield f"ENVID={to_xtext(self.envid)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RcptTo:
    """`original` is ORCPT as it came: type, semicolon, xtext."""

    address: EmailAddress
    notify: frozenset[str] = frozenset()
    original: str | None = None
    smtputf8: bool = False

    def line(self, offers: Offers) -> str:
        said = [f"RCPT TO:<{_path(self.address, utf8=self.smtputf8)}>"]
        if "DSN" in offers:
            if self.notify:
                if not self.notify <= _NOTIFY:
                    raise CannotBeSaid("NOTIFY")
                said.append(f"NOTIFY={','.join(sorted(self.notify))}")
            if self.original is not None:
                said.append(f"ORCPT={_orcpt(self.original)}")
        return " ".join(said)


@dataclass(frozen=True, slots=True)
class Data:
    def line(self, _offers: Offers) -> str:
        return "DATA"


@dataclass(frozen=True, slots=True)
class LastChunk:
    """BDAT, the whole message in one chunk. RFC 3030 §2."""

    octets: int

    def line(self, _offers: Offers) -> str:
        return f"BDAT {int(self.octets)} LAST"


@dataclass(frozen=True, slots=True)
class Reset:
    def line(self, _offers: Offers) -> str:
        return "RSET"


@dataclass(frozen=True, slots=True)
class Quit:
    def line(self, _offers: Offers) -> str:
        return "QUIT"


ClientCommand: TypeAlias = Ehlo | Helo | StartTls | MailFrom | RcptTo | Data | LastChunk | Reset | Quit


def encode(command: ClientCommand, offers: Offers) -> bytes:
    """One line with its CR LF. Raises CannotBeSaid for anything that would not be exactly that."""
    line = command.line(offers)
    if not line.isprintable():
        raise CannotBeSaid("a control character")
    octets = line.encode("utf-8")
    if len(octets) > COMMAND_MAX:
        raise CannotBeSaid("a command that is too long")
    return octets + b"\r\n"


def to_xtext(text: str) -> str:
    """RFC 3461 §4. Raises CannotBeSaid for what is not printable ASCII."""
    if not (text.isascii() and text.isprintable()):
        raise CannotBeSaid("text beyond ASCII in a parameter")
    return "".join(c if "!" <= c <= "~" and c not in "+=" else f"+{ord(c):02X}" for c in text)


def _orcpt(original: str) -> str:
    kind, _, text = original.partition(";")
    if len(original) > ORCPT_MAX or not _ORCPT.fullmatch(original) or not (_XTEXT.fullmatch(text) or kind == "utf-8"):
        raise CannotBeSaid("ORCPT")
    return original


def _hello(name: str) -> str:
    if not _HELLO.fullmatch(name):
        raise CannotBeSaid("our own name")
    return name


def _path(address: EmailAddress, *, utf8: bool) -> str:
    """EmailAddress has been parsed; that it was, is looked at once more where it counts."""
    text = str(address)
    if not text.isprintable() or (not utf8 and not text.isascii()):
        raise CannotBeSaid("an address")
    try:
        same = EmailAddress.parse(text) == address
    except Malformed:
        same = False
    if not same:
        raise CannotBeSaid("an address")
    return text
