"""The rooms of a role that may open mail (access, worker, the command line), built in order on one database.

The role that faces port 25 is built in relay.py: it is given no root key.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from carepost.app.checkpoints import CheckpointRoom, checkpoint_room
from carepost.app.identity_rooms import Foundations, IdentityRooms, identity_rooms
from carepost.app.storage import Dsns
from carepost.audit.record import AuditTrail
from carepost.base.clock import Clock, SystemClock
from carepost.directory.mailboxes import Mailboxes
from carepost.directory.model import Organisation
from carepost.directory.organisations import Organisations
from carepost.directory.people import People
from carepost.directory.service import Directory
from carepost.directory.wording import Wordings
from carepost.gateway.quarantine import Quarantine
from carepost.gateway.trace import MessageTrace
from carepost.governance.acceptable_use import AcceptableUse
from carepost.infra.db import Database, DatabaseLimits
from carepost.infra.durability import insist_on_durability
from carepost.infra.key_files import KeyFiles
from carepost.infra.migrate import check_version
from carepost.infra.settings import Settings
from carepost.infra.vault import EdgeKey
from carepost.store.changes import Changes
from carepost.store.filing import Filing
from carepost.store.folders import Folders
from carepost.store.keys import Keystore
from carepost.store.messages import MessageStore
from carepost.store.minting import Minting
from carepost.store.search import ImageCache, MailSearch
from carepost.store.upkeep import Upkeep


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryRooms:
    """Who exists, and the verbs that change it."""

    look: Directory
    organisations: Organisations
    people: People
    mailboxes: Mailboxes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRooms:
    """Mail at rest."""

    keys: Keystore
    folders: Folders
    messages: MessageStore
    filing: Filing
    search: MailSearch
    changes: Changes
    upkeep: Upkeep


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRooms:
    """Looking at what the gateway decided, and undoing it."""

    quarantine: Quarantine
    trace: MessageTrace


@dataclass(frozen=True, slots=True, kw_only=True)
class Areas:
    """Everything below the doors."""

    settings: Settings
    clock: Clock
    db: Database
    edge: EdgeKey
    audit: AuditTrail
    directory: DirectoryRooms
    store: StoreRooms
    identity: IdentityRooms
    gateway: GatewayRooms
    acceptable_use: AcceptableUse
    checkpoints: CheckpointRoom

    async def organisations(self) -> list[Organisation]:
        return await self.directory.look.organisations()


@asynccontextmanager
async def open_areas(settings: Settings, dsns: Dsns, *, clock: Clock | None = None) -> AsyncIterator[Areas]:
    """Connect as carepost_app and build. Raises NotPossible when this program may not run on this database."""
    clock = clock or SystemClock()
    keys = key_files(settings)
    async with Database.open(
        dsns.app,
        pool_min=settings.database.pool_min,
        pool_max=settings.database.pool_max,
        role="carepost_app",
        limits=database_limits(settings),
    ) as db:
        await check_version(db)
        await insist_on_durability(db)
        audit = AuditTrail(clock=clock)
        store = _store_rooms(settings, db, Keystore(db, keys.root(), clock), audit, clock)
        directory = _directory_rooms(db, store, audit, clock)
        edge, look = keys.edge(), directory.look
        on = Foundations(
            db=db, audit=audit, clock=clock, edge=edge, keys=store.keys, directory=look, people=directory.people
        )
        yield Areas(
            settings=settings,
            clock=clock,
            db=db,
            edge=edge,
            audit=audit,
            directory=directory,
            store=store,
            identity=identity_rooms(settings, on),
            gateway=GatewayRooms(
                quarantine=Quarantine(db=db, keys=store.keys, audit=audit, directory=look, clock=clock),
                trace=MessageTrace(db=db, keys=store.keys, audit=audit, directory=look, edge=edge, clock=clock),
            ),
            acceptable_use=AcceptableUse(db=db, audit=audit, clock=clock, people=directory.people),
            checkpoints=checkpoint_room(settings, db, audit, clock),
        )


def key_files(settings: Settings) -> KeyFiles:
    return KeyFiles(settings.path(settings.keys.folder))


def database_limits(settings: Settings) -> DatabaseLimits:
    return DatabaseLimits(
        acquire_seconds=settings.database.acquire_seconds, statement_seconds=settings.database.statement_seconds
    )


def _store_rooms(settings: Settings, db: Database, keys: Keystore, audit: AuditTrail, clock: Clock) -> StoreRooms:
    cache = ImageCache(octets_max=settings.limits.search_cache_mb << 20)
    search = MailSearch(db=db, keys=keys, clock=clock, cache=cache)
    return StoreRooms(
        keys=keys,
        folders=Folders(db=db, keys=keys, clock=clock),
        messages=MessageStore(db=db, keys=keys),
        filing=Filing(db=db, keys=keys, audit=audit, clock=clock),
        search=search,
        changes=Changes(db),
        upkeep=Upkeep(db=db, search=search, clock=clock),
    )


def _directory_rooms(db: Database, store: StoreRooms, audit: AuditTrail, clock: Clock) -> DirectoryRooms:
    look = Directory(db=db, clock=clock)
    mint = Minting(store.keys, store.folders)
    return DirectoryRooms(
        look=look,
        organisations=Organisations(db=db, audit=audit, clock=clock, directory=look, keys=mint),
        people=People(db=db, audit=audit, clock=clock, directory=look, keys=mint),
        mailboxes=Mailboxes(db=db, audit=audit, clock=clock, directory=look, keys=mint),
    )


def wordings(areas: Areas) -> Wordings:
    """Signatures, templates, and how long people want to be able to undo."""
    return Wordings(
        db=areas.db, directory=areas.directory.look, seals=areas.store.keys, audit=areas.audit, clock=areas.clock
    )
