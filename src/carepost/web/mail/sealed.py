"""A message as it is read: opened if it was encrypted to the mailbox, and what its signature is worth. S/MIME, R126.

Promises
    What was opened is in memory for this answer only, and is shown after it was looked at, never before.
    A name is shown only for a signature that is valid: of all of the text, by who From names (M10).
    What somebody on the way could have bent (M9) is shown as plain text.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TypeVar

from carepost.base.ids import TraceId
from carepost.gateway.opened import OpenedLook
from carepost.message.model import Message
from carepost.message.parse import parse
from carepost.message.showing import clean
from carepost.message.smime import is_encrypted, open_message, unwrapped, verify
from carepost.message.smime_keys import KeyPair
from carepost.message.smime_model import NotOpened, Signature, SignatureState
from carepost.store.certificates import MailCertificates
from carepost.store.model import MailboxLike
from carepost.web.cleaning import LONG_OCTETS
from carepost.web.mail.pages import Trust

Done = TypeVar("Done")

_NAME_MAX = 100
_NO_TRACE = TraceId("OPENED")
_ASK = "Ask the sender to send it in another way."
OPENED = Trust(
    kind="good",
    icon="shield",
    title="Encrypted to this mailbox.",
    says="It was opened for you here, and looked through for malware. It is kept as it came: encrypted.",
)
BENDABLE = Trust(
    kind="outside",
    icon="warning",
    title="Encrypted in an old way.",
    says="Somebody on its way could have changed it without a trace, so it is shown as plain text only.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AsRead:
    """`message` is what is shown; `is_shut`: nothing of it may be, and the notices say why."""

    message: Message
    notices: tuple[Trust, ...] = ()
    plain_only: bool = False
    is_shut: bool = False
    was_sealed: bool = False  # its parts are not those of the stored message


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedMail:
    certificates: MailCertificates
    look: OpenedLook

    async def as_read(
        self, mailbox: MailboxLike, message: Message, *, at: datetime, trace: TraceId | None = None
    ) -> AsRead:
        """`at` is when it arrived. The caller has asked whether the reader may."""
        if not is_encrypted(message):
            return await _aside(message, partial(self._with_signature, AsRead(message=message), at))
        pairs = await self.certificates.pairs(mailbox)
        opened = await _aside(message, partial(_open, message, pairs))
        if isinstance(opened, NotOpened):
            return AsRead(message=message, notices=(_not_opened(opened),), is_shut=True)
        if why := await self.look.why_not(opened.message.raw, trace or _NO_TRACE):
            return AsRead(message=message, notices=(_not_shown(why),), is_shut=True)
        return await _aside(opened.message, partial(self._with_signature, opened, at))

    def _with_signature(self, read: AsRead, at: datetime) -> AsRead:
        signature = verify(read.message, self.certificates.trust, at=at)
        if signature.state is SignatureState.NONE:
            return read
        notices = (*read.notices, _signed(signature))
        if signature.content is None:
            return replace(read, notices=notices)
        inside = parse(unwrapped(read.message, signature.content))
        return replace(read, message=inside, notices=notices, was_sealed=True)


def _open(message: Message, pairs: Sequence[KeyPair]) -> AsRead | NotOpened:
    answer = NotOpened.NOT_FOR_US
    for pair in pairs:
        opened = open_message(message, pair.certificate, pair.key)
        if not isinstance(opened, NotOpened):
            notices = (OPENED,) if opened.authenticated else (OPENED, BENDABLE)
            return AsRead(
                message=parse(opened.content), notices=notices, plain_only=not opened.authenticated, was_sealed=True
            )
        if opened is not NotOpened.NOT_FOR_US:
            answer = opened
    return answer


async def _aside(message: Message, work: Callable[[], Done]) -> Done:
    return await asyncio.to_thread(work) if len(message.raw) > LONG_OCTETS else work()


def _signed(signature: Signature) -> Trust:
    if signature.signer is not None:
        name, issuer = clean(signature.signer.name, _NAME_MAX), clean(signature.signer.issuer, _NAME_MAX)
        says = (
            f"{issuer} vouches that {signature.signer.address} is theirs. The text was not changed since; the subject "
            "and the recipients are not part of what was signed."
        )
        return Trust(kind="good", icon="shield-tick", title=f"Signed by {name}.", says=says)
    why = signature.fault or "it cannot be checked"
    says = f"This message is signed, but {why}. Read it like one that is not signed."
    return Trust(kind="outside", icon="warning", title="The signature proves nothing.", says=says)


def _not_opened(why: NotOpened) -> Trust:
    if why is NotOpened.NOT_FOR_US:
        says = f"It is encrypted, and this mailbox has no key that opens it. {_ASK}"
    else:
        says = f"It is encrypted, but {why.value}. {_ASK}"
    return Trust(kind="outside", icon="warning", title="It cannot be opened.", says=says)


def _not_shown(why: str) -> Trust:
    says = f"It was encrypted, so it could be looked through only now. {why} {_ASK}"
    return Trust(kind="bad", icon="warning", title="It is not shown.", says=says)
