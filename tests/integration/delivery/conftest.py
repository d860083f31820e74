from collections.abc import Iterator

import psycopg
import pytest
from tests.conftest import PostgresForTests
from tests.fakes.delivery_world import DeliveryWorld

from carepost.base.ids import OrganisationId
from carepost.infra.db import Database


@pytest.fixture(scope="module")
def database_name(postgres: PostgresForTests) -> Iterator[str]:
    """One database for the tests of a module: the queue is emptied before each."""
    name = postgres.clone()
    yield name
    postgres.drop(name)


@pytest.fixture
async def world(database: Database, superuser_dsn: str) -> DeliveryWorld:
    with psycopg.connect(superuser_dsn, autocommit=True) as behind:
        behind.execute("TRUNCATE delivery, dkim_key CASCADE")
    return DeliveryWorld(database)


@pytest.fixture
async def ours(world: DeliveryWorld) -> OrganisationId:
    return await world.organisation()
