"""Certificates of correspondents: whom an organisation has everything that it relays to them encrypted for. R126.

Promises
    No address is at rest in clear: a keyed hash finds it, and it is sealed with its certificate.
    One certificate for each address, the one imported last; another organisation's is never used.
    A certificate that has become unusable is answered as such, never as "none": who asks must not send in clear.
    Adding, listing and removing is asked of `authorize`, and changes are recorded in the same transaction.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import msgspec
from cryptography import x509

from carepost.audit.events_smime import CorrespondentCertificateDistrusted, CorrespondentCertificateTrusted
from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.address import EmailAddress
from carepost.base.clock import Clock
from carepost.base.errors import NotPossible
from carepost.base.ids import OrganisationId
from carepost.directory.access import OnOrganisation, Verb
from carepost.directory.service import Directory
from carepost.infra.db import Database, Transaction
from carepost.infra.vault import EdgeKey
from carepost.message.smime_model import Trust
from carepost.message.smime_others import OthersCertificate, others_certificate, read_pem
from carepost.store import repo_certificates
from carepost.store.keys import Keystore
from carepost.store.repo_certificates import CorrespondentRow

_CONTEXT = "correspondent_certificate.certificate"
_TOKEN = "mail certificate"  # noqa: S105 - what the keyed hash is for
_PAGE = 500


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    address: str
    certificates: list[bytes]


@dataclass(frozen=True, slots=True)
class Usable:
    """Encrypt for it; `at` is when it was asked about."""

    certificate: x509.Certificate
    at: datetime


@dataclass(frozen=True, slots=True)
class Unusable:
    """Mail to them must be encrypted, and cannot be. `why` finishes "its certificate cannot be used: …"."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedCertificate:
    address: str
    fingerprint: bytes
    issuer: str
    until: datetime
    fault: str | None  # why mail to them is held


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrespondentCertificates:
    db: Database
    keys: Keystore
    edge: EdgeKey
    directory: Directory
    audit: AuditTrail
    clock: Clock
    trust: Trust

    async def put(
        self, actor: Actor, organisation: OrganisationId, address: EmailAddress, file: bytes
    ) -> TrustedCertificate:
        """From PEM, instead of the one before. Raises NotAllowed; Malformed, NotPossible: with the reason."""
        await self._require(actor, organisation)
        now = self.clock.now()
        other = read_pem(file, address=str(address), trust=self.trust, at=now)
        token = self._token(organisation, address)
        kept = msgspec.msgpack.encode(_Kept(other.address, other.der()))
        async with self.db.transaction(organisation) as tx:
            sealed = await self.keys.seal_column(
                tx, organisation, context=_CONTEXT, row=_row(token, other.fingerprint), plaintext=kept
            )
            await repo_certificates.put_correspondent(
                tx, organisation, token=token, fingerprint=other.fingerprint, certificate=sealed, now=now
            )
            until = other.certificate.not_valid_after_utc.isoformat()
            event = CorrespondentCertificateTrusted(fingerprint=other.fingerprint.hex(), until=until)
            await self.audit.record(tx, actor, event)
        return self._trusted(other, now)

    async def all(self, actor: Actor, organisation: OrganisationId) -> list[TrustedCertificate]:
        """By address. Raises NotAllowed."""
        await self._require(actor, organisation)
        found: list[OthersCertificate] = []
        after = b""
        async with self.db.transaction(organisation) as tx:
            while rows := await repo_certificates.correspondents_page(tx, organisation, after=after, limit=_PAGE):
                found += [await self._opened(tx, organisation, row) for row in rows]
                after = rows[-1].token
        return sorted((self._trusted(one, self.clock.now()) for one in found), key=lambda one: one.address)

    async def remove(self, actor: Actor, organisation: OrganisationId, address: EmailAddress) -> None:
        """Raises NotAllowed, NotPossible."""
        await self._require(actor, organisation)
        async with self.db.transaction(organisation) as tx:
            fingerprint = await repo_certificates.remove_correspondent(
                tx, organisation, self._token(organisation, address)
            )
            if fingerprint is None:
                raise NotPossible(f"There is no certificate for {address}. See `carepost smime trusted`.")
            await self.audit.record(tx, actor, CorrespondentCertificateDistrusted(fingerprint=fingerprint.hex()))

    async def certificates(
        self, organisation: OrganisationId, addresses: Collection[EmailAddress]
    ) -> dict[str, Usable | Unusable]:
        """By the key of the address, those whom mail is encrypted for. Who is not among them has none."""
        if not addresses:
            return {}
        tokens = {self._token(organisation, one): one.key for one in addresses}
        now = self.clock.now()
        found: dict[str, Usable | Unusable] = {}
        async with self.db.transaction(organisation) as tx:
            for row in await repo_certificates.correspondents(tx, organisation, tokens):
                other = await self._opened(tx, organisation, row)
                why = other.fault(self.trust, now)
                found[tokens[row.token]] = Usable(other.certificate, now) if why is None else Unusable(why)
        return found

    async def _opened(self, tx: Transaction, organisation: OrganisationId, row: CorrespondentRow) -> OthersCertificate:
        place = _row(row.token, row.fingerprint)
        opened = await self.keys.open_column(tx, organisation, context=_CONTEXT, row=place, sealed=row.certificate)
        kept = msgspec.msgpack.decode(opened, type=_Kept)
        return others_certificate(kept.address, kept.certificates)

    def _trusted(self, other: OthersCertificate, now: datetime) -> TrustedCertificate:
        return TrustedCertificate(
            address=other.address,
            fingerprint=other.fingerprint,
            issuer=other.certificate.issuer.rfc4514_string(),
            until=other.certificate.not_valid_after_utc,
            fault=other.fault(self.trust, now),
        )

    def _token(self, organisation: OrganisationId, address: EmailAddress) -> bytes:
        return self.edge.token(organisation, _TOKEN, address.key)

    async def _require(self, actor: Actor, organisation: OrganisationId) -> None:
        await self.directory.require(actor, Verb.CERTIFICATE_KEEP, OnOrganisation(organisation))


def _row(token: bytes, fingerprint: bytes) -> str:
    return f"{token.hex()}/{fingerprint.hex()}"
