"""Proving who you are to one secure message, and reading it.

Promises
    A link alone opens nothing. A code works once, for ten minutes, in the browser that asked for it, and is counted
    before it is looked at: of two hundred that give the right one at once, one gets in.
    A failure never leads to a weaker proof; too many freeze the message, and its sender is told.
    Unknown, revoked and expired are one answer. Whether a reader still may is asked anew at every request.

A browser stands at a `Step`; each proof that it gives takes it to the next, under a new token.
"""

import asyncio
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum

from carepost.audit.events import Event
from carepost.audit.events_portal import (
    SecureFileDownloaded,
    SecureMessageFrozen,
    SecureMessageOpened,
    SecureMessageRead,
    SecureProofFailed,
)
from carepost.audit.model import PLATFORM, Actor, ActorKind
from carepost.base.address import EmailAddress
from carepost.base.errors import NotAllowed, NotPossible
from carepost.base.ids import OrganisationId
from carepost.infra import vault
from carepost.infra.db import Transaction
from carepost.portal import links, repo
from carepost.portal.budgets import Budgets, TooMany
from carepost.portal.invitations import Letterhead, code_letter, sender_letter
from carepost.portal.model import (
    Channel,
    Happened,
    Kind,
    Level,
    Link,
    PortalPolicy,
    SecureMessage,
    SecureMessageId,
    State,
    Step,
    What,
)
from carepost.portal.seals import open_for_browser, seal_for_browser
from carepost.portal.secure_messages import SecureMessages
from carepost.portal.texting import NoTexts, Texts
from carepost.store.objects import open_body

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


class NoLonger(NotPossible):
    """Unknown, revoked, expired, or somebody else's: one answer, whichever it is."""

    def __init__(self) -> None:
        super().__init__("This secure message is no longer available.")


class AskAgain(NotAllowed):
    """The browser has been quiet for too long, or is not the one that began."""

    def __init__(self) -> None:
        super().__init__("You have been away for a while, so the message was shut. Open the link in the email again.")


class Frozen(NotAllowed):
    """Too many wrong tries."""

    def __init__(self) -> None:
        super().__init__(
            "There were too many wrong tries, so the message is shut until tomorrow. Its sender has been told."
        )


class Tried(StrEnum):
    """What came of a proof."""

    RIGHT = "right"
    WRONG = "wrong"
    OVER = "over"  # no code is in force: its time or its tries are over, or it has been used
    FROZEN = "frozen"


@dataclass(frozen=True, slots=True)
class Proof:
    """`token` is the browser's new one, when it was right."""

    tried: Tried
    token: str = field(default="", repr=False)
    step: Step = Step.CODE


@dataclass(frozen=True, slots=True, kw_only=True)
class Browser:
    """One browser at one message: what its address names, and its cookie."""

    name: str
    token: str = field(repr=False)
    client: str | None = None

    @property
    def token_hash(self) -> bytes:
        return links.token_hash(self.token)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a browser stands with the message that it is about."""

    message: SecureMessage
    step: Step
    sealed_key: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    messages: SecureMessages
    budgets: Budgets
    texts: Texts = field(default_factory=NoTexts)

    @property
    def policy(self) -> PortalPolicy:
        return self.messages.policy

    # --- the way in -------------------------------------------------------------------------------------------------

    async def begin(self, link_text: str, client: str | None) -> Browser:
        """The button was pressed: send a code. Raises NoLonger, Frozen, TooMany."""
        link = links.read_link(link_text)
        message = await self.by_link(link, client)
        browser = Browser(name=links.name_of(message.lookup), token=links.new_token(), client=client)
        async with self.messages.db.transaction(message.organisation) as tx:
            now = self.messages.clock.now()
            await repo.lock(tx, message.organisation, message.id)
            await repo.insert_session(tx, message.organisation, message.id, token=browser.token_hash, now=now)
            await self._send_code(tx, message, browser)
        return browser

    async def send_again(self, browser: Browser) -> None:
        """Another code of the kind that this browser waits for. Raises as `begin`."""
        standing = await self.stand(browser)
        if standing.step is Step.TEXT:
            await self.text_code(standing.message, browser)
            return
        if standing.step is not Step.CODE:
            raise NotPossible("No code is needed here.")
        async with self.messages.db.transaction(standing.message.organisation) as tx:
            await repo.lock(tx, standing.message.organisation, standing.message.id)
            await self._send_code(tx, standing.message, browser)

    async def stand(self, browser: Browser) -> Standing:
        """Where the browser stands. Raises NoLonger, Frozen (before it is open), AskAgain."""
        message = await self.by_name(browser.name)
        async with self.messages.db.transaction(message.organisation) as tx:
            return await self.stand_in(tx, message, browser)

    async def give_code(self, browser: Browser, typed: str) -> Proof:
        """Try the code that was sent. Raises NoLonger, AskAgain, TooMany."""
        message = await self.by_name(browser.name)
        async with self.messages.db.transaction(message.organisation) as tx:
            await repo.lock(tx, message.organisation, message.id)
            fresh = await self.messages.get(tx, message.organisation, message.id)
            if fresh is None or not fresh.is_live(self.messages.clock.now()):
                raise NoLonger
            if fresh.is_frozen(self.messages.clock.now()):
                return Proof(Tried.FROZEN)
            if await self.budgets.is_worn_out(tx, browser.client):
                raise TooMany
            proof = await self._try_code(tx, fresh, browser, links.read_code(typed))
        if proof.tried is Tried.RIGHT and proof.step is Step.TEXT:
            await self.text_code(message, replace(browser, token=proof.token))
        return proof

    async def give_phrase(self, browser: Browser, typed: str) -> Proof:
        """Try the agreed phrase. It is counted first and forgiven when it was right. Raises NoLonger, AskAgain."""
        message = await self.by_name(browser.name)
        organisation, now = message.organisation, self.messages.clock.now()
        async with self.messages.db.transaction(organisation) as tx:
            await repo.lock(tx, organisation, message.id)
            standing = await self.stand_in(tx, message, browser)
            if standing.step is not Step.PHRASE or message.salt is None:
                raise AskAgain
            failures = await repo.count_failure(tx, organisation, message.id, now=now, since=now - _DAY)
            if failures > self.policy.failures_per_day:
                await self._freeze(tx, message, browser)
                return Proof(Tried.FROZEN)
        # The transaction has ended: a phrase takes 0.2 s to try, and nobody waits for it.
        key = await self.messages.seals.phrase_key(links.normal_phrase(typed, message.details.agreed), message.salt)
        async with self.messages.db.transaction(organisation) as tx:
            await repo.lock(tx, organisation, message.id)
            if await self._opens(tx, message, key):
                await repo.forgive_failure(tx, organisation, message.id)
                return await self.step_on(tx, message, browser, Step.PHRASE, phrase_key=key)
            return await self.was_wrong(tx, message, browser, "phrase", failures)

    async def leave(self, browser: Browser) -> None:
        """Shut it in this browser."""
        message = await self.by_name(browser.name)
        async with self.messages.db.transaction(message.organisation) as tx:
            await repo.end_session(tx, message.organisation, message.id, token=browser.token_hash)

    # --- reading ----------------------------------------------------------------------------------------------------

    async def open(self, browser: Browser, *, reads: bool = False) -> tuple[SecureMessage, bytes]:
        """The message's bytes, for a browser that has given every proof. `reads`: it is shown, and recorded.

        Raises NoLonger, AskAgain, DoesNotOpen when the stored bytes are not those that were sealed (R125).
        """
        message = await self.by_name(browser.name)
        organisation = message.organisation
        async with self.messages.db.transaction(organisation) as tx:
            standing = await self.stand_in(tx, message, browser)
            if standing.step is not Step.OPEN:
                raise AskAgain
            if message.kind is Kind.INVITATION:
                return message, b""
            if message.kind is Kind.CONFIRMATION:
                raise NotPossible("There is nothing to read here: you were asked whether this is you.")
            unseal = await self._unseal(tx, standing, browser)
            if reads:
                await self._note(
                    tx, message, What.READ, browser, SecureMessageRead(message=message.id, trace=message.trace)
                )
        raw = await asyncio.to_thread(unseal) if message.object else b""
        return message, raw

    async def may_still(self, browser: Browser) -> bool:
        """Asked while a download runs."""
        try:
            return (await self.stand(browser)).step is Step.OPEN
        except (NoLonger, AskAgain, Frozen):
            return False

    async def downloaded(self, browser: Browser, message: SecureMessage, digest: str) -> None:
        event = SecureFileDownloaded(message=message.id, trace=message.trace, digest=digest)
        async with self.messages.db.transaction(message.organisation) as tx:
            await self._note(tx, message, What.DOWNLOADED, browser, event)

    async def own_log(self, browser: Browser) -> list[Happened]:
        """What happened to the message, as its reader may know it."""
        standing = await self.stand(browser)
        if standing.step is not Step.OPEN:
            raise AskAgain
        message = standing.message
        async with self.messages.db.transaction(message.organisation) as tx:
            found = await self.messages.record_.happened(tx, message.organisation, [message.id])
        return found[message.id]

    # --- within -----------------------------------------------------------------------------------------------------

    async def by_link(self, link: Link | None, client: str | None) -> SecureMessage:
        async with self.messages.db.transaction() as tx:
            worn_out = await self.budgets.is_worn_out(tx, client)
            found = await repo.whose(tx, link.lookup) if link else None
        if worn_out:
            raise TooMany
        message = await self._live(found, verifier=link.verifier if link else b"")
        if message is None:
            async with self.messages.db.transaction() as tx:
                await self.budgets.count_failure(tx, client)
            raise NoLonger
        if message.is_frozen(self.messages.clock.now()):
            raise Frozen
        return message

    async def by_name(self, name: str) -> SecureMessage:
        lookup = links.read_name(name)
        if lookup is None:
            raise NoLonger
        async with self.messages.db.transaction() as tx:
            found = await repo.whose(tx, lookup)
        message = await self._live(found)
        if message is None:
            raise NoLonger
        return message

    async def _live(
        self, found: tuple[OrganisationId, SecureMessageId] | None, *, verifier: bytes | None = None
    ) -> SecureMessage | None:
        """The message, while it can be read. To say no takes as long for one that is not there as for one that is."""
        organisation, number = found or _NOBODYS
        async with self.messages.db.transaction(organisation) as tx:
            row = await repo.message(tx, organisation, number)
            right = verifier is None or links.is_verifier(row.verifier_hash if row else bytes(32), verifier)
            if row is None or not right or row.state is not State.OPEN or row.expires_at <= self.messages.clock.now():
                return None
            return await self.messages.opened(tx, organisation, row)

    async def stand_in(self, tx: Transaction, message: SecureMessage, browser: Browser) -> Standing:
        now = self.messages.clock.now()
        row = await repo.session(
            tx,
            message.organisation,
            message.id,
            token=browser.token_hash,
            now=now,
            idle=now - self.policy.idle,
            begun=now - self.policy.session,
        )
        if row is None:
            raise AskAgain
        if row.step is not Step.OPEN and message.is_frozen(now):
            raise Frozen
        return Standing(message=message, step=row.step, sealed_key=row.sealed_key)

    async def _try_code(self, tx: Transaction, message: SecureMessage, browser: Browser, code: str) -> Proof:
        standing = await self.stand_in(tx, message, browser)
        if standing.step not in _CHANNELS:
            raise AskAgain
        channel = _CHANNELS[standing.step]
        now = self.messages.clock.now()
        found = await repo.try_code(
            tx,
            message.organisation,
            message.id,
            token=browser.token_hash,
            channel=channel.value,
            now=now,
            tries=self.policy.code_tries,
        )
        if found is None:
            return Proof(Tried.OVER)
        number, stored = found
        if hmac.compare_digest(stored, links.code_hash(self.messages.edge, browser.token_hash, code)):
            if not await repo.use_code(tx, message.organisation, message.id, number):
                return Proof(Tried.OVER)
            return await self.step_on(tx, message, browser, standing.step)
        failures = await repo.count_failure(tx, message.organisation, message.id, now=now, since=now - _DAY)
        return await self.was_wrong(tx, message, browser, channel.value, failures)

    async def step_on(
        self,
        tx: Transaction,
        message: SecureMessage,
        browser: Browser,
        step: Step,
        *,
        phrase_key: bytes | None = None,
        to: Step | None = None,
    ) -> Proof:
        to, token = to or _next(message, step), links.new_token()
        sealed = seal_for_browser(links.token_key(token), message.trace, phrase_key) if phrase_key else None
        moved = await repo.step_on(
            tx,
            message.organisation,
            message.id,
            token=browser.token_hash,
            fresh=links.token_hash(token),
            step=step,
            to=to,
            sealed_key=sealed,
            now=self.messages.clock.now(),
        )
        if not moved:
            return Proof(Tried.OVER)
        if to is Step.OPEN:
            event = SecureMessageOpened(message=message.id, trace=message.trace, level=message.level.value)
            await self._note(tx, message, What.OPENED, browser, event)
        return Proof(Tried.RIGHT, token, to)

    async def was_wrong(
        self, tx: Transaction, message: SecureMessage, browser: Browser, proof: str, failures: int
    ) -> Proof:
        await self.budgets.count_failure(tx, browser.client)
        event = SecureProofFailed(message=message.id, trace=message.trace, proof=proof)
        await self._note(tx, message, What.WRONG, browser, event)
        if failures < self.policy.failures_per_day:
            return Proof(Tried.WRONG)
        await self._freeze(tx, message, browser)
        return Proof(Tried.FROZEN)

    async def _freeze(self, tx: Transaction, message: SecureMessage, browser: Browser) -> None:
        now, details = self.messages.clock.now(), message.details
        until = now + self.policy.frozen_for
        if not await repo.freeze(tx, message.organisation, message.id, now=now, until=until):
            return
        sender = EmailAddress.parse(details.sender)
        head = Letterhead(organisation_name=self._product, writer=self.policy.writer_for(sender), to=sender, at=now)
        paragraphs = [
            (
                f"Somebody has tried {self.policy.failures_per_day} times in a day to open the secure message that you "
                f"sent to {details.address}, with wrong codes or a wrong phrase."
            ),
            "It is shut for 24 hours. Nobody has read it by these tries.",
            (
                "If the recipient has forgotten what was agreed, telephone them, revoke it and send it again. If "
                "you do not know what this is, tell your information governance lead."
            ),
            f"Reference {message.trace}.",
        ]
        raw = sender_letter(head, subject="A secure message of yours was shut for a day", paragraphs=paragraphs)
        await self.messages.post.tell(tx, message.organisation, message.mailbox, raw)
        await self._note(
            tx, message, What.FROZEN, browser, SecureMessageFrozen(message=message.id, trace=message.trace)
        )

    @property
    def _product(self) -> str:
        return "Carepost"

    async def _opens(self, tx: Transaction, message: SecureMessage, key: bytes) -> bool:
        if message.object is None or message.wrapped is None:
            return False
        try:
            await self.messages.seals.unwrap(tx, message.organisation, message.object, message.wrapped, phrase_key=key)
        except vault.DoesNotOpen:
            return False
        return True

    async def _unseal(self, tx: Transaction, standing: Standing, browser: Browser) -> Callable[[], bytes]:
        message, key = standing.message, None
        if message.salt is not None:
            if standing.sealed_key is None:
                raise AskAgain
            key = open_for_browser(links.token_key(browser.token), message.trace, standing.sealed_key)
        if message.object is None or message.wrapped is None:
            raise NoLonger
        content_key = await self.messages.seals.unwrap(
            tx, message.organisation, message.object, message.wrapped, phrase_key=key
        )
        stored = await repo.body(tx, message.organisation, message.id)
        if stored is None:
            raise NoLonger
        organisation, object_id = message.organisation, message.object
        return lambda: open_body(content_key, organisation, object_id, *stored)

    async def _send_code(self, tx: Transaction, message: SecureMessage, browser: Browser) -> None:
        """Part of the caller's transaction, which has locked the message."""
        details, now = message.details, self.messages.clock.now()
        code = await self._new_code(tx, message, browser, Channel.MAIL)
        head = Letterhead(
            organisation_name=details.organisation_name,
            writer=self.policy.writer_for(EmailAddress.parse(details.sender)),
            to=EmailAddress.parse(details.address),
            at=now,
        )
        minutes = int(self.policy.code_lasts.total_seconds() // 60)
        await self.messages.post.send(tx, message.organisation, head.to, code_letter(head, code=code, minutes=minutes))
        await self.messages.record_.note(tx, message, What.CODE_SENT, where=browser.client or "")

    async def text_code(self, message: SecureMessage, browser: Browser) -> None:
        """By telephone. The code is written down first; the provider is waited for with nothing held."""
        async with self.messages.db.transaction(message.organisation) as tx:
            await repo.lock(tx, message.organisation, message.id)
            code = await self._new_code(tx, message, browser, Channel.TEXT)
            await self.messages.record_.note(tx, message, What.CODE_SENT, where=browser.client or "")
        name = message.details.organisation_name
        await self.texts.send(message.details.telephone, f"{code} is your code for the secure message from {name}.")

    async def _new_code(self, tx: Transaction, message: SecureMessage, browser: Browser, channel: Channel) -> str:
        now = self.messages.clock.now()
        sent = await repo.count_codes(tx, message.organisation, message.id, channel=channel.value, since=now - _HOUR)
        to = message.details.address if channel is Channel.MAIL else message.details.telephone
        within = await self.budgets.may_send_code(tx, message.organisation, to, browser.client)
        if sent >= self.policy.codes_per_hour or not within:
            raise TooMany
        code = links.new_code(self.policy.code_digits)
        await repo.insert_code(
            tx,
            message.organisation,
            message.id,
            token=browser.token_hash,
            channel=channel.value,
            code_hash=links.code_hash(self.messages.edge, browser.token_hash, code),
            now=now,
            expires=now + self.policy.code_lasts,
        )
        return code

    async def _note(self, tx: Transaction, message: SecureMessage, what: What, browser: Browser, event: Event) -> None:
        await self.messages.record_.note(tx, message, what, where=browser.client or "")
        await self.messages.record_.audit.record(tx, guest(browser.client), event)


def guest(client: str | None) -> Actor:
    """Somebody outside, at the portal."""
    return Actor(kind=ActorKind.STRANGER, name="guest", address=client)


_NOBODYS = (PLATFORM, SecureMessageId(0))
_CHANNELS = {Step.CODE: Channel.MAIL, Step.TEXT: Channel.TEXT}


def _next(message: SecureMessage, step: Step) -> Step:
    """What is asked for after this proof: never less than the level says."""
    if step is Step.CODE and message.salt is not None:
        return Step.PHRASE
    if step in {Step.CODE, Step.PHRASE} and message.level is Level.STRONG:
        return Step.TEXT
    return Step.OPEN
