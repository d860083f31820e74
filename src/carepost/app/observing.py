"""What a worker says of itself: numbers, and whether it is well."""

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from carepost.app.repeats import Repeats
from carepost.base.errors import MailError, TryLater
from carepost.gateway.inbound import InboundGateway
from carepost.gateway.model import Connection, Envelope, Receipt, Refused
from carepost.infra.db import Database
from carepost.infra.durability import EVERY_SECONDS, DurabilityFinding, DurabilityWatch
from carepost.infra.log import get_logger
from carepost.infra.metrics import Metrics
from carepost.ops.health import Health, Look

log = get_logger("health")


class Gauges:
    """The numbers of the service. Made once, before workers are forked."""

    def __init__(self, metrics: Metrics) -> None:
        self.exposition: Callable[[], bytes] = metrics.exposition
        self.messages = metrics.counter("messages_received", "Messages that came by port 25 or LMTP.", ["outcome"])
        self.repeated = metrics.counter(
            "messages_repeated", "Messages taken again octet for octet, by what the last answer was.", ["outcome"]
        )
        self.walk = metrics.seconds("inbound_walk", "From the last byte of a message to our answer.")
        self.octets = metrics.counter("octets_received", "Octets of messages that were taken.")
        self.sent = metrics.counter("messages_sent", "Attempts to deliver, by recipient.", ["outcome"])
        self.queued = metrics.gauge("delivery_queue", "Recipients in the delivery queue.", ["state"], how="mostrecent")
        self.oldest = metrics.gauge(
            "delivery_oldest_seconds", "How long the oldest recipient has been queued.", how="mostrecent"
        )
        self.overdue = metrics.gauge(
            "mail_overdue", "Mail that waits for longer than it may (R145).", ["kind"], how="mostrecent"
        )
        self.unaccounted = metrics.gauge(
            "delivery_unaccounted",
            "Recipients of which nobody can say what became of them. Must be 0.",
            how="mostrecent",
        )
        self.prompts = metrics.gauge(
            "prompts_per_hundred_messages",
            "How often people were asked before they sent, in 30 days, by rule.",
            ["kind"],
            how="mostrecent",
        )
        self.prompts_overridden = metrics.gauge(
            "prompts_overridden_share",
            "The share of answers that changed nothing: near 1, the rule cries wolf.",
            ["kind"],
            how="mostrecent",
        )
        self.weak = metrics.gauge("durability_findings", "Settings of the database that could lose accepted mail.")


@dataclass(frozen=True, slots=True)
class Observing:
    """Given to each worker: the gauges, the sockets on which it may be asked, and how often it looks at durability."""

    gauges: Gauges
    sockets: Sequence[socket.socket]
    durability_seconds: float = EVERY_SECONDS

    def watch(self, db: Database) -> DurabilityWatch:
        """Looks, every minute or as the settings say, whether what is committed is kept."""

        def tell(findings: Sequence[DurabilityFinding]) -> None:
            self.gauges.weak.set(len(findings))
            for finding in findings:
                log.error("the database could lose accepted mail", finding=str(finding))

        return DurabilityWatch(db, tell, every_seconds=self.durability_seconds)

    def health(self, role: str, db: Database, watch: DurabilityWatch, further: Mapping[str, Look]) -> Health:
        async def database() -> str | None:
            try:
                async with db.transaction() as tx:
                    await tx.one("SELECT 1 AS well")
            except TryLater:
                return "The database does not answer."
            return None

        async def durability() -> str | None:
            return None if watch.sound else "The database may lose what it commits, or has not been asked for minutes."

        looks: dict[str, Look] = {"database": database, "durability": durability, **further}
        return Health(role=role, looks=looks, metrics=self.gauges.exposition)


@dataclass(frozen=True, slots=True)
class CountedInbound:
    """The gateway, counted; and closed, for a while, when the database could lose what it commits (C1)."""

    gateway: InboundGateway
    gauges: Gauges
    watch: DurabilityWatch
    repeats: Repeats

    async def receive(self, connection: Connection, envelope: Envelope, raw: bytes) -> Receipt:
        if not self.watch.sound:
            self.gauges.messages.labels(outcome="later").inc()
            raise TryLater("Mail cannot be taken safely just now. Please try again later.", cause="durability")
        digest = await self.repeats.digest(connection, envelope, raw)
        began = time.perf_counter()
        try:
            receipt = await self.gateway.receive(connection, envelope, raw)
        except Refused:
            self.gauges.messages.labels(outcome="refused").inc()
            raise
        except MailError:
            self.gauges.messages.labels(outcome="later").inc()
            # Among these are those whose COMMIT may have been kept: nobody knows which.
            self.repeats.answered(digest, "later")
            raise
        finally:
            self.gauges.walk.observe(time.perf_counter() - began)
        self.gauges.messages.labels(outcome="taken").inc()
        self.gauges.octets.inc(len(raw))
        if (before := self.repeats.before(digest)) is not None:
            self.gauges.repeated.labels(outcome=before).inc()
        self.repeats.answered(digest, "taken")
        return receipt
