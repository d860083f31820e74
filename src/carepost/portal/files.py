"""Files too large for email, for readers outside: listed with their message, fetched by who has proved who they are.

Promises
    A file is had through its message only: who may not read that, or may no longer, may not have the file either.
    Every fetch is recorded as a download, with the hash of the file (R124). What is asked is asked anew while it runs.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from carepost.base.errors import NotPossible
from carepost.portal.model import SecureMessage, Step
from carepost.portal.reading import AskAgain, Browser, Reading
from carepost.store.large_files import LargeFile, LargeFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalFiles:
    reading: Reading
    files: LargeFiles

    async def listed(self, message: SecureMessage) -> list[LargeFile]:
        """What came with a message and can still be had."""
        if message.outgoing is None:
            return []
        async with self.files.db.transaction(message.organisation) as tx:
            return await self.files.of_outgoing(tx, message.organisation, message.outgoing)

    async def find(self, browser: Browser, name: str) -> tuple[SecureMessage, LargeFile]:
        """Raises NoLonger, AskAgain; NotPossible when the message has no such file."""
        standing = await self.reading.stand(browser)
        if standing.step is not Step.OPEN:
            raise AskAgain
        for file in await self.listed(standing.message):
            if file.name == name:
                return standing.message, file
        raise NotPossible("This message has no such file, or the time of the file is over.")

    async def fetch(
        self, browser: Browser, message: SecureMessage, file: LargeFile, start: int, stop: int
    ) -> AsyncIterator[bytes]:
        """The octets, recorded first. Raises AskAgain when it is shut meanwhile, NoSuchFile, DoesNotOpen."""
        await self.reading.downloaded(browser, message, file.digest)
        clock, recheck = self.reading.messages.clock, self.reading.policy.recheck
        asked = clock.now()
        async for piece in self.files.read(file, start, stop):
            if clock.now() - asked >= recheck:
                if not await self.reading.may_still(browser):
                    raise AskAgain
                asked = clock.now()
            yield piece
