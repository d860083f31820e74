"""The portal's rooms, built on the areas."""

from collections.abc import Sequence
from typing import NoReturn

from carepost.app.areas import Areas
from carepost.audit.model import Actor
from carepost.base.errors import TryLater
from carepost.base.ids import OrganisationId, OutgoingId
from carepost.gateway.out_ports import LinkWanted, MakesLinks
from carepost.infra.db import Transaction


class _Closed:
    """Without a portal nothing goes in clear instead: it waits."""

    async def prepare(self, wanted: LinkWanted) -> NoReturn:  # noqa: ARG002
        raise TryLater("Secure links cannot be made just now.")

    async def make(self, tx: Transaction, ready: object) -> NoReturn:  # noqa: ARG002
        raise TryLater("Secure links cannot be made just now.")

    async def noticed(self, *_: object) -> None:
        return None

    async def revoke(
        self,
        tx: Transaction,  # noqa: ARG002
        actor: Actor,  # noqa: ARG002
        organisation: OrganisationId,  # noqa: ARG002
        outgoing: OutgoingId,  # noqa: ARG002
        seqs: Sequence[int],  # noqa: ARG002
    ) -> frozenset[int]:
        return frozenset()


def portal_links(areas: Areas) -> MakesLinks:  # noqa: ARG001
    return _Closed()
