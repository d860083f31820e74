"""Who reads what is written to postmaster and abuse: an administrator of the organisation whose domain it is.

Promises
    Every own domain with an administrator somewhere has a postmaster (RFC 5321 §4.5.1): the primary one first.
    A domain that is everybody's goes to a global administrator first.
    Asking costs one look in `REMEMBER`, however often strangers ask.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from carepost.base.address import Domain
from carepost.base.ids import MailboxId, OrganisationId
from carepost.directory import repo
from carepost.directory.model import Role
from carepost.infra.db import Transaction

REMEMBER = timedelta(seconds=30)
# Of a service with more organisations the first ones, which run it, have administrators.
ORGANISATIONS_ASKED = 200

Holder = tuple[OrganisationId, MailboxId]

_AT_HOME: Mapping[Role, int] = MappingProxyType(
    {Role.PRIMARY_LOCAL_ADMINISTRATOR: 0, Role.LOCAL_ADMINISTRATOR: 1, Role.GLOBAL_ADMINISTRATOR: 2}
)
_OF_EVERYBODY: Mapping[Role, int] = MappingProxyType(
    {Role.GLOBAL_ADMINISTRATOR: 0, Role.PRIMARY_LOCAL_ADMINISTRATOR: 1, Role.LOCAL_ADMINISTRATOR: 2}
)


class Duties:
    """Remembers for each domain who has the duty. One for a Directory."""

    def __init__(self) -> None:
        self._known: dict[Domain, tuple[datetime, Holder | None]] = {}

    async def holder(self, tx: Transaction, domain: Domain, *, now: datetime) -> Holder | None:
        """Whose mailbox it goes to; None when there is no administrator yet. `domain` is ours: callers have looked."""
        known = self._known.get(domain)
        if known is not None and timedelta() <= now - known[0] < REMEMBER:
            return known[1]
        found = await _find(tx, domain)
        self._known[domain] = now, found
        return found


async def _find(tx: Transaction, domain: Domain) -> Holder | None:
    owner = await repo.domain_owner(tx, domain)
    if owner is not None:
        asked, order = [owner], _AT_HOME
    else:
        asked, order = [one.id for one in await repo.organisations(tx)][:ORGANISATIONS_ASKED], _OF_EVERYBODY
    best: tuple[int, Holder] | None = None
    for organisation in asked:
        await tx.act_for(organisation)
        for role, mailbox in await repo.administrators(tx, organisation):
            if best is None or order[role] < best[0]:
                best = order[role], (organisation, mailbox)
        if best is not None and best[0] == 0:
            break
    return None if best is None else best[1]
