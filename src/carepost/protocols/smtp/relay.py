"""What a conversation on port 25 means: who may be written to, and when a message is ours.

Promises
    Mail is taken for mailboxes that exist here and for nobody else; everybody else is the same 550 (P17, P19).
    Recipients are settled before the content comes: nothing is refused afterwards that need bounce (P18).
    "250 … is now with us" is said after `Inbound.receive` has returned, which is after COMMIT. Any doubt is a 451.
    No reply says which mechanism refused; no log line holds an address or any content of mail.
"""

import asyncio
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol, assert_never

from carepost.base.address import Domain, EmailAddress
from carepost.base.clock import Clock
from carepost.base.errors import Malformed
from carepost.base.ids import MailboxId, new_trace_id
from carepost.directory.model import Found, MailboxKind, RefusalReason, Refusing, Route, Unknown
from carepost.gateway.model import Connection, Envelope, Receipt, Recipient, TlsFacts, Via
from carepost.infra.log import get_logger
from carepost.protocols.smtp.answers import answer_to, within
from carepost.protocols.smtp.arriving import ArrivingContent
from carepost.protocols.smtp.limits import SmtpLimits
from carepost.protocols.smtp.spool import Spools
from carepost.protocols.smtp.throttle import Throttle
from carepost.protocols.smtp.trace_fields import Hop, trace_fields
from carepost.wire import smtp_events as wire
from carepost.wire import smtp_replies as replies
from carepost.wire.smtp_grammar import ClientIs, Hello, Mail, Path
from carepost.wire.smtp_grammar import Recipient as AskedFor
from carepost.wire.smtp_replies import Reply

log = get_logger("smtp")


class Routes(Protocol):
    """Of the directory: where mail for an address goes."""

    async def route(self, address: EmailAddress, *, from_outside: bool) -> Route: ...


class Inbound(Protocol):
    """Of the gateway: returns after COMMIT, or raises a MailError and has kept nothing."""

    async def receive(self, connection: Connection, envelope: Envelope, raw: bytes) -> Receipt: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings:
    """Who we are to strangers."""

    hostname: str  # in greetings, Received and Authentication-Results; it must have a matching PTR record
    limits: SmtpLimits = field(default_factory=SmtpLimits)
    postmaster: EmailAddress | None = None  # who answers `RCPT TO:<postmaster>`; None: postmaster at `hostname`
    via: Via = Via.SMTP


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """What all conversations share."""

    routes: Routes
    inbound: Inbound
    spools: Spools
    throttle: Throttle
    clock: Clock
    settings: RelaySettings


@dataclass(slots=True)
class _Arriving:
    """One message on its way in."""

    mail: Mail
    sender: EmailAddress | None
    recipients: list[Recipient] = field(default_factory=list)
    content: ArrivingContent = field(default_factory=ArrivingContent)


class RelaySession:
    """One conversation: gives the answer to each event of the engine."""

    def __init__(self, relay: Relay, client: IPv4Address | IPv6Address) -> None:
        self._relay = relay
        self._limits = relay.settings.limits
        self._client = client
        self._told = ClientIs()
        self._hello = Hello("HELO", "")
        self._arriving: _Arriving | None = None
        self._now = asyncio.get_running_loop().time
        self.tls: TlsFacts | None = None

    async def on(self, event: wire.Event) -> tuple[Reply, ...]:
        """The answers to a question; none to anything else."""
        match event:
            case wire.Content(octets):
                await self._current().content.keep(octets)
            case Mail():
                return (self._mail(event),)
            case AskedFor():
                return (await self._recipient(event),)
            case wire.MessageBegins():
                return (self._begin(),)
            case wire.ChunkEnds(octets):
                return (self._chunk(octets),)
            case wire.MessageEnds():
                return await self._message()
            case Hello():
                self._hello = event
                self.forget_message()
            case ClientIs():
                self._told = event
                self._client = event.address or self._client
                self.forget_message()
            case wire.Reset() | wire.Quit() | wire.MessageFails() | wire.StartTls():
                self.forget_message()
            case wire.SignIn():
                return (replies.NOT_OFFERED,)  # the engine does not ask it here
            case _:
                assert_never(event)
        return ()

    def forget_message(self) -> None:
        """Drop what has been gathered. May be called at any time."""
        if self._arriving is not None:
            self._arriving.content.close()
        self._arriving = None

    # -- the envelope --

    def _mail(self, mail: Mail) -> Reply:
        try:
            sender = None if mail.sender is None else _sender_address(mail.sender)
        except Malformed:
            return replies.BAD_SENDER
        if not self._relay.spools.has_room_for(mail.size):
            log.error("no room for mail")
            return replies.NO_ROOM
        self._arriving = _Arriving(mail, sender)
        return replies.SENDER_OK

    async def _recipient(self, asked: AskedFor) -> Reply:
        arriving = self._current()
        if not self._relay.throttle.recipient(self._client, now=self._now()):
            return replies.TOO_FAST
        try:
            address = self._recipient_address(asked.address)
        except Malformed:
            return replies.BAD_RECIPIENT
        try:
            routing = self._relay.routes.route(address, from_outside=True)
            route = await within(self._limits.routing_timeout, routing)
        except Exception as error:  # noqa: BLE001 - whatever it is, the sender must come again
            return answer_to(error, "recipient not settled")
        match route:
            case Found():
                arriving.recipients.append(
                    Recipient(
                        address=route.address,
                        mailbox=route.mailbox,
                        organisation=route.organisation,
                        notify=asked.notify,
                        original=asked.original,
                        shared=route.kind is MailboxKind.SHARED,
                    )
                )
                return replies.RECIPIENT_OK
            case Refusing(RefusalReason.FULL):
                return replies.MAILBOX_FULL
            case Refusing() | Unknown():
                return await self._unknown()
            case _:
                assert_never(route)

    async def _unknown(self) -> Reply:
        delay = self._relay.throttle.unknown_recipient(self._client, now=self._now())
        if delay is None:
            log.warning("harvest ended", client=str(self._client))
            return replies.TOO_MANY_UNKNOWN
        if delay:
            await asyncio.sleep(delay)
        return replies.NO_SUCH_RECIPIENT

    def _recipient_address(self, path: Path) -> EmailAddress:
        if path.domain:
            return EmailAddress.parse(str(path))
        settings = self._relay.settings
        return settings.postmaster or EmailAddress("postmaster", Domain.parse(settings.hostname))

    # -- the content --

    def _begin(self) -> Reply:
        self._current().content.begin(self._relay.spools)
        return replies.GO_AHEAD

    def _chunk(self, octets: int) -> Reply:
        failure = self._current().content.failure
        if failure is None:
            return replies.chunk_taken(octets)
        self.forget_message()
        return answer_to(failure, "content not kept")

    async def _message(self) -> tuple[Reply, ...]:
        arriving = self._current()
        wanted = len(arriving.recipients) if self._relay.settings.via is Via.LMTP else 1
        try:
            reply = await self._receive(arriving)
        except Exception as error:  # noqa: BLE001 - our bug must not lose their mail: 451
            reply = answer_to(error, "message not taken")
        finally:
            self.forget_message()
        return (reply,) * wanted

    async def _receive(self, arriving: _Arriving) -> Reply:
        raw = await arriving.content.whole()
        connection = self._connection()
        envelope = self._envelope(arriving, connection)
        receiving = self._relay.inbound.receive(connection, envelope, raw)
        receipt = await within(self._limits.receive_timeout, receiving)
        self._relay.throttle.message_taken(self._client, now=self._now())
        log.info(
            "message taken",
            trace=receipt.trace,
            octets=len(raw),
            recipients=len(arriving.recipients),
            client=str(self._client),
            tls=self.tls.version if self.tls else None,
        )
        return replies.with_us(receipt.trace)

    def _connection(self) -> Connection:
        settings = self._relay.settings
        return Connection(
            client_ip=self._client,
            client_name=self._told.name,
            hello=self._told.hello or self._hello.name,
            tls=self.tls,
            via=settings.via,
            local_name=settings.hostname,
        )

    def _envelope(self, arriving: _Arriving, connection: Connection) -> Envelope:
        mail = arriving.mail
        # Two addresses of one mailbox are one copy.
        by_mailbox: dict[MailboxId, Recipient] = {}
        for recipient in arriving.recipients:
            by_mailbox.setdefault(recipient.mailbox, recipient)
        recipients, trace = tuple(by_mailbox.values()), new_trace_id()
        hop = Hop(
            trace=trace,
            reverse_path=arriving.sender,
            recipients=recipients,
            smtputf8=mail.smtputf8,
            extended=(self._told.protocol or self._hello.verb).upper() not in {"SMTP", "HELO"},
            at=self._relay.clock.now(),
        )
        return Envelope(
            trace=trace,
            reverse_path=arriving.sender,
            recipients=recipients,
            smtputf8=mail.smtputf8,
            envid=mail.envid,
            ret=mail.ret,
            received=trace_fields(connection, hop),
        )

    def _current(self) -> _Arriving:
        if self._arriving is None:
            raise RuntimeError("no message is arriving")
        return self._arriving


def _sender_address(path: Path) -> EmailAddress:
    """Forwarders make local parts longer than the 64 octets of RFC 5321; they are to be received all the same."""
    return EmailAddress(path.local, Domain.parse(path.domain))
