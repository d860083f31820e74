"""SMTP's words: one line in, one command out. RFC 5321 §4.1; parameters of RFC 1870, 3030, 3461,
4954, 6152, 6531 and 8689.

Promises
    A line that is not exactly a command raises Misunderstood with the reply that says so; nothing is guessed, and
    nothing is cut off at a NUL (P8).
    No source routes (RFC 5321 §3.6.1 lets us refuse them) and no address that is two addresses: P17.
    Values carry no control, format or line-breaking characters, in whatever alphabet (P10).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TypeAlias

from carepost.wire import smtp_replies as replies
from carepost.wire.smtp_replies import Reply

COMMAND_MAX = 512  # RFC 5321 §4.5.3.1.4, the CR LF included.
# SIZE adds 26 (RFC 1870 §3), BODY 17 (RFC 6152 §2), SMTPUTF8 10 (RFC 6531 §3.4), ENVID and ORCPT 500 (RFC 3461 §5).
COMMAND_MAX_WITH_PARAMETERS = 1000
PATH_MAX = 256  # RFC 5321 §4.5.3.1.3, the angle brackets included.
RECIPIENT_LOCAL_MAX = 64  # RFC 5321 §4.5.3.1.1.
ENVID_MAX = 100  # RFC 3461 §4.4.
ORCPT_MAX = 500  # RFC 3461 §4.2.


class Misunderstood(Exception):
    """The line is not a command; `reply` says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Path:
    """An address as the envelope gives it. `domain` is empty for `<Postmaster>` only (RFC 5321 §4.5.1)."""

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}" if self.domain else self.local


@dataclass(frozen=True, slots=True)
class Hello:
    """HELO, EHLO or LHLO."""

    verb: str
    name: str


@dataclass(frozen=True, slots=True)
class StartTls:
    pass


@dataclass(frozen=True, slots=True)
class ClientIs:
    """Postfix's XCLIENT: a trusted peer says on whose behalf it speaks. None: it did not say."""

    address: IPv4Address | IPv6Address | None = None
    name: str | None = None
    hello: str | None = None
    protocol: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """MAIL. `sender` is None for `<>`: a report, which nobody may answer."""

    sender: Path | None
    size: int | None = None
    body: str = "7BIT"
    smtputf8: bool = False
    ret: str | None = None
    envid: str | None = None
    require_tls: bool = False  # RFC 8689
    submitter: bool = False  # AUTH= was given, RFC 4954 §5. What it says is not believed: we know who signed in.


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """RCPT. `original` is ORCPT as it came: type, semicolon, xtext."""

    address: Path
    notify: frozenset[str] = frozenset()
    original: str | None = None


@dataclass(frozen=True, slots=True)
class Data:
    pass


@dataclass(frozen=True, slots=True)
class Chunk:
    """BDAT. RFC 3030 §2."""

    octets: int
    last: bool


@dataclass(frozen=True, slots=True)
class Reset:
    pass


@dataclass(frozen=True, slots=True)
class Quit:
    pass


@dataclass(frozen=True, slots=True)
class Authenticate:
    """AUTH. `initial` is the initial response, as base64; it may hold a secret. RFC 4954 §4."""

    mechanism: str
    initial: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Told:
    """A command that changes nothing: NOOP, VRFY, EXPN, HELP. Its answer is already known."""

    reply: Reply


Command: TypeAlias = Hello | StartTls | ClientIs | Mail | Recipient | Data | Chunk | Reset | Quit | Authenticate | Told

# A browser that was lured here must not get as far as its body (ALPACA; P7). `Host:` is its second line.
_OTHER_PROTOCOLS = frozenset(
    {"GET", "POST", "PUT", "HEAD", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PRI", "HOST:", "USER-AGENT:"}
)
_WITH_PARAMETERS = (b"MAIL", b"RCPT", b"XCLI", b"AUTH")

_ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\-"
_DOT_STRING = re.compile(rf"[{_ATEXT}\u0080-\U0010ffff]+(\.[{_ATEXT}\u0080-\U0010ffff]+)*")
_QUOTED = re.compile(r'"(?:[\x20-\x21\x23-\x5b\x5d-\x7e\u0080-\U0010ffff]|\\[\x20-\x7e])*"')
_LABEL = r"[A-Za-z0-9_\u0080-\U0010ffff]([A-Za-z0-9_\u0080-\U0010ffff-]*[A-Za-z0-9_\u0080-\U0010ffff])?"
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
_LITERAL = re.compile(r"\[[0-9A-Za-z:.-]{1,64}\]")
_PARAMETER = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9-]*)(=(?P<value>[^\s=]+))?")
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
_ORCPT = re.compile(r"[A-Za-z0-9-]+;[!-~\u0080-\U0010ffff]+")
_NUMBER = re.compile(r"[0-9]{1,20}")


def is_another_protocol(line: bytes) -> bool:
    """Whether this is a line of HTTP or the like, or the first octet of something that is no text at all."""
    first = line.split(b" ", 1)[0].upper()
    return first.decode("latin-1") in _OTHER_PROTOCOLS or (len(line) > 0 and line[0] >= 0x80) or line[:1] == b"\x16"


def understand(line: bytes) -> Command:
    """One command, from a line without its CR LF. Raise Misunderstood otherwise."""
    if len(line) + 2 > COMMAND_MAX and not line[:4].upper().startswith(_WITH_PARAMETERS):
        raise Misunderstood(replies.LINE_TOO_LONG)
    text = _text(line)
    verb, _, rest = text.partition(" ")
    parse = _COMMANDS.get(verb.upper())
    if parse is None:
        raise Misunderstood(replies.NOT_UNDERSTOOD)
    return parse(rest.strip(" "))


def _text(line: bytes) -> str:
    try:
        # RFC 5321 §4.1.1: trailing white space is tolerated.
        text = line.decode("utf-8").rstrip(" \t")
    except UnicodeDecodeError:
        raise Misunderstood(replies.NOT_UNDERSTOOD) from None
    if not text.isprintable():
        raise Misunderstood(replies.NOT_UNDERSTOOD if "\0" in text else replies.BAD_ARGUMENT)
    return text


def _hello(verb: str) -> Callable[[str], Hello]:
    def parse(rest: str) -> Hello:
        # Not checked against DNS or grammar: half of the world's names would fail, and the gateway weighs it.
        if not rest or " " in rest or not rest.isascii() or len(rest) > PATH_MAX:
            raise Misunderstood(replies.BAD_ARGUMENT)
        return Hello(verb, rest)

    return parse


def _mail(rest: str) -> Mail:
    text, parameters = _path_and_parameters("FROM:", rest, replies.BAD_SENDER)
    _only(parameters, {"SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "REQUIRETLS", "AUTH"})
    body = (parameters.get("BODY") or "7BIT").upper()
    ret = parameters["RET"].upper() if parameters.get("RET") else None
    envid = parameters.get("ENVID")
    if (
        body not in {"7BIT", "8BITMIME"}
        or ret not in {None, "FULL", "HDRS"}
        or (envid is not None and not (len(envid) <= ENVID_MAX and _XTEXT.fullmatch(envid)))
        or any(name in parameters and not parameters[name] for name in ("SIZE", "BODY", "RET", "ENVID", "AUTH"))
        or any(parameters.get(name) not in {None, ""} for name in ("SMTPUTF8", "REQUIRETLS"))
    ):
        raise Misunderstood(replies.BAD_ARGUMENT)
    smtputf8 = "SMTPUTF8" in parameters
    if not smtputf8 and not text.isascii():
        raise Misunderstood(replies.NEEDS_SMTPUTF8)
    return Mail(
        sender=_path(text, replies.BAD_SENDER) if text else None,
        size=_number(parameters["SIZE"]) if "SIZE" in parameters else None,
        body=body,
        smtputf8=smtputf8,
        ret=ret,
        envid=envid,
        require_tls="REQUIRETLS" in parameters,
        submitter="AUTH" in parameters,
    )


def _recipient(rest: str) -> Recipient:
    text, parameters = _path_and_parameters("TO:", rest, replies.BAD_RECIPIENT)
    _only(parameters, {"NOTIFY", "ORCPT"})
    original = parameters.get("ORCPT")
    if original is not None and not (len(original) <= ORCPT_MAX and _ORCPT.fullmatch(original)):
        raise Misunderstood(replies.BAD_ARGUMENT)
    notify = _notify(parameters["NOTIFY"]) if "NOTIFY" in parameters else frozenset[str]()
    if text.lower() == "postmaster":  # RFC 5321 §4.5.1
        return Recipient(address=Path(text, ""), notify=notify, original=original)
    path = _path(text, replies.BAD_RECIPIENT)
    if len(path.local.encode()) > RECIPIENT_LOCAL_MAX:
        raise Misunderstood(replies.BAD_RECIPIENT)
    return Recipient(address=path, notify=notify, original=original)


def _notify(value: str) -> frozenset[str]:
    words = [word.upper() for word in value.split(",")]
    known = set(words) <= {"SUCCESS", "FAILURE", "DELAY"} and len(words) == len(set(words))
    if not known and words != ["NEVER"]:  # RFC 3461 §4.1: NEVER stands alone.
        raise Misunderstood(replies.BAD_ARGUMENT)
    return frozenset(words)


def _path_and_parameters(keyword: str, rest: str, wrong: Reply) -> tuple[str, dict[str, str]]:
    """What stands between the angle brackets, and the parameters after them, `""` for one without a value."""
    if rest[: len(keyword)].upper() != keyword:
        raise Misunderstood(replies.BAD_ARGUMENT)
    # A space after the colon is wrong (RFC 5321 §3.3) and so common, and so harmless, that everybody accepts it.
    text = rest[len(keyword) :].lstrip(" ")
    end = _end_of_path(text)
    if end < 0 or end + 1 > PATH_MAX:
        raise Misunderstood(wrong)
    parameters: dict[str, str] = {}
    after = text[end + 1 :]
    if after and not after.startswith(" "):
        raise Misunderstood(wrong)
    for word in after.split():
        match = _PARAMETER.fullmatch(word) or _ORCPT_PARAMETER.fullmatch(word)
        if match is None or match["name"].upper() in parameters:
            raise Misunderstood(replies.BAD_ARGUMENT)
        parameters[match["name"].upper()] = match["value"] or ""
    return text[1:end], parameters


# An ORCPT of another address type may hold a `=`, which esmtp-value may not (RFC 3461 §4.2 against RFC 5321 §4.1.2).
_ORCPT_PARAMETER = re.compile(r"(?P<name>(?i:ORCPT))=(?P<value>\S+)")


def _end_of_path(text: str) -> int:
    """Where the `>` is that closes the `<` at the front, quoted strings respected; -1 if there is none."""
    if not text.startswith("<"):
        return -1
    if '"' not in text:
        return text.find(">")
    at, quoted = 1, False
    while at < len(text):
        match text[at]:
            case "\\" if quoted:
                at += 1
            case '"':
                quoted = not quoted
            case ">" if not quoted:
                return at
        at += 1
    return -1


def _path(text: str, wrong: Reply) -> Path:
    local, at, domain = text.rpartition("@")
    if not (at and (_DOT_STRING.fullmatch(local) or _QUOTED.fullmatch(local))):
        raise Misunderstood(wrong)
    if not (_DOMAIN.fullmatch(domain) or _LITERAL.fullmatch(domain)):
        raise Misunderstood(wrong)
    return Path(local, domain)


def _only(parameters: Mapping[str, str], known: set[str]) -> None:
    if not set(parameters) <= known:
        raise Misunderstood(replies.PARAMETER_UNKNOWN)


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise Misunderstood(replies.BAD_ARGUMENT)
    return int(text)


def _chunk(rest: str) -> Chunk:
    size, _, last = rest.partition(" ")
    if last and last.upper() != "LAST":
        raise Misunderstood(replies.BAD_ARGUMENT)
    return Chunk(_number(size), bool(last))


def _client_is(rest: str) -> ClientIs:
    """Postfix's XCLIENT: `ADDR=192.0.2.7 NAME=mail.example HELO=mail.example PROTO=ESMTP`, others ignored."""
    said: dict[str, str | None] = {}
    for word in rest.split():
        name, equals, value = word.partition("=")
        if not equals or not _XTEXT.fullmatch(value):
            raise Misunderstood(replies.BAD_ARGUMENT)
        unknown = value.upper() in {"[UNAVAILABLE]", "[TEMPUNAVAIL]"}
        said[name.upper()] = None if unknown else from_xtext(value)
    address = said.get("ADDR")
    try:
        client = ip_address(re.sub("(?i)^ipv6:", "", address)) if address else None
    except ValueError:
        raise Misunderstood(replies.BAD_ARGUMENT) from None
    if not said:
        raise Misunderstood(replies.BAD_ARGUMENT)
    return ClientIs(client, said.get("NAME"), said.get("HELO"), said.get("PROTO"))


def _authenticate(rest: str) -> Authenticate:
    mechanism, *answers = rest.split() or [""]
    if len(answers) > 1 or not mechanism or not mechanism.isascii():
        raise Misunderstood(replies.BAD_ARGUMENT)
    return Authenticate(mechanism.upper(), answers[0] if answers else None)


def from_xtext(text: str) -> str:
    """RFC 3461 §4: `+2B` is a plus. What would decode to something unprintable stays as it is."""
    plain = re.sub(r"\+([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), text)
    return plain if plain.isprintable() and plain.isascii() else text


def _alone(command: Command) -> Callable[[str], Command]:
    def parse(rest: str) -> Command:
        if rest:
            raise Misunderstood(replies.BAD_ARGUMENT)
        return command

    return parse


def _verify(rest: str) -> Told:
    if not rest:
        raise Misunderstood(replies.BAD_ARGUMENT)
    return Told(replies.VERIFY)


_COMMANDS: Mapping[str, Callable[[str], Command]] = {
    "HELO": _hello("HELO"),
    "EHLO": _hello("EHLO"),
    "LHLO": _hello("LHLO"),
    "MAIL": _mail,
    "RCPT": _recipient,
    "DATA": _alone(Data()),
    "BDAT": _chunk,
    "RSET": _alone(Reset()),
    "QUIT": _alone(Quit()),
    "STARTTLS": _alone(StartTls()),
    "XCLIENT": _client_is,
    "AUTH": _authenticate,
    "NOOP": lambda _: Told(replies.OK),
    "HELP": lambda _: Told(replies.HELP),
    "VRFY": _verify,
    # Known and not offered: 502, not 500 (RFC 5321 §4.2.4).
    **dict.fromkeys(
        ("EXPN", "ETRN", "TURN", "ATRN", "SEND", "SOML", "SAML", "XFORWARD"),
        lambda _: Told(replies.NOT_OFFERED),
    ),
}
