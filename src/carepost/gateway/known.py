"""What the checks may know of the directory: whose domains are whose, and what our people are called.

The relay's role may ask both; it needs no key for it.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from carepost.base.address import Domain
from carepost.base.clock import Clock
from carepost.base.ids import OrganisationId
from carepost.directory.service import Directory
from carepost.message.lookalikes import normal_name


@dataclass(frozen=True, slots=True)
class DirectoryRegister:
    """The gateway's Register, answered by the directory."""

    directory: Directory

    async def own_domains(self) -> frozenset[Domain]:
        return await self.directory.own_domains()

    async def lists(self, domain: Domain) -> bool:
        return (await self.directory.is_secure(domain)).secure

    async def known_domains(self) -> frozenset[Domain]:
        listed = {entry.domain for entry in await self.directory.register()}
        return await self.directory.own_domains() | listed


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryColleagues:
    """The gateway's Colleagues: names by organisation, remembered for a minute."""

    directory: Directory
    clock: Clock
    remember: timedelta = timedelta(minutes=1)  # somebody who joined a minute ago is not imitated yet
    organisations_max: int = 1000
    _names: dict[OrganisationId, tuple[datetime, frozenset[str]]] = field(default_factory=dict, repr=False)

    async def is_somebody(self, name: str, organisations: frozenset[OrganisationId]) -> bool:
        wanted = normal_name(name)
        for organisation in organisations:
            if wanted in await self._names_of(organisation):
                return True
        return False

    async def _names_of(self, organisation: OrganisationId) -> frozenset[str]:
        now = self.clock.now()
        known = self._names.get(organisation)
        if known is not None and known[0] > now:
            return known[1]
        names = frozenset(normal_name(name) for name in await self.directory.personal_names(organisation))
        if len(self._names) >= self.organisations_max:
            self._names.clear()
        self._names[organisation] = (now + self.remember, names)
        return names
