"""The second factor: codes from an authenticator app. RFC 6238.

Promises
    A code works once: the step it belongs to is spent with it, also across processes (ASVS 6.5.1).
    The step before and the step after count too, for clocks that are a little off (RFC 6238 §5.2); no others.
    The secret is sealed at rest, for its place; it is shown once, when it is set up.
"""

import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from urllib.parse import quote

import pyotp

from carepost.base.ids import OrganisationId
from carepost.infra.db import Transaction

STEP_SECONDS = 30  # RFC 6238 §5.2; ASVS 6.5.5.
DRIFT_STEPS = 1
_DIGITS = 6


class ColumnSeal(Protocol):
    """The keystore, as this area needs it."""

    async def seal_column(
        self, tx: Transaction, organisation: OrganisationId, *, context: str, row: str, plaintext: bytes
    ) -> bytes: ...

    async def open_column(
        self, tx: Transaction, organisation: OrganisationId, *, context: str, row: str, sealed: bytes
    ) -> bytes: ...


@dataclass(frozen=True, slots=True)
class TotpOffer:
    """What the person's app needs, to be shown once: as a picture of `uri`, or typed in as `secret`."""

    secret: str
    uri: str


def offer(*, issuer: str, address: str) -> TotpOffer:
    """A new secret of 160 bits. RFC 4226 §4, R6."""
    return offer_of(pyotp.random_base32(), issuer=issuer, address=address)


def offer_of(secret: str, *, issuer: str, address: str) -> TotpOffer:
    """The same for a secret that is there already."""
    label = f"{quote(issuer)}:{quote(address)}"
    return TotpOffer(secret, f"otpauth://totp/{label}?secret={secret}&issuer={quote(issuer)}")


def matching_step(secret: str, code: str, *, now: datetime, after: int) -> int | None:
    """The step that `code` belongs to, if it is a right one and later than `after`."""
    given = "".join(code.split())
    if len(given) != _DIGITS or not given.isascii() or not given.isdigit():
        return None
    current = int(now.timestamp()) // STEP_SECONDS
    hotp = pyotp.HOTP(secret)
    found: int | None = None
    for step in range(current - DRIFT_STEPS, current + DRIFT_STEPS + 1):
        # Every step is compared, and each in constant time: how long it took says nothing.
        if hmac.compare_digest(hotp.at(step), given) and step > after:
            found = step
    return found


def code_at(secret: str, now: datetime) -> str:
    """The code that an app would show: for the demonstration and for tests."""
    return pyotp.HOTP(secret).at(int(now.timestamp()) // STEP_SECONDS)
