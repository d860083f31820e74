"""Roles and database on somebody else's server, where we are not superuser."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from tests.conftest import run_apart

from carepost.base.errors import NotPossible
from carepost.infra.db import Database
from carepost.infra.migrate import bootstrap, check_version, migrate
from carepost.infra.postgres import EmbeddedPostgres
from carepost.infra.postgres_config import EmbeddedPolicy

# A server whose administrator gave us a role that may make roles and databases, and no more: what clouds do.
ADMIN = "cloud_admin"


def speaking_as(role: str, server: EmbeddedPostgres, database: str) -> str:
    """Our superuser, who sets that role in the connection's options: roles made by hand have no secret here."""
    return server.dsn("postgres", database=database) + f" options='-c role={role}'"


@pytest.fixture
def server(short_folder: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(short_folder / "cloud", EmbeddedPolicy(shared_buffers_mb=16))
    run_apart(server.start())
    try:
        with psycopg.connect(server.dsn("postgres", database="postgres"), autocommit=True) as superuser:
            superuser.execute("DROP DATABASE IF EXISTS mail WITH (FORCE)")
            for role in ("carepost_owner", "carepost_app", "carepost_relay", ADMIN):
                superuser.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
            superuser.execute("CREATE ROLE cloud_admin CREATEROLE CREATEDB")
        yield server
    finally:
        run_apart(server.stop())


async def test_a_role_that_may_make_roles_and_databases_is_enough(server: EmbeddedPostgres) -> None:
    admin = speaking_as(ADMIN, server, "postgres")
    for _ in range(2):  # Again changes nothing.
        await bootstrap(admin, database="mail")
    await migrate(speaking_as("carepost_owner", server, "mail"))
    async with Database.open(speaking_as("carepost_app", server, "mail"), role="carepost_app") as db:
        await check_version(db)
    with psycopg.connect(server.dsn("postgres", database="mail")) as superuser:
        owner = superuser.execute("SELECT datdba::regrole::text FROM pg_database WHERE datname = 'mail'").fetchone()
        members = superuser.execute(
            "SELECT FROM pg_auth_members WHERE roleid = 'carepost_owner'::regrole AND set_option"
        )
        assert members.fetchall() == [], "the membership was for the moment only"
    assert owner == ("carepost_owner",)


async def test_a_role_with_too_much_power_is_refused(server: EmbeddedPostgres) -> None:
    admin = server.dsn("postgres", database="postgres")
    await bootstrap(admin, database="mail")
    for power, back in (("SUPERUSER", "NOSUPERUSER"), ("BYPASSRLS", "NOBYPASSRLS")):
        with psycopg.connect(admin, autocommit=True) as superuser:
            superuser.execute(f"ALTER ROLE carepost_app {power}")
        with pytest.raises(NotPossible, match="row-level security"):
            await bootstrap(admin, database="mail")
        with psycopg.connect(admin, autocommit=True) as superuser:
            superuser.execute(f"ALTER ROLE carepost_app {back}")
