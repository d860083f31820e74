import pytest
from tests.fakes.gateway_world import OPERATOR, GatewayWorld

from carepost.infra.db import Database


@pytest.fixture
async def world(database: Database, relay_database: Database) -> GatewayWorld:
    """One domain of our own; the organisations and people are the tests'."""
    built = GatewayWorld(database, relay_database)
    await built.organisations.add_domain(OPERATOR, built.domain)
    return built
