"""Who acted, and one entry of the record. See events.py for what can have happened.

Promises
    There is no anonymous change: every Actor is a person, a named job, a stranger at a door, or the operator.
    `Entry.body` covers every column of an entry but its place in the chain: a change to any of them shows.
"""

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Self

from carepost.base.ids import OrganisationId, PersonId

# The organisation that stands for the service itself: events that belong to nobody else go to its chain.
PLATFORM = OrganisationId(1)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NOT_KNOWN = 0xFFFFFFFF


class ActorKind(StrEnum):
    PERSON = "person"
    JOB = "job"
    STRANGER = "stranger"
    ADMINISTRATOR = "administrator"  # the operator, at the command line of the machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who did it. `address` is the network address they came from, `session` the session they used."""

    kind: ActorKind
    name: str
    person: PersonId | None = None
    organisation: OrganisationId | None = None
    session: str | None = None
    address: str | None = None

    @classmethod
    def job(cls, name: str) -> Self:
        """A part of the program acting by itself: "relay", "retention"."""
        return cls(kind=ActorKind.JOB, name=name)

    @classmethod
    def operator(cls, name: str) -> Self:
        """The person at the command line, by the name the operating system knows them by."""
        return cls(kind=ActorKind.ADMINISTRATOR, name=name)

    @classmethod
    def stranger(cls, address: str | None) -> Self:
        """Somebody at a door who has not proved who they are."""
        return cls(kind=ActorKind.STRANGER, name="stranger", address=address)

    @classmethod
    def for_person(
        cls,
        person: PersonId,
        organisation: OrganisationId,
        name: str,
        *,
        session: str | None = None,
        address: str | None = None,
    ) -> Self:
        return cls(
            kind=ActorKind.PERSON,
            name=name,
            person=person,
            organisation=organisation,
            session=session,
            address=address,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the record, as it is stored. `details` is canonical JSON (see events.canonical)."""

    organisation: OrganisationId
    seq: int
    at: datetime
    event: str
    actor_kind: str
    actor_name: str
    actor_person: int | None
    actor_organisation: int | None
    actor_session: str | None
    actor_address: str | None
    details: str
    hash: bytes

    @property
    def body(self) -> bytes:
        """The bytes that are sealed into the chain."""
        return body_of(
            at=self.at,
            event=self.event,
            actor=(self.actor_kind, self.actor_name),
            numbers=(self.actor_person, self.actor_organisation),
            origin=(self.actor_session, self.actor_address),
            details=self.details,
        )


def body_of(
    *,
    at: datetime,
    event: str,
    actor: tuple[str, str],
    numbers: tuple[int | None, int | None],
    origin: tuple[str | None, str | None],
    details: str,
) -> bytes:
    """Length-prefixed fields in a fixed order: no two different entries have the same body."""
    out = bytearray(struct.pack(">q", (at - _EPOCH) // _MICROSECOND))
    texts = (event, *actor, *(None if n is None else str(n) for n in numbers), *origin, details)
    for text in texts:
        if text is None:
            out += struct.pack(">I", _NOT_KNOWN)
        else:
            raw = text.encode()
            out += struct.pack(">I", len(raw)) + raw
    return bytes(out)
