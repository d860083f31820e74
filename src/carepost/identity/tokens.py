"""Tokens of sessions, tickets and devices: found without knowing whose they are, worthless when stolen at rest.

Promises
    256 random bits (ASVS 7.2.3); what is stored is their SHA-256.
    A token says which organisation's rows to look at, so no table is open to all.
"""

import hashlib
import secrets
from dataclasses import dataclass

from carepost.base.ids import OrganisationId

_RANDOM_BYTES = 32
_TOKEN_MAX = 100


@dataclass(frozen=True, slots=True)
class Presented:
    """A token that somebody showed us: where to look, and for what."""

    organisation: OrganisationId
    hash: bytes


def mint(organisation: OrganisationId) -> tuple[str, bytes]:
    """A new token and the hash to keep of it."""
    token = f"{organisation:x}.{secrets.token_urlsafe(_RANDOM_BYTES)}"
    return token, _hash(token)


def read(token: str) -> Presented | None:
    """None for what was never one of ours."""
    number, dot, random = token.partition(".")
    if not (dot and random and number) or len(token) > _TOKEN_MAX or not token.isascii():
        return None
    if not all(character in "0123456789abcdef" for character in number) or len(number) > 15:
        return None
    return Presented(OrganisationId(int(number, 16)), _hash(token))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
