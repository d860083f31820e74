"""The listening half: who may connect, how many at once, and how it all ends.

Promises
    A connection beyond the limits gets one 421 and costs no task.
    Every conversation is a child of `serve`; when `serve` has returned, none is left.
    On shutdown nobody new is let in, the idle hear 421 at once, and a message that is arriving may finish within
    `shutdown_grace`.

The sockets come from outside, listening already (several workers may share a port by SO_REUSEPORT).
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from carepost.directory.revoking import Revoked
from carepost.gateway.model import Via
from carepost.infra.log import get_logger
from carepost.protocols.smtp.conversation import Conversation, Session
from carepost.protocols.smtp.door import let_in
from carepost.protocols.smtp.link import Link
from carepost.protocols.smtp.relay import Relay, RelaySession
from carepost.protocols.smtp.submission import Submissions, SubmissionSession, concerns
from carepost.wire import smtp_replies as replies
from carepost.wire.smtp import SmtpEngine
from carepost.wire.smtp_events import Dialect, EngineSettings

log = get_logger("smtp")


@dataclass(slots=True)
class Counts:
    """What has happened, for the metrics page. Numbers only."""

    connections: int = 0
    open: int = 0
    refused_per_client: int = 0
    refused_busy: int = 0


@dataclass(slots=True, kw_only=True)
class SmtpServer:
    """Port 25, or LMTP when the relay's settings say so; 465 and 587 when it is Submissions.

    `tls` is asked at each connection, so that a renewed certificate needs no restart; None offers no TLS.
    `trusted` are the networks that may say XCLIENT. Nobody, unless the settings name them.
    """

    relay: Relay | Submissions
    tls: Callable[[], ssl.SSLContext | None] = lambda: None
    trusted: Sequence[IPv4Network | IPv6Network] = ()
    counts: Counts = field(default_factory=Counts, init=False)
    _conversations: dict[Link, Conversation] = field(default_factory=dict, init=False)
    _group: asyncio.TaskGroup | None = field(default=None, init=False)
    _fewer: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _stopping: bool = field(default=False, init=False)
    _stressed: bool = field(default=False, init=False)

    async def serve(
        self, sockets: Sequence[socket.socket], stop: asyncio.Event, *, implicit: Sequence[socket.socket] = ()
    ) -> None:
        """Accept on `sockets`, which are bound, until `stop` is set and every conversation has ended.

        On those of `implicit` TLS comes before the first word (RFC 8314 §3.3).
        """
        doors: list[asyncio.Task[None]] = []
        async with asyncio.TaskGroup() as group:
            self._group = group
            for listening in sockets:
                # The kernel's queue of connections that we have not accepted yet; beyond it SYNs wait.
                listening.listen(1024)
                listening.setblocking(False)
                doors.append(group.create_task(let_in(listening, self._link, lambda: len(self._conversations))))
            listeners = [await self._listen_tls(listening) for listening in implicit]
            try:
                await stop.wait()
            finally:
                self._stopping = True
                for door in doors:
                    door.cancel()
                for listener in listeners:
                    listener.close()
            await self._finish()

    async def _listen_tls(self, listening: socket.socket) -> asyncio.Server:
        # The context is renewed in place when the certificate is (infra.tls).
        return await asyncio.get_running_loop().create_server(
            self._link,
            sock=listening,
            backlog=1024,
            ssl=self.tls(),
            ssl_handshake_timeout=self.relay.settings.limits.tls_timeout,
        )

    def revoke(self, revoked: Revoked) -> None:
        """End what people have open whose app password, or who themselves, have been revoked."""
        if isinstance(self.relay, Submissions):
            self.relay.heard(revoked)
        for conversation in list(self._conversations.values()):
            session = conversation.session
            if isinstance(session, SubmissionSession) and session.who is not None and concerns(revoked, session.who):
                session.signed_out = True
                conversation.stop()

    async def _finish(self) -> None:
        """Let conversations end in their time, then abort what is left. The TaskGroup waits for their tasks."""
        for conversation in list(self._conversations.values()):
            conversation.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.relay.settings.limits.shutdown_grace):
                while self._conversations:
                    self._fewer.clear()
                    await self._fewer.wait()
        for link in list(self._conversations):
            link.abort()

    def _link(self) -> Link:
        return Link(self._begin, self._end)

    def _begin(self, link: Link) -> None:
        self.counts.connections += 1
        client = link.client
        limits = self.relay.settings.limits
        if client is None:
            link.abort()
        elif self._stopping or self._group is None:
            _turn_away(link, replies.SHUTTING_DOWN)
        elif len(self._conversations) >= limits.connections_total:
            self.counts.refused_busy += 1
            _turn_away(link, replies.BUSY)
        elif not self.relay.throttle.connect(client, now=asyncio.get_running_loop().time()):
            self.counts.refused_per_client += 1
            _turn_away(link, replies.TOO_MANY_CONNECTIONS)
        else:
            conversation = self._conversations[link] = self._conversation(link, client)
            self.counts.open += 1
            self._feel_stress()
            self._group.create_task(conversation.run())

    def _end(self, link: Link) -> None:
        conversation = self._conversations.pop(link, None)
        if conversation is not None:
            self.counts.open -= 1
            self._fewer.set()
            self.relay.throttle.disconnect(conversation.client)
            self._feel_stress()

    def _conversation(self, link: Link, client: IPv4Address | IPv6Address) -> Conversation:
        relay, tls = self.relay, self.tls()
        limits = relay.settings.limits
        lmtp = isinstance(relay, Relay) and relay.settings.via is Via.LMTP
        session: Session = RelaySession(relay, client) if isinstance(relay, Relay) else SubmissionSession(relay, client)
        engine = SmtpEngine(
            EngineSettings(
                hostname=relay.settings.hostname,
                dialect=Dialect.LMTP if lmtp else Dialect.SMTP,
                submission=isinstance(relay, Submissions),
                tls_offered=tls is not None,
                client_may_be_told=any(client in network for network in self.trusted),
                message_max=limits.message_max,
                recipients_max=limits.recipients_max,
                errors_max=limits.errors_max,
                idle_commands_max=limits.idle_commands_max,
                content_line_max=limits.content_line_max,
            )
        )
        conversation = Conversation(link, engine, session, limits=limits, client=client, tls=tls)
        conversation.stressed = self._stressed
        return conversation

    def _feel_stress(self) -> None:
        limits = self.relay.settings.limits
        stressed = len(self._conversations) >= limits.connections_total * limits.stress_share
        if stressed is self._stressed:
            return
        self._stressed = stressed
        log.warning("connections run short" if stressed else "connections suffice again", open=self.counts.open)
        for conversation in self._conversations.values():
            if stressed:
                conversation.hurry()
            else:
                conversation.stressed = False


def _turn_away(link: Link, reply: replies.Reply) -> None:
    link.transport.write(reply.encode())
    link.transport.close()
