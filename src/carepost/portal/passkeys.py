"""Passkeys of readers outside: kept once a message has been opened, used instead of the code by mail afterwards.

Promises
    A passkey belongs to one address with one organisation, works on the portal's own origin only, and is used by an
    owner whom the authenticator has verified (their finger, face or PIN).
    It stands in for the code by mail, and for the code by telephone only where its owner had proved that much when it
    was kept. Agreed words are asked for all the same: the content does not open without them. So nothing weaker than
    the message's own level ever opens it, with a passkey or without.
    A challenge is used once, by the browser that asked for it, within five minutes.
    A passkey whose counter does not grow is accepted no more, and the sender is told; so they are when one is removed,
    or another is kept beside it.

Who has lost theirs reads by a code, as everybody does.
"""

import hmac
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from carepost.audit.events import Event
from carepost.audit.events_portal import PasskeyCopied, PasskeyKept, PasskeyRemoved, PasskeyUsed
from carepost.base.address import EmailAddress
from carepost.base.errors import NotPossible
from carepost.infra import vault
from carepost.infra.db import Transaction
from carepost.infra.log import get_logger
from carepost.portal import links, repo, repo_passkeys
from carepost.portal.invitations import Letterhead, sender_letter
from carepost.portal.model import Level, SecureMessage, Step, What
from carepost.portal.passkey_ceremony import Ceremony, NotRight
from carepost.portal.reading import AskAgain, Browser, Proof, Reading, Tried, guest
from carepost.portal.repo_passkeys import PasskeyRow
from carepost.portal.secure_messages import SecureMessages

log = get_logger("portal")

_CHALLENGE_BYTES = 32
_DAY = timedelta(days=1)
_KEEP, _OPEN = "keep", "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPasskey:
    """One passkey, as its owner sees it."""

    id: int
    kept_at: datetime
    used_at: datetime | None
    copied: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Passkeys:
    reading: Reading

    @property
    def messages(self) -> SecureMessages:
        return self.reading.messages

    @property
    def ceremony(self) -> Ceremony:
        return Ceremony(policy=self.reading.policy)

    # --- opening ----------------------------------------------------------------------------------------------------

    async def begin(self, link_text: str, client: str | None) -> tuple[Browser, bool]:
        """As `Reading.begin`, but no code is sent to who has a passkey; whether they have. Raises as that does."""
        message = await self.reading.by_link(links.read_link(link_text), client)
        browser = Browser(name=links.name_of(message.lookup), token=links.new_token(), client=client)
        async with self.messages.db.transaction(message.organisation) as tx:
            if any(await self._accepted(tx, message)):
                await self.reading.budgets.count_passkey(tx, message.organisation, message.id, client)
                await repo.insert_session(
                    tx, message.organisation, message.id, token=browser.token_hash, now=self.messages.clock.now()
                )
                return browser, True
        return await self.reading.begin(link_text, client), False

    async def may_open(self, browser: Browser) -> bool:
        """Whether this browser can be asked for a passkey now. Raises NoLonger, Frozen, AskAgain."""
        standing = await self.reading.stand(browser)
        async with self.messages.db.transaction(standing.message.organisation) as tx:
            return standing.step is Step.CODE and any(await self._accepted(tx, standing.message))

    async def ask_to_open(self, browser: Browser) -> str:
        """A challenge, as JSON. Raises NoLonger, Frozen, AskAgain, TooMany, NotPossible when there is no passkey."""
        standing = await self.reading.stand(browser)
        message = standing.message
        if standing.step is not Step.CODE:
            raise NotPossible("No passkey is needed here.")
        async with self.messages.db.transaction(message.organisation) as tx:
            known = [row.credential for row in await self._accepted(tx, message)]
            if not known:
                raise NotPossible("There is no passkey for this address. Use a code instead.")
            await self.reading.budgets.count_passkey(tx, message.organisation, message.id, browser.client)
            challenge = await self._challenge(tx, message, browser, _OPEN)
        return self.ceremony.open_options(challenge, known=known)

    async def prove(self, browser: Browser, answer: str) -> Proof:
        """Try an authenticator's answer. Raises NoLonger, Frozen, AskAgain."""
        message = await self.reading.by_name(browser.name)
        async with self.messages.db.transaction(message.organisation) as tx:
            challenge = await self._take(tx, message, browser, Step.CODE, _OPEN)
            accepted = await self._accepted(tx, message)
        if challenge is None:
            return Proof(Tried.OVER)
        used = self._verified(accepted, answer, challenge)
        async with self.messages.db.transaction(message.organisation) as tx:
            await repo.lock(tx, message.organisation, message.id)
            await self.reading.stand_in(tx, message, browser)
            proof = await self._after(tx, message, browser, used)
        if proof.tried is Tried.RIGHT and proof.step is Step.TEXT:
            await self.reading.text_code(message, replace(browser, token=proof.token))
        return proof

    # --- keeping ----------------------------------------------------------------------------------------------------

    async def ask_to_keep(self, browser: Browser) -> str:
        """A challenge, as JSON. Raises NoLonger, AskAgain, NotPossible when there are too many."""
        message = await self._open_message(browser)
        async with self.messages.db.transaction(message.organisation) as tx:
            rows = await self._of(tx, message)
            if len(rows) >= self.reading.policy.passkeys_max:
                raise NotPossible("There are too many passkeys for this address. Remove one first.")
            challenge = await self._challenge(tx, message, browser, _KEEP)
        address, name = message.details.address, message.details.organisation_name
        # One that was kept with less proof may be kept anew with more.
        known = [row.credential for row in rows if row.proved >= message.level or row.state != "kept"]
        handle = self.messages.edge.pepper("passkey owner", vault.bound(message.organisation, address.lower()))
        return self.ceremony.keep_options(
            challenge, user_handle=handle, name=f"{address} ({name})", organisation_name=name, known=known
        )

    async def keep(self, browser: Browser, answer: str) -> None:
        """Raises NoLonger, AskAgain, NotRight, NotPossible."""
        message = await self.reading.by_name(browser.name)
        async with self.messages.db.transaction(message.organisation) as tx:
            challenge = await self._take(tx, message, browser, Step.OPEN, _KEEP)
        if challenge is None:
            raise NotPossible("That took too long, so no passkey was kept. Try again.")
        new = self.ceremony.kept(answer, challenge)
        async with self.messages.db.transaction(message.organisation) as tx:
            await repo.lock(tx, message.organisation, message.id)
            others = await self._of(tx, message)
            if len(others) >= self.reading.policy.passkeys_max:
                raise NotPossible("There are too many passkeys for this address. Remove one first.")
            number = await repo_passkeys.insert(
                tx,
                message.organisation,
                whose=self._whose(message),
                credential=new.credential,
                public_key=new.public_key,
                counted=new.counted,
                proved=message.level.value,
                now=self.messages.clock.now(),
            )
            if number is None:
                raise NotPossible("This passkey is kept already.")
            event = PasskeyKept(message=message.id, trace=message.trace, passkey=number, proved=message.level.value)
            await self._note(tx, message, What.PASSKEY_KEPT, browser, event)
            if others:
                await self._tell(tx, message, "kept another passkey", _ANOTHER)

    async def kept(self, browser: Browser) -> list[KeptPasskey]:
        """The reader's own. Raises NoLonger, AskAgain."""
        message = await self._open_message(browser)
        async with self.messages.db.transaction(message.organisation) as tx:
            rows = await self._of(tx, message)
        return [
            KeptPasskey(id=row.id, kept_at=row.kept_at, used_at=row.used_at, copied=row.state == "copied")
            for row in rows
        ]

    async def is_enough(self, message: SecureMessage) -> bool:
        """Whether its reader has a passkey that stands in for what the message asks for: no other need be offered."""
        async with self.messages.db.transaction(message.organisation) as tx:
            return any(row.proved >= message.level for row in await self._accepted(tx, message))

    async def remove(self, browser: Browser, passkey: int) -> None:
        """Raises NoLonger, AskAgain, NotPossible when it is gone already, or somebody else's."""
        message = await self._open_message(browser)
        async with self.messages.db.transaction(message.organisation) as tx:
            if not await repo_passkeys.remove(tx, message.organisation, passkey, self._whose(message)):
                raise NotPossible("This passkey has been removed already.")
            event = PasskeyRemoved(message=message.id, trace=message.trace, passkey=passkey)
            await self._note(tx, message, What.PASSKEY_REMOVED, browser, event)
            await self._tell(tx, message, "removed a passkey", _GONE)

    # --- within -----------------------------------------------------------------------------------------------------

    def _whose(self, message: SecureMessage) -> bytes:
        return self.messages.edge.token(message.organisation, "passkey", message.details.address.lower())

    async def _of(self, tx: Transaction, message: SecureMessage) -> list[PasskeyRow]:
        return await repo_passkeys.passkeys_of(
            tx, message.organisation, self._whose(message), limit=self.reading.policy.passkeys_max
        )

    async def _accepted(self, tx: Transaction, message: SecureMessage) -> list[PasskeyRow]:
        return [row for row in await self._of(tx, message) if row.state == "kept"]

    async def _open_message(self, browser: Browser) -> SecureMessage:
        standing = await self.reading.stand(browser)
        if standing.step is not Step.OPEN:
            raise AskAgain
        return standing.message

    async def _challenge(self, tx: Transaction, message: SecureMessage, browser: Browser, purpose: str) -> bytes:
        challenge = secrets.token_bytes(_CHALLENGE_BYTES)
        await repo_passkeys.put_challenge(
            tx,
            message.organisation,
            message.id,
            token=browser.token_hash,
            purpose=purpose,
            challenge=challenge,
            expires=self.messages.clock.now() + self.reading.policy.challenge_lasts,
        )
        return challenge

    async def _take(
        self, tx: Transaction, message: SecureMessage, browser: Browser, step: Step, purpose: str
    ) -> bytes | None:
        """The challenge, once: the caller's transaction commits before the answer is looked at."""
        standing = await self.reading.stand_in(tx, message, browser)
        if standing.step is not step:
            raise AskAgain
        return await repo_passkeys.take_challenge(
            tx,
            message.organisation,
            message.id,
            token=browser.token_hash,
            purpose=purpose,
            now=self.messages.clock.now(),
        )

    def _verified(self, rows: list[PasskeyRow], answer: str, challenge: bytes) -> tuple[PasskeyRow, int] | None:
        try:
            credential = self.ceremony.credential_of(answer)
            row = next((one for one in rows if hmac.compare_digest(one.credential, credential)), None)
            return (row, self.ceremony.used(answer, challenge, row.public_key)) if row else None
        except NotRight:
            return None

    async def _after(
        self, tx: Transaction, message: SecureMessage, browser: Browser, used: tuple[PasskeyRow, int] | None
    ) -> Proof:
        organisation, now = message.organisation, self.messages.clock.now()
        if used is None:
            failures = await repo.count_failure(tx, organisation, message.id, now=now, since=now - _DAY)
            return await self.reading.was_wrong(tx, message, browser, "passkey", failures)
        row, counted = used
        if await repo_passkeys.use(tx, organisation, row.id, counted=counted, now=now):
            event = PasskeyUsed(message=message.id, trace=message.trace, passkey=row.id)
            await self.messages.record_.audit.record(tx, guest(browser.client), event)
            return await self.reading.step_on(tx, message, browser, Step.CODE, to=after_passkey(message, row.proved))
        if await repo_passkeys.copied(tx, organisation, row.id):
            log.warning("a reader's passkey seems to be copied", trace=message.trace)
            event_ = PasskeyCopied(message=message.id, trace=message.trace, passkey=row.id)
            await self._note(tx, message, What.PASSKEY_COPIED, browser, event_)
            await self._tell(tx, message, "tried to use a passkey that seems to be copied", _COPIED)
        return Proof(Tried.WRONG)

    async def _note(self, tx: Transaction, message: SecureMessage, what: What, browser: Browser, event: Event) -> None:
        await self.messages.record_.note(tx, message, what, where=browser.client or "")
        await self.messages.record_.audit.record(tx, guest(browser.client), event)

    async def _tell(self, tx: Transaction, message: SecureMessage, did: str, then: str) -> None:
        sender = EmailAddress.parse(message.details.sender)
        head = Letterhead(
            organisation_name="Carepost",
            writer=self.reading.policy.writer_for(sender),
            to=sender,
            at=self.messages.clock.now(),
        )
        paragraphs = [f"Who reads the secure message that you sent to {message.details.address} has {did}."]
        paragraphs += [then, f"Reference {message.trace}."]
        raw = sender_letter(head, subject="A reader's passkey has changed", paragraphs=paragraphs)
        await self.messages.post.tell(tx, message.organisation, message.mailbox, raw)


_ANOTHER = (
    "They had one already. People do this with a new telephone. If you doubt that it was them, telephone them on a "
    "number that you already have, and revoke the message."
)
_GONE = (
    "From now on they read by a code, as they did at first. You need not do anything unless you doubt that it was them."
)
_COPIED = (
    "A passkey counts how often it is used, and this one has counted backwards: somebody may have a copy. It opened "
    "nothing, and is not accepted any more. Telephone them on a number that you already have."
)


def after_passkey(message: SecureMessage, proved: Level) -> Step:
    """What is asked for after the passkey: never less than the message's level says."""
    if message.salt is not None:
        return Step.PHRASE
    if message.level > proved:
        return Step.TEXT
    return Step.OPEN
