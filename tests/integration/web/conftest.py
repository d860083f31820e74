import pytest
from tests.fakes.web_world import WebWorld, build_web_world

from carepost.infra.db import Database


@pytest.fixture
async def world(database: Database, relay_database: Database) -> WebWorld:
    return await build_web_world(database, relay_database)
