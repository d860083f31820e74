"""Messages that come again: the same octets from the same peer to the same mailboxes. Counted, and never collapsed.

Promises
    Every one is taken. A sender whose `250` was lost, or who was told "later" by a database that died in its COMMIT,
    sends again, and both copies are kept: a device that raises the same alarm twice in the same octets may mean it
    twice.
    What is remembered are digests under a key that ends with this process, so many at most, for so long at most.

A worker remembers what itself has answered: a repetition that another worker takes is not counted.
"""

import asyncio
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from carepost.base.clock import Clock
from carepost.gateway.model import Connection, Envelope

_BESIDE_OCTETS = 1 << 20  # larger messages are digested beside the loop: a megabyte takes a millisecond or two
_DIGEST_OCTETS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatsPolicy:
    # A sender gives up after five days at most (RFC 5321 §4.5.4.1); nearly all repetitions come within minutes.
    window: timedelta = timedelta(hours=72)
    # About 250 octets of memory each.
    remembered_max: int = 20_000


@dataclass(slots=True)
class Repeats:
    """What one worker has answered, and how."""

    clock: Clock
    policy: RepeatsPolicy = RepeatsPolicy()
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _seen: OrderedDict[bytes, tuple[datetime, str]] = field(default_factory=OrderedDict, repr=False)

    async def digest(self, connection: Connection, envelope: Envelope, raw: bytes) -> bytes:
        """The same for the same octets, peer, reverse-path and mailboxes; for nothing else."""
        if len(raw) > _BESIDE_OCTETS:
            return await asyncio.to_thread(self._digest, connection, envelope, raw)
        return self._digest(connection, envelope, raw)

    def before(self, digest: bytes) -> str | None:
        """What was said to it the last time, in the window; None: it is new."""
        known = self._seen.get(digest)
        return known[1] if known and self.clock.now() - known[0] < self.policy.window else None

    def answered(self, digest: bytes, outcome: str) -> None:
        """Remember what was said to it now; the oldest are forgotten."""
        self._seen.pop(digest, None)
        self._seen[digest] = (self.clock.now(), outcome)
        while len(self._seen) > self.policy.remembered_max:
            self._seen.popitem(last=False)

    def _digest(self, connection: Connection, envelope: Envelope, raw: bytes) -> bytes:
        # Not BLAKE2: what processors have instructions for takes half the time.
        made = hmac.new(self._key, digestmod="sha256")
        mailboxes = sorted((int(one.organisation), int(one.mailbox)) for one in envelope.recipients)
        made.update(repr((str(connection.client_ip), str(envelope.reverse_path), mailboxes)).encode())
        made.update(b"\0")
        made.update(raw)
        return made.digest()[:_DIGEST_OCTETS]
