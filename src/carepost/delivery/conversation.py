"""One SMTP conversation with one mail host: the engine's words over a link, each with its deadline. RFC 5321 §4.5.3.2.

Promises
    Whatever the other side does ends in an answer or in Lost; nothing waits longer than its deadline.
    After the last octet of a message has been handed over, Lost says so: whether it was taken is then not known.
    STARTTLS that fails raises NoTls, and the connection is of no further use: nothing is said on it in clear.
"""

import asyncio
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from carepost.delivery.link import Link
from carepost.wire.smtp_client import ClientState, SmtpClientEngine
from carepost.wire.smtp_client_commands import ClientCommand, Ehlo, Helo, Offers, Quit, StartTls
from carepost.wire.smtp_client_replies import PeerReply, Unintelligible


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Seconds. RFC 5321 §4.5.3.2 gives the least a sender must wait; where it is silent the reason stands here."""

    connect: float = 30.0  # Postfix waits as long; the network's own limit is minutes
    greeting: float = 300.0  # §4.5.3.2.1
    hello: float = 300.0  # as the greeting: some look us up before they answer
    tls: float = 60.0  # a handshake is two round trips
    mail: float = 300.0  # §4.5.3.2.2
    recipient: float = 300.0  # §4.5.3.2.3
    data: float = 120.0  # §4.5.3.2.4
    block: float = 180.0  # §4.5.3.2.5, for each piece of 64 KiB
    done: float = 600.0  # §4.5.3.2.6: it may scan before it answers
    attempt: float = 1500.0  # everything together, below the worker's own 1800: no peer holds one longer


class Lost(Exception):
    """The conversation broke off. `after_content`: the whole message had been handed over."""

    def __init__(self, how: str, *, after_content: bool = False) -> None:
        super().__init__(how)
        self.how = how
        self.after_content = after_content


class NoTls(Exception):
    """TLS was wanted and did not come about. `error` is what OpenSSL or the network said; None: it was refused."""

    def __init__(self, says: str, error: OSError | None = None) -> None:
        super().__init__(says)
        self.says = says
        self.error = error


class Conversation:
    """`until` is the end of the whole attempt, in the event loop's time."""

    def __init__(self, link: Link, deadlines: Deadlines, until: float) -> None:
        self._link = link
        self._deadlines = deadlines
        self._until = until
        self._engine = SmtpClientEngine()
        self._content_left = False

    @property
    def offers(self) -> Offers:
        return self._engine.offers

    @property
    def in_tls(self) -> bool:
        return self._engine.in_tls

    async def greeting(self) -> PeerReply:
        return (await self._answers(1, self._deadlines.greeting))[0]

    async def hello(self, name: str) -> PeerReply:
        """EHLO; HELO for what does not know it. RFC 5321 §3.2."""
        reply = await self.ask(Ehlo(name), seconds=self._deadlines.hello)
        if reply.is_never and not self.in_tls:
            return await self.ask(Helo(name), seconds=self._deadlines.hello)
        return reply

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Raises NoTls; after a refusal (no `error`) the conversation can go on in clear, if that is allowed."""
        reply = await self.ask(StartTls(), seconds=self._deadlines.hello)
        if not reply.is_yes:
            raise NoTls(f"it answered {reply.text}")
        self._engine.tls_begins()
        try:
            async with self._by(self._deadlines.tls):
                await self._link.start_tls(context, host)
        except ssl.SSLCertVerificationError as error:
            raise NoTls(f"its certificate is not good: {error.verify_message}", error) from error
        except ssl.SSLError as error:
            raise NoTls(f"the handshake failed: {_reason(error)}", error) from error
        except OSError as error:
            raise NoTls("the connection broke off during the handshake", error) from error
        except ValueError as error:
            raise NoTls("its name is none that a certificate could bear", ssl.SSLError(str(error))) from error

    async def ask(self, command: ClientCommand, *, seconds: float) -> PeerReply:
        return (await self.ask_all([command], seconds=seconds))[0]

    async def ask_all(self, commands: Sequence[ClientCommand], *, seconds: float) -> list[PeerReply]:
        """The answers, in order; all commands in one breath where that is offered (RFC 2920)."""
        if "PIPELINING" in self.offers or len(commands) == 1:
            await self._write(self._say(*commands), seconds)
            return await self._answers(len(commands), seconds)
        replies = []
        for command in commands:
            await self._write(self._say(command), seconds)
            replies += await self._answers(1, seconds)
        return replies

    async def send(self, pieces: Iterator[bytes], *, before: ClientCommand | None = None) -> PeerReply:
        """The content, and its answer. `before`: a command that stands right before it (BDAT).

        Raises RefusedEarly when a no came, and the end of the connection, before the message had ended.
        """
        lead = self._say(*([] if before is None else [before]))
        held = b""
        for piece in pieces:
            if held:
                await self._write_content(held)
            held, lead = lead + piece, b""
        # From here on the last octet may arrive, whatever we are told about the connection.
        self._content_left = True
        await self._write_content(held)
        self._engine.content_sent()
        (reply,) = await self._answers(1, self._deadlines.done)
        self._content_left = False
        return reply

    async def quit(self) -> None:
        """Say goodbye without waiting for the answer; never raises Lost."""
        try:
            await self._write(self._engine.say(Quit()), 2.0)
        except (Lost, RuntimeError):
            return

    def _say(self, *commands: ClientCommand) -> bytes:
        if self._engine.state is ClientState.CLOSED:
            raise Lost("it does not speak SMTP: rubbish behind its answer")
        return self._engine.say(*commands)

    async def _write_content(self, octets: bytes) -> None:
        try:
            await self._write(octets, self._deadlines.block)
        except Lost as lost:
            # It may have said why before it hung up: a no that came early is an answer.
            early = await self._early_no()
            raise (lost if early is None else RefusedEarly(early)) from lost

    async def _early_no(self) -> PeerReply | None:
        try:
            async with asyncio.timeout(1.0):
                heard = self._engine.hear(await self._link.read())
        except (OSError, Unintelligible):
            return None
        return heard[0].reply if heard and heard[0].reply.code >= 400 else None

    async def _write(self, octets: bytes, seconds: float) -> None:
        try:
            async with self._by(seconds):
                await self._link.write(octets)
        except TimeoutError as error:
            raise Lost("it stopped taking what we said", after_content=self._content_left) from error
        except OSError as error:
            raise Lost("the connection broke off", after_content=self._content_left) from error

    async def _answers(self, count: int, seconds: float) -> list[PeerReply]:
        replies: list[PeerReply] = []
        try:
            async with self._by(seconds):
                while len(replies) < count:
                    octets = await self._link.read()
                    if not octets:
                        raise Lost("it hung up without an answer", after_content=self._content_left)
                    replies += [heard.reply for heard in self._engine.hear(octets)]
                    if len(replies) < count:
                        self._engine.hear(b"")  # rubbish behind an answer: nothing better will come
        except Unintelligible as error:
            raise Lost(f"it does not speak SMTP: {error.flaw}", after_content=self._content_left) from error
        except TimeoutError as error:
            raise Lost("it did not answer in time", after_content=self._content_left) from error
        except OSError as error:
            raise Lost("the connection broke off", after_content=self._content_left) from error
        return replies

    def _by(self, seconds: float) -> asyncio.Timeout:
        return asyncio.timeout_at(min(asyncio.get_running_loop().time() + seconds, self._until))


class RefusedEarly(Exception):
    """It said no, and hung up, before the message had ended. RFC 5321 §4.5.4.1."""

    def __init__(self, reply: PeerReply) -> None:
        super().__init__(reply.text)
        self.reply = reply


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or "TLS failed").replace("_", " ").lower()[:100]
