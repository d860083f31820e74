"""What each client address has asked of us lately.

Promises
    Memory is bounded: the clients that have been quiet longest are forgotten first.
    A network that gives each customer a /64 of IPv6 is counted by the /64.
    Who is exempt is never counted.

Counts are this process's own. Several workers on one port each have theirs; the limits are for each worker.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from math import ceil
from typing import TypeAlias

from carepost.protocols.smtp.limits import SmtpLimits

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

# A message that we took makes up for so many typing errors: a busy honest relay has both, a harvester only one.
_FORGIVEN = 5


@dataclass(slots=True)
class _Client:
    connections: int = 0
    recipients: float = 0  # leaks away within a minute
    unknown: float = 0  # leaks away within an hour
    seen: float = 0


class Throttle:
    """Counts connections, recipients and unknown recipients. `now` is in seconds, of any clock that never goes back."""

    def __init__(self, limits: SmtpLimits, *, exempt: Sequence[Network] = ()) -> None:
        self._limits = limits
        self._exempt = tuple(exempt)
        self._clients: OrderedDict[Address, _Client] = OrderedDict()

    def connect(self, address: Address, *, now: float) -> bool:
        """Whether one more connection may be had; if so it is counted until `disconnect`."""
        if self._is_exempt(address):
            return True
        client = self._client(address, now)
        if client.connections >= self._limits.connections_per_client:
            return False
        client.connections += 1
        return True

    def disconnect(self, address: Address) -> None:
        client = self._clients.get(_counted_as(address))
        if client is not None and client.connections and not self._is_exempt(address):
            client.connections -= 1

    def recipient(self, address: Address, *, now: float) -> bool:
        """Whether one more recipient may be asked for."""
        if self._is_exempt(address):
            return True
        client = self._client(address, now)
        client.recipients += 1
        return client.recipients <= self._limits.recipients_per_minute

    def unknown_recipient(self, address: Address, *, now: float) -> float | None:
        """How many seconds the answer should take; None: no more answers for this client."""
        if self._is_exempt(address):
            return 0
        limits, client = self._limits, self._client(address, now)
        client.unknown += 1
        if client.unknown > limits.unknown_per_hour:
            return None
        beyond = max(0, ceil(client.unknown) - limits.unknown_before_tarpit)
        return min(beyond * limits.tarpit_step, limits.tarpit_max)

    def message_taken(self, address: Address, *, now: float) -> None:
        if not self._is_exempt(address):
            client = self._client(address, now)
            client.unknown = max(0, client.unknown - _FORGIVEN)

    def _client(self, address: Address, now: float) -> _Client:
        key = _counted_as(address)
        client = self._clients.get(key)
        if client is None:
            client = self._clients[key] = _Client(seen=now)
            self._forget()
        else:
            self._clients.move_to_end(key)
        passed = max(0.0, now - client.seen)
        client.recipients = max(0.0, client.recipients - passed * self._limits.recipients_per_minute / 60)
        client.unknown = max(0.0, client.unknown - passed * self._limits.unknown_per_hour / 3600)
        client.seen = now
        return client

    def _forget(self) -> None:
        # Those who are connected stay, or their limit would start anew; there are at most connections_total of them.
        excess = len(self._clients) - self._limits.clients_remembered
        if excess > 0:
            quiet = [key for key, client in self._clients.items() if not client.connections]
            for key in quiet[:-1][: excess + self._limits.clients_remembered // 10]:
                del self._clients[key]

    def _is_exempt(self, address: Address) -> bool:
        return any(address in network for network in self._exempt)


def _counted_as(address: Address) -> Address:
    if isinstance(address, IPv6Address):
        return IPv6Address(int(address) >> 64 << 64)
    return address
