"""The SPF record as it is written: terms, checked in full before any of them is followed. RFC 7208 §4.6, §5, §6, §12.

Promises
    A record is understood whole or not at all: one bad term anywhere is a permanent error (§4.6).
    Nothing is looked up and nothing is decided here.
"""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network

from carepost.mailauth.spf_macros import MacroText, SpfSyntaxError, parse_domain_spec, parse_macros

VERSION = b"v=spf1"


class MechanismName(StrEnum):
    ALL = "all"
    INCLUDE = "include"
    A = "a"
    MX = "mx"
    PTR = "ptr"
    IP4 = "ip4"
    IP6 = "ip6"
    EXISTS = "exists"


_NAMES = frozenset(name.value for name in MechanismName)
_NEEDS_DOMAIN = frozenset({MechanismName.INCLUDE, MechanismName.EXISTS})
_MAY_HAVE_DOMAIN = frozenset({MechanismName.A, MechanismName.MX, MechanismName.PTR})
_MAY_HAVE_LENGTHS = frozenset({MechanismName.A, MechanismName.MX})
_MODIFIER_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")


@dataclass(frozen=True, slots=True)
class Directive:
    qualifier: str  # one of + - ~ ?
    name: MechanismName
    written: str  # the term as published, for the trace page
    domain: MacroText | None = None  # None: the domain being checked
    bits4: int = 32
    bits6: int = 128
    network: IPv4Network | IPv6Network | None = None


@dataclass(frozen=True, slots=True)
class SpfRecord:
    directives: tuple[Directive, ...]
    redirect: MacroText | None
    explanation: MacroText | None


def is_spf(record: bytes) -> bool:
    """Does this TXT record claim to be SPF version 1? RFC 7208 §4.5: the version, then a space or the end."""
    return record[:6].lower() == VERSION and record[6:7] in (b"", b" ")


def parse_record(record: bytes) -> SpfRecord:
    """Raise SpfSyntaxError if any part of the record is not as RFC 7208 §12 has it."""
    try:
        text = record.decode("ascii")
    except UnicodeDecodeError as error:
        raise SpfSyntaxError("the record is not ASCII") from error
    directives: list[Directive] = []
    known: dict[str, MacroText] = {}
    for term in text[len(VERSION) :].split(" "):
        if not term:
            continue
        name, equals, value = term.partition("=")
        if equals and _is_modifier_name(name):
            _take_modifier(name.lower(), value, known)
        else:
            directives.append(_parse_directive(term))
    return SpfRecord(directives=tuple(directives), redirect=known.get("redirect"), explanation=known.get("exp"))


def _is_modifier_name(name: str) -> bool:
    return name[:1].isalpha() and set(name.lower()) <= _MODIFIER_NAME


def _take_modifier(name: str, value: str, known: dict[str, MacroText]) -> None:
    if name not in ("redirect", "exp"):
        parse_macros(value)  # RFC 7208 §6: an unknown modifier is ignored, but it must be well formed.
        return
    if name in known:
        raise SpfSyntaxError(f"{name} is there twice")
    known[name] = parse_domain_spec(value)


def _parse_directive(term: str) -> Directive:
    qualifier, rest = (term[0], term[1:]) if term[0] in "+-~?" else ("+", term)
    end = next((at for at, character in enumerate(rest) if character in ":/"), len(rest))
    name_text, argument = rest[:end].lower(), rest[end:]
    if name_text not in _NAMES:
        raise SpfSyntaxError("an unknown mechanism")
    name = MechanismName(name_text)
    if name in (MechanismName.IP4, MechanismName.IP6):
        return Directive(qualifier, name, term, network=_parse_network(name, argument))
    if name is MechanismName.ALL:
        if argument:
            raise SpfSyntaxError("all takes no argument")
        return Directive(qualifier, name, term)
    bits4, bits6 = 32, 128
    if name in _MAY_HAVE_LENGTHS:
        argument, bits4, bits6 = _split_lengths(argument)
    if not argument and name in _MAY_HAVE_DOMAIN:
        return Directive(qualifier, name, term, bits4=bits4, bits6=bits6)
    if argument[:1] != ":" or name not in _NEEDS_DOMAIN | _MAY_HAVE_DOMAIN:
        raise SpfSyntaxError(f"{name} is not written so")
    return Directive(qualifier, name, term, domain=parse_domain_spec(argument[1:]), bits4=bits4, bits6=bits6)


def _split_lengths(argument: str) -> tuple[str, int, int]:
    """Take `/24`, `//64` or `/24//64` off the end. RFC 7208 §5.6, `dual-cidr-length`."""
    bits4, bits6 = 32, 128
    before, slashes, digits = argument.rpartition("//")
    if slashes and digits.isdigit():
        bits6, argument = _parse_length(digits, most=128), before
    before, slash, digits = argument.rpartition("/")
    if slash and digits.isdigit():  # a slash may also be part of the name, or a delimiter of its last macro
        bits4, argument = _parse_length(digits, most=32), before
    return argument, bits4, bits6


def _parse_length(digits: str, *, most: int) -> int:
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 3 or (digits[0] == "0" and digits != "0"):
        raise SpfSyntaxError("not the length of a prefix")
    if int(digits) > most:
        raise SpfSyntaxError("a prefix longer than the address")
    return int(digits)


def _parse_network(name: MechanismName, argument: str) -> IPv4Network | IPv6Network:
    address, slash, digits = argument[1:].partition("/")
    most = 32 if name is MechanismName.IP4 else 128
    bits = _parse_length(digits, most=most) if slash else most
    if argument[:1] != ":" or "%" in address:
        raise SpfSyntaxError(f"{name} without an address")
    try:
        network = ip_network(f"{address}/{bits}", strict=False)
    except ValueError as error:
        raise SpfSyntaxError(f"{name} with something that is not an address") from error
    if (network.version == 4) != (name is MechanismName.IP4):
        raise SpfSyntaxError(f"{name} with an address of the other kind")
    return network
