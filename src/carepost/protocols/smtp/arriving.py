"""One message on its way in: its envelope as handed in; its content in a spool, or why it could not be kept."""

from dataclasses import dataclass, field

from carepost.base.address import EmailAddress
from carepost.base.errors import Broken
from carepost.protocols.smtp.spool import Spool, Spools
from carepost.wire.smtp_grammar import Mail


@dataclass(frozen=True, slots=True)
class HandedRecipient:
    """One RCPT: any address there may be; who may be written to is decided on the walk."""

    address: EmailAddress
    notify: frozenset[str] = frozenset()  # RFC 3461 §4.1
    original: str | None = None  # ORCPT. RFC 3461 §4.2


@dataclass(slots=True)
class ArrivingContent:
    """What follows DATA or BDAT, at every port."""

    failure: Exception | None = None
    _spool: Spool | None = None

    def begin(self, spools: Spools) -> None:
        self._spool = spools.open()

    async def keep(self, octets: bytes) -> None:
        """Never raises: a full disk is told once the content has been read, for before nobody listens."""
        if self.failure is not None or self._spool is None:
            return
        try:
            await self._spool.write(octets)
        except Exception as error:  # noqa: BLE001 - the answer waits until the content has been read
            self.failure = error
            self._spool.close()

    async def whole(self) -> bytes:
        """All of it. Raises what went wrong while it was kept."""
        if self.failure is not None:
            raise self.failure
        if self._spool is None:
            raise Broken("The message has gone")
        return await self._spool.whole()

    def close(self) -> None:
        if self._spool is not None:
            self._spool.close()


@dataclass(slots=True)
class Arriving:
    """A message by submission, as far as it has come."""

    mail: Mail
    sender: EmailAddress
    recipients: dict[str, HandedRecipient] = field(default_factory=dict)
    content: ArrivingContent = field(default_factory=ArrivingContent)
