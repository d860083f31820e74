"""Keys in memory: they give nobody more than the database would, and do not outlive a rotation elsewhere."""

import pytest
from tests.fakes.mailboxes import StoreWorld

from carepost.base.errors import NotPossible
from carepost.infra import vault
from carepost.store import repo
from carepost.store.keys import Keystore
from carepost.store.model import MailboxRef


async def test_a_mailbox_key_in_memory_is_not_given_to_another_organisation(world: StoreWorld) -> None:
    mailbox, other = await world.mailbox(await world.organisation()), await world.organisation()
    async with world.db.transaction(mailbox.organisation) as tx:
        await world.keys.mailbox(tx, mailbox)
    async with world.db.transaction(other) as tx:
        with pytest.raises(NotPossible):
            await world.keys.mailbox(tx, MailboxRef(mailbox.id, other))


async def test_what_was_sealed_after_a_rotation_elsewhere_is_opened_at_once(world: StoreWorld) -> None:
    """The worker rotates; the process that shows quarantine remembers the old version for up to a quarter of an hour."""
    organisation = await world.organisation()
    elsewhere = Keystore(world.db, world.root, world.clock)
    async with world.db.transaction(organisation) as tx:
        await world.keys.organisation(tx, organisation)
    await elsewhere.begin_rotation(organisation)
    async with world.db.transaction(organisation) as tx:
        intake = await repo.organisation_intake(tx, organisation)
        assert intake is not None
        sealed = vault.seal_to(intake[1], b"aad", b"details")
        assert await world.keys.open_intake(tx, organisation, aad=b"aad", sealed=sealed) == b"details"
        with pytest.raises(vault.DoesNotOpen):
            await world.keys.open_intake(tx, organisation, aad=b"another", sealed=sealed)
