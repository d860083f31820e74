"""The IMAP server: sockets, who is connected, and goodbye. RFC 9051; 143 with STARTTLS, 993 with TLS from the start.

Promises
    `serve` runs until it is cancelled; then every client is told goodbye and every task has ended.
    When a person's sign-in or an app password is revoked, its connections end at once, sleeping ones too.
    A person has at most `connections_a_person` of them; strangers at most `strangers` together (P24).
"""

import asyncio
import ssl
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from socket import socket
from typing import Protocol

from carepost.base.errors import NotAllowed, NotPossible
from carepost.base.ids import PersonId
from carepost.directory.revoking import Revoked
from carepost.protocols.imap.connection import ImapConnection
from carepost.protocols.imap.ports import ImapServices, SignedIn

_REVOKED = "You have been signed out. Please sign in again."
_TOO_MANY = "You have too many mail connections open. Close a mail program and try again."
_STOPPING = "The service is restarting. Please connect again in a moment."


class RevocationFeed(Protocol):
    """Who is signed out; see `identity`."""

    def watch(self, call: Callable[[Revoked], None]) -> AbstractContextManager[None]:
        """Call with the person, or the app password, whose sign-ins end now."""
        ...


@dataclass(slots=True, kw_only=True)
class ImapServer:
    """`tls_context` is asked for at every handshake, so that certificates can be renewed."""

    services: ImapServices
    revocations: RevocationFeed
    tls_context: Callable[[], ssl.SSLContext]
    _connections: set[ImapConnection] = field(default_factory=set)
    _by_person: dict[PersonId, set[ImapConnection]] = field(default_factory=lambda: defaultdict(set))
    # What was revoked lately, and when: a sign-in that was being checked at that moment must not slip through.
    _heard: deque[tuple[float, Revoked]] = field(default_factory=lambda: deque(maxlen=1000))
    _group: asyncio.TaskGroup | None = None

    async def serve(self, *, starttls: Sequence[socket] = (), implicit: Sequence[socket] = ()) -> None:
        """Listen on these bound sockets until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            servers: list[asyncio.Server] = []
            try:
                for sock in (*starttls, *implicit):
                    servers += [await self._listen(sock, secure=sock in implicit)]
                with self.revocations.watch(self.revoke):
                    await asyncio.Event().wait()
            finally:
                for server in servers:
                    server.close()
                self._group = None
                for connection in tuple(self._connections):
                    connection.end(_STOPPING)

    async def _listen(self, sock: socket, *, secure: bool) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(
            lambda: ImapConnection(self, secure=secure),
            sock=sock,
            ssl=self.tls_context() if secure else None,
            ssl_handshake_timeout=self.services.limits.sign_in_s if secure else None,
        )

    def revoke(self, revoked: Revoked) -> None:
        """End every connection of that person, or of that app password."""
        self._heard.append((asyncio.get_running_loop().time(), revoked))
        for connection in tuple(self._connections):
            if connection.who is not None and _concerns(revoked, connection.who):
                connection.end(_REVOKED)

    @property
    def count(self) -> int:
        """Connections there are now."""
        return len(self._connections)

    # connection.House

    def tls(self) -> ssl.SSLContext:
        return self.tls_context()

    def arrived(self, connection: ImapConnection) -> bool:
        limits = self.services.limits
        strangers = sum(1 for one in self._connections if one.who is None)
        if self._group is None or len(self._connections) >= limits.connections or strangers >= limits.strangers:
            return False
        self._connections.add(connection)
        connection.run_in(self._group.create_task)
        return True

    def signed_in(self, connection: ImapConnection, who: SignedIn, *, asked_at: float) -> None:
        if any(at >= asked_at and _concerns(revoked, who) for at, revoked in self._heard):
            raise NotAllowed(_REVOKED, code="AUTHENTICATIONFAILED")
        theirs = self._by_person[who.person]
        if len(theirs) >= self.services.limits.connections_a_person:
            raise NotPossible(_TOO_MANY, code="LIMIT")
        theirs.add(connection)

    def left(self, connection: ImapConnection) -> None:
        self._connections.discard(connection)
        if connection.who is not None:
            theirs = self._by_person[connection.who.person]
            theirs.discard(connection)
            if not theirs:
                del self._by_person[connection.who.person]


def _concerns(revoked: Revoked, who: SignedIn) -> bool:
    by_person = revoked.person is not None and who.person == revoked.person
    return by_person or (revoked.app_password is not None and who.app_password == revoked.app_password)
