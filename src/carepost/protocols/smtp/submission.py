"""What a conversation on 465 and 587 means: a person's own program hands in mail. RFC 6409, RFC 8314.

Promises
    Nobody hands in anything before signing in with an app password, and nobody signs in outside TLS (P6).
    A sender that is not the person's to use is refused at MAIL, and again on the walk (R82).
    "250 … is now with us" is said after `SubmissionDoor.submit` has returned, which is after COMMIT. What must be asked
    of the person first is kept and asked by a letter in their inbox: it is never bounced and never lost.
    When an app password or a person is revoked, their conversations end, a message on its way in included.
    No log line holds an address or any content of mail.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from carepost.base.address import Domain, EmailAddress
from carepost.base.errors import Malformed
from carepost.base.ids import AppPasswordId, OrganisationId, PersonId, TraceId
from carepost.directory.revoking import Revoked
from carepost.gateway.model import TlsFacts
from carepost.infra.log import get_logger
from carepost.protocols.smtp.answers import answer_to, answer_to_person, within
from carepost.protocols.smtp.arriving import Arriving, HandedRecipient
from carepost.protocols.smtp.limits import SmtpLimits
from carepost.protocols.smtp.spool import Spools
from carepost.protocols.smtp.throttle import Throttle
from carepost.wire import smtp_events as wire
from carepost.wire import smtp_replies as replies
from carepost.wire.smtp_grammar import ClientIs, Hello, Mail, Path
from carepost.wire.smtp_grammar import Recipient as AskedFor
from carepost.wire.smtp_replies import Reply

log = get_logger("submission")

# After a wrong secret we think for so long, and twice as long each time: guessing gets nowhere, a typing slip does.
_WRONG_SECRET_WAIT = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitter:
    """Who has signed in."""

    person: PersonId
    organisation: OrganisationId
    app_password: AppPasswordId | None
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedIn:
    """One message as a program handed it in. `raw` ends in CRLF and has no bare line ends."""

    sender: EmailAddress
    recipients: tuple[HandedRecipient, ...]
    raw: bytes = field(repr=False)
    smtputf8: bool = False
    envid: str | None = None
    ret: str | None = None
    require_tls: bool = False
    client: IPv4Address | IPv6Address


class SubmissionDoor(Protocol):
    """What the doors of submission lead to."""

    async def sign_in(self, address: str, secret: str, client_address: str) -> Submitter | None:
        """Whose app password for submission this is, or None. Raises TryLater while there are too many tries."""
        ...

    async def may_write_as(self, who: Submitter, sender: EmailAddress) -> bool:
        """Whether the address is their own, or that of a shared mailbox they belong to (R82)."""
        ...

    async def exists(self, address: EmailAddress) -> bool:
        """False only for an address of a domain of ours that nobody has: told at once instead of by a letter later."""
        ...

    async def submit(self, who: Submitter, handed: HandedIn) -> TraceId:
        """Take responsibility: returns after COMMIT. Raises a MailError, and then nothing was kept."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionSettings:
    hostname: str
    limits: SmtpLimits = field(default_factory=SmtpLimits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submissions:
    """What all conversations share."""

    door: SubmissionDoor
    spools: Spools
    throttle: Throttle
    settings: SubmissionSettings
    # What was revoked lately, and when: a sign-in that was being checked at that moment must not slip through.
    _heard: deque[tuple[float, Revoked]] = field(default_factory=lambda: deque(maxlen=1000), init=False)

    def heard(self, revoked: Revoked) -> None:
        self._heard.append((asyncio.get_running_loop().time(), revoked))

    def is_revoked(self, who: Submitter, *, since: float) -> bool:
        return any(at >= since and concerns(revoked, who) for at, revoked in self._heard)


def concerns(revoked: Revoked, who: Submitter) -> bool:
    by_person = revoked.person is not None and who.person == revoked.person
    return by_person or (revoked.app_password is not None and who.app_password == revoked.app_password)


class SubmissionSession:
    """One conversation: gives the answer to each event of the engine."""

    def __init__(
        self,
        shared: Submissions,
        client: IPv4Address | IPv6Address,
        sleep: Callable[[float], "asyncio.Future[None]"] | None = None,
    ) -> None:
        self._shared = shared
        self._limits = shared.settings.limits
        self._client = client
        self._sleep = sleep or asyncio.sleep
        self._wrong_secrets = 0
        self._arriving: Arriving | None = None
        self.tls: TlsFacts | None = None
        self.who: Submitter | None = None
        self.signed_out = False

    async def on(self, event: wire.Event) -> tuple[Reply, ...]:
        """The answers to a question; none to anything else."""
        match event:
            case wire.Content(octets):
                await self._current().content.keep(octets)
            case wire.SignIn(credentials):
                return (await self._sign_in(credentials.act_as, credentials.address, credentials.secret),)
            case Mail():
                return (self._out() or await self._mail(event),)
            case AskedFor():
                return (self._out() or await self._recipient(event),)
            case wire.MessageBegins():
                self._current().content.begin(self._shared.spools)
                return (replies.GO_AHEAD,)
            case wire.ChunkEnds(octets):
                return (self._chunk(octets),)
            case wire.MessageEnds():
                return (await self._message(),)
            case Hello() | ClientIs() | wire.Reset() | wire.Quit() | wire.MessageFails() | wire.StartTls():
                self.forget_message()
        return ()

    def forget_message(self) -> None:
        """Drop what has been gathered. May be called at any time."""
        if self._arriving is not None:
            self._arriving.content.close()
        self._arriving = None

    def _out(self) -> Reply | None:
        return replies.SIGNED_OUT if self.signed_out or self.who is None else None

    # -- who --

    async def _sign_in(self, act_as: str, address: str, secret: str) -> Reply:
        asked_at = asyncio.get_running_loop().time()
        if act_as and act_as != address:
            return replies.SIGN_IN_FAILED  # nobody signs in as somebody else (R81)
        try:
            asking = self._shared.door.sign_in(address, secret, str(self._client))
            who = await within(self._limits.routing_timeout, asking)
        except Exception as error:  # noqa: BLE001 - whatever it is, they must come again
            return answer_to(error, "sign-in not settled")
        if who is None or self._shared.is_revoked(who, since=asked_at):
            log.info("sign-in failed", client=str(self._client))
            await self._sleep(_WRONG_SECRET_WAIT * 2**self._wrong_secrets)
            self._wrong_secrets += 1
            return replies.SIGN_IN_FAILED
        self.who = who
        return replies.SIGNED_IN

    # -- the envelope --

    async def _mail(self, mail: Mail) -> Reply:
        if mail.sender is None:
            return replies.NOT_YOURS  # people send letters, not reports
        try:
            sender = _address(mail.sender)
        except Malformed:
            return replies.BAD_SENDER
        if not self._shared.spools.has_room_for(mail.size):
            log.error("no room for mail")
            return replies.NO_ROOM
        try:
            asking = self._shared.door.may_write_as(self._whoever(), sender)
            allowed = await within(self._limits.routing_timeout, asking)
        except Exception as error:  # noqa: BLE001
            return answer_to(error, "sender not settled")
        if not allowed:
            return replies.NOT_YOURS
        self._arriving = Arriving(mail, sender)
        return replies.SENDER_OK

    async def _recipient(self, asked: AskedFor) -> Reply:
        arriving = self._current()
        try:
            address = _address(asked.address)
        except Malformed:
            return replies.BAD_RECIPIENT
        try:
            known = await within(self._limits.routing_timeout, self._shared.door.exists(address))
        except Exception as error:  # noqa: BLE001
            return answer_to(error, "recipient not settled")
        if not known:
            return replies.NO_SUCH_RECIPIENT
        arriving.recipients.setdefault(address.key, HandedRecipient(address, asked.notify, asked.original))
        return replies.RECIPIENT_OK

    # -- the content --

    def _chunk(self, octets: int) -> Reply:
        failure = self._current().content.failure
        if failure is None:
            return replies.chunk_taken(octets)
        self.forget_message()
        return answer_to(failure, "content not kept")

    async def _message(self) -> Reply:
        try:
            return self._out() or await self._submit(self._current())
        except Exception as error:  # noqa: BLE001 - our bug must not lose their mail: 451
            return answer_to_person(error, "message not taken")
        finally:
            self.forget_message()

    async def _submit(self, arriving: Arriving) -> Reply:
        who, mail = self._whoever(), arriving.mail
        handed = HandedIn(
            sender=arriving.sender,
            recipients=tuple(arriving.recipients.values()),
            raw=await arriving.content.whole(),
            smtputf8=mail.smtputf8,
            envid=mail.envid,
            ret=mail.ret,
            require_tls=mail.require_tls,
            client=self._client,
        )
        trace = await within(self._limits.receive_timeout, self._shared.door.submit(who, handed))
        log.info("message handed in", trace=trace, octets=len(handed.raw), recipients=len(handed.recipients))
        return replies.with_us(trace)

    def _whoever(self) -> Submitter:
        if self.who is None:
            raise RuntimeError("nobody has signed in")
        return self.who

    def _current(self) -> Arriving:
        if self._arriving is None:
            raise RuntimeError("no message is arriving")
        return self._arriving


def _address(path: Path) -> EmailAddress:
    if not path.domain:
        raise Malformed("An address needs a domain here.")
    return EmailAddress(path.local, Domain.parse(path.domain))
