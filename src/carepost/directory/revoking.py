"""Saying that somebody must let go: written and notified in the transaction that takes their right away.

Promises
    Every process hears of it within seconds: by NOTIFY, and, should that be lost, by reading the table `revocation`
    (identity/revocations.py is the listening half). R99, ASVS 7.4.2.
    The payload is an id and nothing more: every database role can hear it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from carepost.base.ids import AppPasswordId, OrganisationId, PersonId, SessionId
from carepost.directory import repo
from carepost.infra.db import Transaction

CHANNEL = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """Exactly one of these is set: everything a person holds open, or what one app password or session opened."""

    person: PersonId | None = None
    app_password: AppPasswordId | None = None
    session: SessionId | None = None

    @property
    def payload(self) -> str:
        if self.person is not None:
            return f"person:{self.person}"
        if self.app_password is not None:
            return f"app_password:{self.app_password}"
        return f"session:{self.session}"

    @classmethod
    def from_payload(cls, payload: str) -> Self | None:
        """None for what is not one of ours."""
        kind, colon, number = payload.partition(":")
        if not colon or not number.isascii() or not number.isdigit():
            return None
        match kind:
            case "person":
                return cls(person=PersonId(int(number)))
            case "app_password":
                return cls(app_password=AppPasswordId(int(number)))
            case "session":
                return cls(session=SessionId(int(number)))
            case _:
                return None


async def announce(tx: Transaction, revoked: Revoked) -> None:
    """Tell every process, once `tx` commits."""
    await repo.note_revocation(tx, person=revoked.person, app_password=revoked.app_password, session=revoked.session)
    await tx.notify(CHANNEL, revoked.payload)


async def end_everything(tx: Transaction, organisation: OrganisationId, person: PersonId, *, at: datetime) -> None:
    """Every session of the person begun before `at` is over, and every connection they hold open is told."""
    await repo.end_sessions_before(tx, organisation, person, at=at)
    await announce(tx, Revoked(person=person))
