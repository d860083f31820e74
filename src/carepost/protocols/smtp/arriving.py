"""The content of one message on its way in by submission: kept in a spool, or the reason why it could not be."""

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
class Arriving:
    """Envelope and content, as far as they have come."""

    mail: Mail
    sender: EmailAddress
    recipients: dict[str, HandedRecipient] = field(default_factory=dict)
    spool: Spool | None = None
    failure: Exception | None = None

    def begin(self, spools: Spools) -> None:
        self.spool = spools.open()

    async def keep(self, octets: bytes) -> None:
        """Never raises: a full disk is told once the content has been read, for before nobody listens."""
        if self.failure is not None or self.spool is None:
            return
        try:
            await self.spool.write(octets)
        except Exception as error:  # noqa: BLE001 - the answer waits until the content has been read
            self.failure = error
            self.spool.close()

    async def whole(self) -> bytes:
        """All of it. Raises what went wrong while it was kept."""
        if self.failure is not None:
            raise self.failure
        if self.spool is None:
            raise Broken("The message has gone")
        return await self.spool.whole()

    def close(self) -> None:
        if self.spool is not None:
            self.spool.close()
