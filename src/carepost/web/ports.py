"""What the site asks of the acceptable use policy; `governance.acceptable_use` answers it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from carepost.audit.model import Actor
from carepost.base.ids import OrganisationId, PersonId
from carepost.identity.model import ClientFacts


class PolicyVersion(Protocol):
    @property
    def version(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def changes(self) -> str: ...
    @property
    def published_at(self) -> datetime: ...


class AcceptableUse(Protocol):
    async def versions(self) -> Sequence[PolicyVersion]:
        """Every version that was published, the newest first."""
        ...

    async def must_accept(self, organisation: OrganisationId, person: PersonId) -> bool: ...

    async def accept(self, actor: Actor, version: int, client: ClientFacts) -> None: ...
