"""The keystore: root key -> organisation key -> mailbox key -> object key. See docs/explain/keys.md.

Promises
    A key leaves the database only wrapped, and is unwrapped only here, in a role that was given the root key.
    Keys are remembered for at most `REMEMBER`, so that what is destroyed or withdrawn is soon gone from memory too.
    Rotation of root and organisation keys rewraps keys, never mail; it can be stopped anywhere and run again (E7).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from carepost.audit.events import KeyRotated
from carepost.base.clock import Clock
from carepost.base.errors import NotPossible
from carepost.base.ids import MailboxId, OrganisationId
from carepost.infra import vault
from carepost.infra.db import Database, Transaction
from carepost.infra.key_files import RootKeys
from carepost.store import repo
from carepost.store.model import MailboxLike

# How a rotation gets into the record: in its own transaction, by whoever began it.
Note = Callable[[Transaction, KeyRotated], Awaitable[None]]

REMEMBER = timedelta(minutes=15)  # docs/explain/keys.md: the longest that a destroyed key is remembered
REMEMBERED_MAX = 20_000  # about 6 MB

_COLUMN = b"carepost column"


@dataclass(frozen=True, slots=True)
class OrganisationKeys:
    version: int
    key: bytes
    intake_public: bytes
    intake_private: bytes


@dataclass(frozen=True, slots=True)
class MailboxKeys:
    key: bytes
    intake_public: bytes
    intake_private: bytes


@dataclass(frozen=True, slots=True)
class Keystore:
    """Mints, wraps and unwraps keys. Whoever holds one of these can open mail: the relay role does not."""

    db: Database
    root: RootKeys
    clock: Clock
    _organisations: dict[OrganisationId, tuple[datetime, dict[int, OrganisationKeys]]] = field(default_factory=dict)
    # By organisation too: what the database would not show to this organisation, memory does not either.
    _mailboxes: dict[tuple[OrganisationId, MailboxId], tuple[datetime, MailboxKeys]] = field(default_factory=dict)

    async def mint_organisation(self, tx: Transaction, organisation: OrganisationId) -> None:
        """Make the first key of an organisation. The transaction acts for that organisation."""
        await self._insert_organisation(tx, organisation, version=1)

    async def mint_mailbox(self, tx: Transaction, organisation: OrganisationId, mailbox: MailboxId) -> bytes:
        """Make a mailbox's key and intake pair; returns the public half, which the directory publishes to the relay."""
        holder = await self.organisation(tx, organisation)
        key = vault.new_key()
        public, private = vault.new_intake_pair()
        await repo.insert_mailbox_key(
            tx,
            mailbox=mailbox,
            organisation=organisation,
            version=holder.version,
            wrapped=vault.wrap_key(holder.key, _mailbox_aad(organisation, mailbox), key),
            intake_public=public,
            intake_wrapped=vault.seal_small(key, b"carepost intake half", _mailbox_aad(organisation, mailbox), private),
            at=self.clock.now(),
        )
        return public

    async def organisation(self, tx: Transaction, organisation: OrganisationId) -> OrganisationKeys:
        """The newest key of an organisation."""
        versions = await self._versions(tx, organisation)
        return versions[max(versions)]

    async def organisation_version(
        self, tx: Transaction, organisation: OrganisationId, version: int
    ) -> OrganisationKeys:
        """A given version, retired ones included. Raise NotPossible when it was destroyed."""
        versions = await self._versions(tx, organisation)
        if version not in versions:
            self._organisations.pop(organisation, None)
            versions = await self._versions(tx, organisation)
        if version not in versions:
            raise NotPossible("The key of this organisation's older records has been destroyed.", version=version)
        return versions[version]

    async def mailbox(self, tx: Transaction, mailbox: MailboxLike) -> MailboxKeys:
        """A mailbox's keys. Raise NotPossible when they were destroyed or the mailbox never had any."""
        now = self.clock.now()
        known = self._mailboxes.get((mailbox.organisation, mailbox.id))
        if known is not None and known[0] > now:
            return known[1]
        row = await repo.mailbox_key(tx, mailbox.id)
        if row is None:
            raise NotPossible("This mailbox has no key: its mail cannot be opened.", mailbox=mailbox.id)
        holder = await self.organisation_version(tx, mailbox.organisation, row.organisation_version)
        aad = _mailbox_aad(mailbox.organisation, mailbox.id)
        key = vault.unwrap_key(holder.key, b"", aad, row.wrapped)
        private = vault.open_small(key, b"carepost intake half", aad, row.intake_wrapped)
        keys = MailboxKeys(key, row.intake_public, private)
        if len(self._mailboxes) >= REMEMBERED_MAX:
            self._mailboxes.clear()
        self._mailboxes[mailbox.organisation, mailbox.id] = (now + REMEMBER, keys)
        return keys

    async def seal_column(
        self, tx: Transaction, organisation: OrganisationId, *, context: str, row: str, plaintext: bytes
    ) -> bytes:
        """Seal a column's value (a TOTP secret) for its place: `context` is "table.column", `row` its key."""
        keys = await self.organisation(tx, organisation)
        aad = vault.bound("column", organisation, context, row)
        return keys.version.to_bytes(4, "big") + vault.seal_small(keys.key, _COLUMN, aad, plaintext)

    async def open_column(
        self, tx: Transaction, organisation: OrganisationId, *, context: str, row: str, sealed: bytes
    ) -> bytes:
        keys = await self.organisation_version(tx, organisation, int.from_bytes(sealed[:4], "big"))
        return vault.open_small(keys.key, _COLUMN, vault.bound("column", organisation, context, row), sealed[4:])

    async def open_intake(self, tx: Transaction, organisation: OrganisationId, *, aad: bytes, sealed: bytes) -> bytes:
        """Open what the relay sealed to the organisation's intake, whichever version was published then."""
        tried: set[int] = set()
        for _ in range(2):
            versions = await self._versions(tx, organisation)
            for version in sorted(versions.keys() - tried, reverse=True):
                try:
                    return vault.open_from(versions[version].intake_private, aad, sealed)
                except vault.DoesNotOpen:
                    tried.add(version)
            # A version that another process made since we last read them has sealed it, perhaps.
            self._organisations.pop(organisation, None)
        raise vault.DoesNotOpen("This could not be opened. It has been kept as it is.")

    async def rotate_root(self, organisation: OrganisationId, *, note: Note | None = None) -> int:
        """Put an organisation's keys under the newest root key. Returns how many were rewrapped; 0 when all were."""
        newest = self.root.newest
        done = 0
        async with self.db.transaction(organisation) as tx:
            for row in await repo.organisation_keys(tx, organisation):
                if row.root_version >= newest:
                    continue
                aad = _organisation_aad(organisation, row.version)
                key = vault.unwrap_key(self.root.key(row.root_version), b"", aad, row.wrapped)
                wrapped = vault.wrap_key(self.root.key(newest), aad, key)
                done += await repo.rewrap_organisation_key(
                    tx, organisation, version=row.version, root_version=newest, wrapped=wrapped
                )
            if done and note is not None:
                await note(tx, KeyRotated(key="root", rewrapped=done))
        return done

    async def begin_rotation(self, organisation: OrganisationId) -> int:
        """Make the organisation's next key version; new wraps use it at once. Returns the version."""
        async with self.db.transaction(organisation) as tx:
            current = await self.organisation(tx, organisation)
            await self._insert_organisation(tx, organisation, version=current.version + 1)
        self._organisations.pop(organisation, None)
        return current.version + 1

    async def go_on_rotating(self, organisation: OrganisationId, *, batch: int = 500, note: Note | None = None) -> int:
        """Rewrap up to `batch` mailbox keys to the newest version. Returns how many; 0 means all are done."""
        self._organisations.pop(organisation, None)
        async with self.db.transaction(organisation) as tx:
            newest = await self.organisation(tx, organisation)
            rows = await repo.mailbox_keys_of_older_version(tx, organisation, version=newest.version, limit=batch)
            for mailbox, old_version, wrapped in rows:
                old = await self.organisation_version(tx, organisation, old_version)
                aad = _mailbox_aad(organisation, mailbox)
                fresh = vault.wrap_key(newest.key, aad, vault.unwrap_key(old.key, b"", aad, wrapped))
                await repo.rewrap_mailbox_key(tx, mailbox, version=newest.version, wrapped=fresh)
            if not rows:
                await repo.retire_organisation_keys(tx, organisation, version=newest.version, at=self.clock.now())
            elif note is not None:
                await note(tx, KeyRotated(key="organisation", rewrapped=len(rows)))
        return len(rows)

    async def _insert_organisation(self, tx: Transaction, organisation: OrganisationId, *, version: int) -> None:
        root_version, key = self.root.newest, vault.new_key()
        public, private = vault.new_intake_pair()
        aad = _organisation_aad(organisation, version)
        await repo.insert_organisation_key(
            tx,
            organisation=organisation,
            version=version,
            root_version=root_version,
            wrapped=vault.wrap_key(self.root.key(root_version), aad, key),
            intake_public=public,
            intake_wrapped=vault.seal_small(key, b"carepost intake half", aad, private),
            at=self.clock.now(),
        )

    async def _versions(self, tx: Transaction, organisation: OrganisationId) -> dict[int, OrganisationKeys]:
        now = self.clock.now()
        known = self._organisations.get(organisation)
        if known is not None and known[0] > now:
            return known[1]
        versions = {}
        for row in await repo.organisation_keys(tx, organisation):
            aad = _organisation_aad(organisation, row.version)
            key = vault.unwrap_key(self.root.key(row.root_version), b"", aad, row.wrapped)
            private = vault.open_small(key, b"carepost intake half", aad, row.intake_wrapped)
            versions[row.version] = OrganisationKeys(row.version, key, row.intake_public, private)
        if not versions:
            raise NotPossible("This organisation has no key.", organisation=organisation)
        self._organisations[organisation] = (now + REMEMBER, versions)
        return versions


def _organisation_aad(organisation: OrganisationId, version: int) -> bytes:
    return vault.bound("organisation key", organisation, version)


def _mailbox_aad(organisation: OrganisationId, mailbox: MailboxId) -> bytes:
    return vault.bound("mailbox key", organisation, mailbox)


async def has_keys(tx: Transaction, organisation: OrganisationId) -> bool:
    """Whether an organisation was given a key. The platform's own is made by a migration, which has none to give."""
    return bool(await repo.organisation_keys(tx, organisation))
