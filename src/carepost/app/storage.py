"""Where the database is: the operator's, by DSN, or our own, started here or found running."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from carepost.base.errors import NotPossible
from carepost.infra.db import with_password
from carepost.infra.migrate import bootstrap, migrate
from carepost.infra.postgres import AlreadyRunning, EmbeddedPostgres
from carepost.infra.postgres_config import EmbeddedPolicy
from carepost.infra.settings import Settings, read_secret

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Dsns:
    """How each database role connects. `owner` is empty where the operator keeps migrations to themselves."""

    app: str
    relay: str
    owner: str
    embedded: EmbeddedPostgres | None = None


def external(settings: Settings) -> Dsns | None:
    """The operator's own database, when the settings name one."""
    given = settings.database
    if not given.dsn:
        return None
    app, relay, owner = given.dsn, given.relay_dsn or given.dsn, given.owner_dsn
    if given.password_file:
        secret = read_secret(settings.path(given.password_file))
        app, relay = with_password(app, secret), with_password(relay, secret)
        owner = with_password(owner, secret) if owner else ""
    return Dsns(app, relay, owner)


def embedded(settings: Settings, progress: Progress | None = None) -> EmbeddedPostgres:
    given = settings.database
    policy = EmbeddedPolicy(
        binaries=Path(given.bin) if given.bin else None,
        shared_buffers_mb=given.shared_buffers_mb,
        connections_max=given.connections_max,
    )
    return EmbeddedPostgres(settings.data / "database", policy, progress=progress)


@asynccontextmanager
async def storage(
    settings: Settings, *, progress: Progress | None = None, may_attach: bool = True
) -> AsyncIterator[Dsns]:
    """The database, running while the block lasts; with `may_attach`, one that a `serve` runs already is used."""
    if (theirs := external(settings)) is not None:
        yield theirs
        return
    server = embedded(settings, progress)
    try:
        await server.start()
    except AlreadyRunning:
        if not may_attach:
            raise
        server.find()
        yield running(server)
        return
    try:
        yield running(server)
    finally:
        await server.stop()


async def prepare(dsns: Dsns, *, progress: Progress | None = None, half: Literal["pre", "post", "all"] = "all") -> None:
    """Bring the schema to where this program wants it. The embedded database is prepared at every start.

    Raises NotPossible for an external one that we may not migrate.
    """
    if dsns.embedded is not None:
        await bootstrap(dsns.embedded.dsn("postgres", database="postgres"))
    if not dsns.owner:
        raise NotPossible("Set database.owner_dsn to migrate: only the owner of the tables may change them.")
    done = await migrate(dsns.owner, half)
    if done.applied and progress is not None:
        progress(f"Schema brought up to date ({len(done.applied)} steps)")


def running(server: EmbeddedPostgres) -> Dsns:
    """How to reach a server that was started, or found."""
    return Dsns(
        app=server.dsn("carepost_app"),
        relay=server.dsn("carepost_relay"),
        owner=server.dsn("carepost_owner"),
        embedded=server,
    )
