"""The keys our mail is signed with, and signing itself: DKIM for what we write, ARC for what we pass on.

Promises
    Private halves are sealed in the database and opened only here; one that signs no more is destroyed.
    A domain always has two sets of keys: one that signs, and one that stands by, published already. A rotation makes
    the second sign, and a third stand by; the first stays in DNS until what it signed has arrived.
    A message leaves signed by its author's domain, if that is ours, and by its envelope's otherwise (R109).
    What other systems have signed is passed on as it is, with the chain of ARC sealed (RFC 8617).

RFC 6376, RFC 8463. The records to publish are in `carepost dns`.
"""

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from carepost.audit.events_delivery import DkimRotated
from carepost.audit.model import PLATFORM, Actor
from carepost.audit.record import AuditTrail
from carepost.base.address import Domain, EmailAddress
from carepost.base.clock import Clock
from carepost.base.errors import Malformed, NotPossible
from carepost.base.ids import OrganisationId
from carepost.delivery import repo_keys as repo
from carepost.delivery.parcels import Parcel
from carepost.infra.db import Database, Transaction
from carepost.mailauth.arc import ArcStatus, verify_arc
from carepost.mailauth.arc_seal import seal_arc
from carepost.mailauth.arc_sets import Cv
from carepost.mailauth.author import read_author
from carepost.mailauth.dkim_sign import sign_dkim
from carepost.mailauth.fields import Field, field_value, split_message
from carepost.mailauth.keys import SigningKey
from carepost.mailauth.resolver import Resolver
from carepost.store.keys import Keystore


class KeyState(StrEnum):
    STANDBY = "standby"
    ACTIVE = "active"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningPolicy:
    rsa_bits: int = 2048  # RFC 8301 §3.2; longer keys do not fit one string of DNS
    ed25519: bool = True  # beside RSA, for those who check it. RFC 8463
    # A key that signs no more stays published for so long: retries last five days.
    published_for: timedelta = timedelta(days=7)
    remembered: timedelta = timedelta(minutes=5)  # how long another process's rotation may go unnoticed


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedKey:
    """What stands, or has to stand, in DNS."""

    domain: Domain
    selector: str
    state: KeyState
    record: str  # the TXT record
    since: datetime

    @property
    def name(self) -> str:
        return f"{self.selector}._domainkey.{self.domain}"


@dataclass(frozen=True, slots=True)
class Signer:
    selector: str
    key: SigningKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    db: Database
    keys: Keystore
    audit: AuditTrail
    clock: Clock
    authserv_id: str
    resolver: Resolver | None = None  # None: chains of ARC cannot be checked, and are passed on as they are
    policy: SigningPolicy = field(default_factory=SigningPolicy)
    _known: dict[Domain, tuple[datetime, list[Signer]]] = field(default_factory=dict)
    # A hundred messages that leave at once wait for one opening of their keys.
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ready(self, parcel: Parcel, raw: bytes) -> bytes:
        """The message as it leaves: signed by our own domain, or sealed when it is somebody else's."""
        headers, body = split_message(raw)
        if parcel.forwarded:
            return await self._sealed(parcel, raw)
        domain = await self._domain_of(headers, parcel.reverse_path)
        if domain is None:
            return raw
        signers, now = await self.signers(domain), self.clock.now()

        def sign() -> bytes:
            return b"".join(
                sign_dkim(headers, body, domain=domain, selector=one.selector, key=one.key, now=now) for one in signers
            )

        # RSA takes a millisecond; the hash of a large body takes many.
        return await asyncio.to_thread(sign) + raw if len(raw) > _IN_LINE else sign() + raw

    async def signers(self, domain: Domain) -> list[Signer]:
        """The keys that sign for a domain of ours; made, if there are none yet. Raises NotPossible for any other."""
        if (known := self._remembered(domain)) is not None:
            return known
        async with self._opening:
            return self._remembered(domain) or await self._opened(domain)

    def _remembered(self, domain: Domain) -> list[Signer] | None:
        known = self._known.get(domain)
        return known[1] if known is not None and known[0] > self.clock.now() else None

    async def _opened(self, domain: Domain) -> list[Signer]:
        async with self.db.transaction() as tx:
            organisation = await self._owner(tx, domain)
            rows = [row for row in await repo.dkim_keys(tx, organisation, domain) if row.state == KeyState.ACTIVE]
            if not rows:
                await self._make(tx, organisation, domain, KeyState.ACTIVE)
                await self._make(tx, organisation, domain, KeyState.STANDBY)
                rows = [row for row in await repo.dkim_keys(tx, organisation, domain) if row.state == KeyState.ACTIVE]
            signers = [await self._open(tx, organisation, domain, row) for row in rows]
        self._known[domain] = (self.clock.now() + self.policy.remembered, signers)
        return signers

    async def published(self, domain: Domain) -> Sequence[PublishedKey]:
        """Every key that has to stand in DNS now. Makes the first ones of a domain."""
        await self.signers(domain)
        async with self.db.transaction() as tx:
            organisation = await self._owner(tx, domain)
            rows = await repo.dkim_keys(tx, organisation, domain)
        return [
            PublishedKey(
                domain=domain,
                selector=row.selector,
                state=KeyState(row.state),
                record=_record(row.algorithm, row.public),
                since=row.activated_at or row.created_at,
            )
            for row in rows
            if row.retired_at is None or row.retired_at + self.policy.published_for > self.clock.now()
        ]

    async def rotate(self, actor: Actor, domain: Domain) -> Sequence[PublishedKey]:
        """Let the keys that stand by sign from here on, and make others that stand by. Returns what has to be in DNS.

        Raises NotPossible for a domain that is not ours. Whether the standing-by keys are in DNS is for the caller to
        see to before (`carepost keys rotate-dkim` does).
        """
        await self.signers(domain)
        now = self.clock.now()
        async with self.db.transaction() as tx:
            organisation = await self._owner(tx, domain)
            await repo.retire(tx, organisation, domain, at=now)
            await repo.activate(tx, organisation, domain, at=now)
            await self._make(tx, organisation, domain, KeyState.STANDBY)
            await repo.forget(tx, organisation, domain, before=now - self.policy.published_for)
            await self.audit.record(tx, actor, DkimRotated(domain=domain.name))
        self._known.pop(domain, None)
        return await self.published(domain)

    async def _domain_of(self, headers: Sequence[Field], reverse_path: EmailAddress | None) -> Domain | None:
        """The author's domain when it is ours: DMARC looks at that one."""
        author = read_author(headers).address
        for address in (author, str(reverse_path) if reverse_path else ""):
            try:
                domain = EmailAddress.parse(address).domain
            except Malformed:
                continue
            if self._remembered(domain) is not None:
                return domain
            async with self.db.glance() as tx:
                if await repo.is_own_domain(tx, domain):
                    return domain
        return None

    async def _sealed(self, parcel: Parcel, raw: bytes) -> bytes:
        """Raises nothing for what a chain holds: one that is broken is passed on broken."""
        headers, body = split_message(raw)
        results = _our_results(headers, self.authserv_id)
        domain = parcel.reverse_path.domain if parcel.reverse_path else None
        if self.resolver is None or results is None or domain is None:
            return raw
        async with self.db.glance() as tx:
            if not await repo.is_own_domain(tx, domain):
                return raw
        # RFC 8617 §4.1.2 has RSA only.
        signer = next(one for one in await self.signers(domain) if isinstance(one.key, rsa.RSAPrivateKey))
        found = await verify_arc(self.resolver, headers=headers, body=body, now=self.clock.now())
        if found.status not in _CV:
            # A key of the chain could not be looked up: what is not known is not sealed as known.
            return raw
        seal = seal_arc(
            headers,
            body,
            chain=found.sets,
            cv=_CV[found.status],
            results=results,
            domain=domain,
            selector=signer.selector,
            key=signer.key,
            now=self.clock.now(),
        )
        return seal + raw

    async def _owner(self, tx: Transaction, domain: Domain) -> OrganisationId:
        """Whose the domain is; the transaction acts for them from here."""
        if not await repo.is_own_domain(tx, domain):
            raise NotPossible(f"{domain} is not a mail domain of this service. Add it: carepost domain add {domain}")
        owner = await repo.domain_owner(tx, domain) or PLATFORM
        await tx.act_for(owner)
        return owner

    async def _make(self, tx: Transaction, organisation: OrganisationId, domain: Domain, state: KeyState) -> None:
        for algorithm in ("rsa", "ed25519") if self.policy.ed25519 else ("rsa",):
            # A tenth of a second and more: others go on meanwhile.
            key = await asyncio.to_thread(_new_key, algorithm, self.policy.rsa_bits)
            at = self.clock.now()
            selector = await self._selector(tx, organisation, domain, algorithm, at)
            private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
            sealed = await self.keys.seal_column(
                tx, organisation, context=_CONTEXT, row=f"{domain}/{selector}", plaintext=private
            )
            await repo.insert(
                tx,
                organisation,
                domain,
                repo.KeyRow(selector, algorithm, _public_bytes(key), sealed, state.value, at, None, None),
            )

    async def _selector(
        self, tx: Transaction, organisation: OrganisationId, domain: Domain, algorithm: str, at: datetime
    ) -> str:
        """Names that say when, and are never used again: "cp2026b-r"."""
        taken = {row.selector for row in await repo.dkim_keys(tx, organisation, domain)}
        suffix = "r" if algorithm == "rsa" else "e"
        for letter in "abcdefghijklmnopqrstuvwxyz":
            if (name := f"cp{at:%Y%m}{letter}-{suffix}") not in taken:
                return name
        raise NotPossible("The keys of this domain have been rotated 26 times this month. Please wait for the next.")

    async def _open(self, tx: Transaction, organisation: OrganisationId, domain: Domain, row: repo.KeyRow) -> Signer:
        if row.private is None:
            raise NotPossible("A signing key has been destroyed.", domain=domain.name, selector=row.selector)
        plain = await self.keys.open_column(
            tx, organisation, context=_CONTEXT, row=f"{domain}/{row.selector}", sealed=row.private
        )
        # What opens is what we sealed: to prove each time that it is an RSA key would take 40 ms.
        key = load_der_private_key(plain, None, unsafe_skip_rsa_key_validation=True)
        if not isinstance(key, rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
            raise NotPossible("A signing key is of a kind that does not sign mail.", domain=domain.name)
        return Signer(row.selector, key)


_CONTEXT = "dkim_key.private"
_IN_LINE = 256 * 1024
_CV = {ArcStatus.NONE: Cv.NONE, ArcStatus.PASS: Cv.PASS, ArcStatus.FAIL: Cv.FAIL}


def _new_key(algorithm: str, bits: int) -> SigningKey:
    if algorithm == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def _public_bytes(key: SigningKey) -> bytes:
    """As RFC 6376 §3.6.1 and RFC 8463 §4.2 publish it."""
    public = key.public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        return public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _record(algorithm: str, public: bytes) -> str:
    return f"v=DKIM1; k={algorithm}; p={base64.b64encode(public).decode()}"


def _our_results(headers: Sequence[Field], authserv_id: str) -> bytes | None:
    """What we found when the message came in, as our topmost field says."""
    for name, octets in headers:
        if name == b"authentication-results":
            value = field_value(octets).strip()
            if value.lower().startswith(authserv_id.lower().encode()):
                return value
    return None
