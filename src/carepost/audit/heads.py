"""Where each organisation's chain begins and how far it has come: what other areas may ask of the record itself."""

from carepost.audit import repo
from carepost.audit.chain import Head
from carepost.base.ids import OrganisationId
from carepost.infra.db import Transaction


async def start_chain(tx: Transaction, organisation: OrganisationId) -> None:
    """A new organisation's chain, empty. In the transaction that creates the organisation."""
    await repo.start_chain(tx, organisation)


async def head_of(tx: Transaction, organisation: OrganisationId) -> Head | None:
    return await repo.head_of(tx, organisation)
