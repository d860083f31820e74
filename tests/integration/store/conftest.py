import pytest
from tests.fakes.mailboxes import StoreWorld

from carepost.infra.db import Database


@pytest.fixture
async def world(database: Database) -> StoreWorld:
    return StoreWorld(database)
