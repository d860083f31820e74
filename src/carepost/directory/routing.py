"""From an address to a mailbox: which rows to ask for, and what they mean. PURE.

Promises
    `jo.bloggs+clinic@` reaches jo.bloggs unless somebody owns that very address (RFC 5233).
    Case makes no difference, nor do quotation marks around a local part that needs none (RFC 5321 §4.1.2).
    `postmaster` and `abuse` of our own domains and of our host reach whom the operator named (RFC 5321 §4.5.1,
    RFC 2142 §4); where nobody was named, `duties.py` finds an administrator.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from carepost.base.address import Domain, EmailAddress
from carepost.directory.model import AddressRoute, Found, RefusalReason, Refusing, Route, RouteState, Unknown

_ESCAPED = re.compile(r"\\(.)")
_DUTIES = frozenset({"postmaster", "abuse"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingPolicy:
    # RFC 5233 §1: what divides the mailbox from the detail. Empty: no sub-addresses.
    separator: str = "+"
    # Who reads mail to postmaster@ and abuse@ of every own domain that has no such mailbox. None: an administrator.
    postmaster: EmailAddress | None = None
    # The name that we give in greetings: `postmaster` without a domain is meant there, and so may its mail be.
    hostname: Domain | None = None


def keys_of(address: EmailAddress, policy: RoutingPolicy) -> tuple[str, ...]:
    """The addresses to look up, best first."""
    local = _plain(address.local)
    base = local.split(policy.separator, 1)[0] if policy.separator else local
    keys = [f"{local}@{address.domain}"]
    if base and base != local:
        keys.append(f"{base}@{address.domain}")
    if base in _DUTIES and policy.postmaster is not None:
        keys.append(policy.postmaster.key)
    return tuple(keys)


def is_duty(address: EmailAddress, policy: RoutingPolicy) -> bool:
    """Whether somebody has to read mail to this address of ours, whoever it is."""
    local = _plain(address.local)
    return (local.split(policy.separator, 1)[0] if policy.separator else local) in _DUTIES


def choose(address: EmailAddress, keys: Sequence[str], rows: Sequence[AddressRoute], *, ours: bool) -> Route:
    """What the rows found for `keys` mean for mail to `address`; `ours` is whether the domain is one of our own."""
    by_key = {row.address.key: row for row in rows}
    for key in keys if ours else ():
        row = by_key.get(key)
        if row is not None:
            return _route(address, row)
    return Unknown(ours=ours)


def _route(address: EmailAddress, row: AddressRoute) -> Route:
    match row.state:
        case RouteState.ACCEPTING:
            return Found(address, row.mailbox, row.organisation, row.kind)
        case RouteState.PENDING:
            return Refusing(RefusalReason.NOT_ACTIVATED)
        case RouteState.CLOSED:
            return Refusing(RefusalReason.CLOSED)
        case RouteState.FULL:
            return Refusing(RefusalReason.FULL)
        case _:
            assert_never(row.state)


def _plain(local: str) -> str:
    if local.startswith('"') and local.endswith('"') and len(local) > 1:
        local = _ESCAPED.sub(r"\1", local[1:-1])
    return unicodedata.normalize("NFC", local).lower()
