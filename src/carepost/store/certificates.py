"""Certificates of mailboxes, with their private keys: added, listed, removed, used. S/MIME, R126.

Promises
    A private key is at rest only under the mailbox's own key: whoever cannot open the mailbox cannot open it.
    Only a certificate that names the mailbox's address, in its time and from an authority that we trust, is added.
    Adding and removing is asked of `authorize`, and recorded in the same transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from carepost.audit.events_smime import MailCertificateAdded, MailCertificateRemoved
from carepost.audit.model import Actor
from carepost.audit.record import AuditTrail
from carepost.base.clock import Clock
from carepost.base.errors import NotPossible
from carepost.directory.access import OnOrganisation, Verb
from carepost.directory.model import MailboxRecord
from carepost.directory.service import Directory
from carepost.infra import vault
from carepost.infra.db import Database
from carepost.message.smime_keys import KeyPair, key_pair, read_pkcs12
from carepost.message.smime_model import Trust
from carepost.store import repo_certificates
from carepost.store.keys import Keystore
from carepost.store.model import MailboxLike

_LABEL = b"carepost mail certificate"
OF_A_MAILBOX_MAX = 20  # one a year, and what came before


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCertificate:
    fingerprint: bytes
    name: str  # of the certificate's owner, as RFC 4514 writes it
    issuer: str
    since: datetime
    until: datetime
    signs: bool  # what leaves from the mailbox


@dataclass(frozen=True, slots=True, kw_only=True)
class MailCertificates:
    db: Database
    keys: Keystore
    directory: Directory
    audit: AuditTrail
    clock: Clock
    trust: Trust

    async def add(
        self, actor: Actor, mailbox: MailboxRecord, file: bytes, passphrase: str, *, signs: bool = False
    ) -> KeptCertificate:
        """From a PKCS #12 file; `signs`: what leaves from the mailbox is signed with it. Raises NotAllowed, Malformed,
        NotPossible: with the reason, and nothing is kept."""
        await self._require(actor, mailbox)
        now = self.clock.now()
        pair = read_pkcs12(file, passphrase, address=str(mailbox.address), trust=self.trust, at=now)
        since, until = pair.certificate.not_valid_before_utc, pair.certificate.not_valid_after_utc
        async with self.db.transaction(mailbox.organisation) as tx:
            if len(await repo_certificates.certificates(tx, mailbox, limit=OF_A_MAILBOX_MAX)) >= OF_A_MAILBOX_MAX:
                raise NotPossible(f"A mailbox keeps at most {OF_A_MAILBOX_MAX} certificates. Remove an old one first.")
            held = await self.keys.mailbox(tx, mailbox)
            sealed = vault.seal_small(held.key, _LABEL, _aad(mailbox, pair.fingerprint), pair.private_der())
            if not await repo_certificates.insert(
                tx,
                mailbox,
                fingerprint=pair.fingerprint,
                certificates=pair.der(),
                private_key=sealed,
                signs=signs,
                since=since,
                until=until,
                now=now,
            ):
                raise NotPossible("The mailbox has this certificate already.")
            event = MailCertificateAdded(
                mailbox=mailbox.id, fingerprint=pair.fingerprint.hex(), until=until.isoformat()
            )
            await self.audit.record(tx, actor, event)
        return _kept(pair, signs=signs)

    async def all(self, actor: Actor, mailbox: MailboxRecord) -> list[KeptCertificate]:
        """The newest first. Raises NotAllowed."""
        await self._require(actor, mailbox)
        return [_kept(pair, signs=signs) for pair, signs in await self._opened(mailbox)]

    async def remove(self, actor: Actor, mailbox: MailboxRecord, fingerprint: bytes) -> None:
        """Raises NotAllowed, NotPossible."""
        await self._require(actor, mailbox)
        async with self.db.transaction(mailbox.organisation) as tx:
            if not await repo_certificates.remove(tx, mailbox, fingerprint):
                raise NotPossible("The mailbox has no such certificate. See `carepost smime list`.")
            event = MailCertificateRemoved(mailbox=mailbox.id, fingerprint=fingerprint.hex())
            await self.audit.record(tx, actor, event)

    async def pairs(self, mailbox: MailboxLike, *, only_signing: bool = False) -> Sequence[KeyPair]:
        """With their keys, to open mail or to sign it. The caller has asked whether the actor may."""
        return [pair for pair, signs in await self._opened(mailbox) if signs or not only_signing]

    async def _opened(self, mailbox: MailboxLike) -> list[tuple[KeyPair, bool]]:
        async with self.db.transaction(mailbox.organisation) as tx:
            rows = await repo_certificates.certificates(tx, mailbox, limit=OF_A_MAILBOX_MAX)
            held = await self.keys.mailbox(tx, mailbox) if rows else None
        if held is None:
            return []
        return [
            (
                key_pair(
                    row.certificates,
                    vault.open_small(held.key, _LABEL, _aad(mailbox, row.fingerprint), row.private_key),
                ),
                row.signs,
            )
            for row in rows
        ]

    async def _require(self, actor: Actor, mailbox: MailboxRecord) -> None:
        await self.directory.require(actor, Verb.CERTIFICATE_KEEP, OnOrganisation(mailbox.organisation))


def _aad(mailbox: MailboxLike, fingerprint: bytes) -> bytes:
    return vault.bound("mail_certificate", mailbox.organisation, mailbox.id, fingerprint)


def _kept(pair: KeyPair, *, signs: bool) -> KeptCertificate:
    certificate = pair.certificate
    return KeptCertificate(
        fingerprint=pair.fingerprint,
        name=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        since=certificate.not_valid_before_utc,
        until=certificate.not_valid_after_utc,
        signs=signs,
    )
