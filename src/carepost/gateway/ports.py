"""What the gateway needs from others, as it would like to have it. The fakes for tests are beside their real twins."""

from typing import Protocol

from carepost.base.address import Domain
from carepost.base.ids import OrganisationId


class Register(Protocol):
    """Whose domains are whose. R102, R110."""

    async def own_domains(self) -> frozenset[Domain]:
        """Ours."""
        ...

    async def lists(self, domain: Domain) -> bool:
        """Whether mail from this domain is inside the circle of trust: on the register and not run out, or ours."""
        ...

    async def known_domains(self) -> frozenset[Domain]:
        """Those that a look-alike might imitate: ours and the listed ones."""
        ...


class Colleagues(Protocol):
    """Who works here, by name. R140."""

    async def is_somebody(self, name: str, organisations: frozenset[OrganisationId]) -> bool:
        """Whether a person of one of these organisations has this name, without regard to case and title."""
        ...
