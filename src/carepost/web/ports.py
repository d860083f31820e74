"""What the site asks of others that have no one class for it. Each is answered in site.py from their services.

The rest (store, directory, audit, sessions) is used as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from carepost.audit.model import Actor
from carepost.base.ids import MailboxId, OrganisationId, TraceId


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Why a message was treated as it was, in plain words. `told` are sentences in order; `findings` what was seen."""

    trace: TraceId
    at: datetime
    action: str
    card: str
    told: tuple[str, ...]
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLine:
    """A message in quarantine, as its reviewers see it: never its body (R41)."""

    id: int
    at: datetime
    sender: str
    recipients: tuple[str, ...]
    subject: str
    reason: str
    findings: tuple[str, ...]
    trace: TraceId
    expires: datetime | None
    size: int


class Verdicts(Protocol):
    async def story(self, organisation: OrganisationId, trace: TraceId) -> Story | None: ...


class HeldMail(Protocol):
    async def waiting(self, organisation: OrganisationId) -> int:
        """How many messages wait for a reviewer."""
        ...

    async def page(self, organisation: OrganisationId, *, after: int | None, limit: int) -> Sequence[HeldLine]: ...

    async def one(self, actor: Actor, organisation: OrganisationId, held: int) -> HeldLine | None: ...

    async def release(self, actor: Actor, organisation: OrganisationId, held: int, *, reason: str) -> None:
        """Deliver it after all. Raise NotPossible when it is gone or already released."""
        ...

    async def delete(self, actor: Actor, organisation: OrganisationId, held: int, *, reason: str) -> None: ...


__all__ = ["HeldLine", "HeldMail", "MailboxId", "Story", "Verdicts"]
