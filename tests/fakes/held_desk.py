"""What is held on the way out, as the pages of administration see it: keeps what it is given and what was done."""

from dataclasses import dataclass, field

from carepost.audit.model import Actor
from carepost.base.address import EmailAddress
from carepost.base.clock import Clock
from carepost.base.errors import NotPossible
from carepost.base.ids import OrganisationId, OutgoingId, TraceId
from carepost.gateway.out.held import HeldOutgoing, HeldOutgoingPage
from carepost.gateway.out.outgoing import OutgoingRecipient, RecipientState, Route


@dataclass
class HeldMailDesk:
    """Implements HeldDesk."""

    clock: Clock
    rows: list[HeldOutgoing] = field(default_factory=list)
    done: list[tuple[str, int, str]] = field(default_factory=list)

    def hold(self, *to: str, found: str = "The file “results.zip” could not be opened.") -> HeldOutgoing:
        at, number = self.clock.now(), len(self.rows) + 1
        held = tuple(
            OutgoingRecipient(
                seq=seq,
                address=EmailAddress.parse(one),
                route=Route.HOLD,
                state=RecipientState.HELD,
                says="A message that could not be scanned completely: this could not be judged.",
                card="not-scanned",
                changed_at=at,
            )
            for seq, one in enumerate(to)
        )
        made = HeldOutgoing(
            id=OutgoingId(number),
            trace=TraceId(f"T{number}"),
            sender="desk@riverside.example",
            person="nia.nurse@riverside.example",
            submitted_at=at,
            size=1234,
            held=held,
            others=0,
            found=(found,),
        )
        self.rows.append(made)
        return made

    async def page(
        self, actor: Actor, organisation: OrganisationId, *, after: OutgoingId | None = None, limit: int = 50
    ) -> HeldOutgoingPage:
        found = [one for one in self.rows if one.id > (after or 0)]
        return HeldOutgoingPage(found[:limit], found[limit - 1].id if len(found) > limit else None)

    async def get(self, actor: Actor, organisation: OrganisationId, outgoing: OutgoingId) -> HeldOutgoing:
        for one in self.rows:
            if one.id == outgoing:
                return one
        raise NotPossible("There is no such message.")

    async def let_go(
        self, actor: Actor, organisation: OrganisationId, outgoing: OutgoingId, *, reason: str, by_link: bool = False
    ) -> int:
        return self._settle("link" if by_link else "let go", outgoing, reason)

    async def refuse(self, actor: Actor, organisation: OrganisationId, outgoing: OutgoingId, *, reason: str) -> int:
        return self._settle("refuse", outgoing, reason)

    def _settle(self, deed: str, outgoing: OutgoingId, reason: str) -> int:
        [found] = [one for one in self.rows if one.id == outgoing] or [None]
        if found is None or not found.held:
            raise NotPossible("Nothing of this message is held any more.")
        self.rows.remove(found)
        self.done.append((deed, int(outgoing), reason))
        return len(found.held)
