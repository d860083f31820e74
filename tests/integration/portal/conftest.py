import pytest
from tests.fakes.portal_world import PortalWorld

from carepost.infra.db import Database


@pytest.fixture
async def world(database: Database, relay_database: Database) -> PortalWorld:
    return await PortalWorld(database, relay_database).founded()
