"""Other mail systems, several at once, that keep a list of what was acknowledged to them.

Load     sends numbered messages until told to stop; what it was told, by message
tally    what of it is in a mailbox
"""

import asyncio
import contextlib
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

from tests.fakes.running_service import RunningService

PATIENCE = 60.0
_NUMBER = re.compile(rb"^X-Load: (\S+)\r?$", re.MULTILINE)


class Lost(ConnectionError):
    """The other side went away in the middle."""


@dataclass
class Load:
    """`clients` conversations at once, each sending messages one after another, each message once."""

    port: int
    recipients: tuple[str, ...]
    clients: int = 4
    seed: int = 1
    # Now and then one that does not fit into memory and goes through the spool's file.
    large_share: float = 0.05
    acknowledged: list[str] = field(default_factory=list)
    # Sent to the last dot, and the connection ended before an answer: it may or may not be there (RFC 1047).
    in_doubt: list[str] = field(default_factory=list)
    # Told to come later after the last dot. Not there, unless the database fell silent in the middle of a COMMIT.
    deferred: list[str] = field(default_factory=list)
    replies: Counter[int] = field(default_factory=Counter)
    disconnects: int = 0
    # What must not happen, in words.
    wrong: list[str] = field(default_factory=list)
    _numbers: int = 0
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Load"]:
        """Sends while the block lasts; at its end, messages under way are finished."""
        async with asyncio.TaskGroup() as group:
            for number in range(self.clients):
                group.create_task(self._client(random.Random(self.seed * 1000 + number)))
            try:
                yield self
            finally:
                self._stop.set()

    async def until_acknowledged(self, number: int, seconds: float = 180) -> None:
        """Until so many more are acknowledged than now."""
        wanted = len(self.acknowledged) + number
        async with asyncio.timeout(seconds):
            while len(self.acknowledged) < wanted:
                await asyncio.sleep(0.02)

    @property
    def sent_away(self) -> int:
        """How often somebody was told to come later, or was cut off."""
        return self.disconnects + sum(times for code, times in self.replies.items() if 400 <= code < 500)

    def figures(self) -> str:
        return (
            f"{len(self.acknowledged)} acknowledged, {len(self.in_doubt)} in doubt, {self.disconnects} disconnects, "
            f"replies {dict(sorted(self.replies.items()))}"
        )

    async def _client(self, chance: random.Random) -> None:
        while not self._stop.is_set():
            try:
                async with asyncio.timeout(PATIENCE):
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                try:
                    await self._converse(reader, writer, chance)
                finally:
                    writer.close()
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                self.disconnects += 1
            await asyncio.sleep(0.05)

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, chance: random.Random
    ) -> None:
        async def say(line: str) -> int:
            writer.write(line.encode() + b"\r\n")
            return await self._reply(reader)

        if await self._reply(reader) != 220 or await say("EHLO mail.local.example") != 250:
            return
        while not self._stop.is_set():
            self._numbers += 1
            number = f"{self.seed}-{self._numbers}"
            if await say("MAIL FROM:<pat@local.example>") != 250:
                return
            taken = [await say(f"RCPT TO:<{one}>") for one in self.recipients]
            if set(taken) != {250}:
                return
            if await say("DATA") != 354:
                return
            writer.write(self._letter(number, chance))
            await writer.drain()
            # Out of our hands with this: from here on silence means doubt.
            self.in_doubt.append(number)
            writer.write(b".\r\n")
            code = await self._reply(reader)
            self.in_doubt.remove(number)
            if code == 250:
                self.acknowledged.append(number)
            elif 400 <= code < 500:
                self.deferred.append(number)
            else:
                return
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await say("QUIT")

    async def _reply(self, reader: asyncio.StreamReader) -> int:
        async with asyncio.timeout(PATIENCE):
            while True:
                line = await reader.readline()
                if not line.endswith(b"\n"):
                    raise Lost
                if line[3:4] != b"-":
                    break
        code = int(line[:3])
        self.replies[code] += 1
        if code >= 500:
            self.wrong.append(line.decode("utf-8", "replace").rstrip())
        return code

    def _letter(self, number: str, chance: random.Random) -> bytes:
        lines = 9000 if chance.random() < self.large_share else chance.randrange(5, 60)
        text = ("The quick brown fox jumps over the lazy dog, at a practice near you.\r\n") * lines
        head = (
            f"From: Pat Example <pat@local.example>\r\nTo: somebody@willow.example\r\nSubject: Load {number}\r\n"
            f"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{number}@local.example>\r\nX-Load: {number}\r\n\r\n"
        )
        return (head + text).encode()


@dataclass(frozen=True)
class Tally:
    """What became of a load in one mailbox."""

    found: Counter[str]
    lost: list[str]
    twice: list[str]
    never_sent: list[str]
    deferred: int

    def __str__(self) -> str:
        return f"{sum(self.found.values())} found, {len(self.lost)} lost, {len(self.twice)} twice, {self.deferred} there though told later"


def tally(service: RunningService, name: str, *loads: Load) -> Tally:
    """Read by IMAP what is in the mailbox, and compare with what was acknowledged."""
    with service.imap(name) as client:
        _, found = client.uid("FETCH", "1:*", "(BODY.PEEK[HEADER.FIELDS (X-Load)])")
    numbers = Counter(_numbers_in(part[1] for part in found if isinstance(part, tuple)))
    acknowledged = {number for load in loads for number in load.acknowledged}
    in_doubt = {number for load in loads for number in load.in_doubt}
    deferred = {number for load in loads for number in load.deferred}
    return Tally(
        found=numbers,
        lost=sorted(acknowledged - numbers.keys()),
        twice=sorted(number for number, times in numbers.items() if times > 1),
        never_sent=sorted(numbers.keys() - acknowledged - in_doubt - deferred),
        deferred=len(numbers.keys() & deferred),
    )


def _numbers_in(parts: Iterable[bytes]) -> Iterable[str]:
    for part in parts:
        if match := _NUMBER.search(part):
            yield match.group(1).decode()
