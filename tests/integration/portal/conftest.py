from collections.abc import Iterator

import psycopg
import pytest
from tests.conftest import PostgresForTests
from tests.fakes.portal_world import PortalWorld

from carepost.infra.db import Database


@pytest.fixture(scope="module")
def database_name(postgres: PostgresForTests) -> Iterator[str]:
    """One database for the tests of a module: each has a practice of its own in it."""
    name = postgres.clone()
    yield name
    postgres.drop(name)


@pytest.fixture
async def world(database: Database, relay_database: Database, superuser_dsn: str) -> PortalWorld:
    with psycopg.connect(superuser_dsn, autocommit=True) as behind:
        behind.execute("TRUNCATE portal_budget")
    return await PortalWorld(database, relay_database).founded()
