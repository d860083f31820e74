"""`carepost serve`: a parent that opens the ports and the database, and worker processes by role.

    relay    faces strangers on port 25 (and LMTP): given no root key, and a database role that reads no mail
    access   mail programs, pages and chores: holds the root key
    worker   releases what waits, delivers, retries, reports: holds the root key, listens to nobody

Promises
    Every worker of a role is like every other: they share the ports and meet only in PostgreSQL.
    The embedded database is started first, prepared, watched, and stopped last.
    The root key is never in the memory of the parent, from which relays are forked; nor do relays hold the ports on
    which people sign in. No process leaves a core file.
    A key that is missing beside sealed mail stops the start with words; keys are made for an empty database only.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from carepost.app.access import AccessSockets, run_access
from carepost.app.areas import key_files, open_areas
from carepost.app.mail_out_joined import mail_out_joined
from carepost.app.observing import Gauges, Observing
from carepost.app.relay import RelaySockets, run_relay
from carepost.app.storage import Dsns, Progress, embedded, external, prepare, running
from carepost.app.worker import run_worker
from carepost.audit.model import PLATFORM, Actor
from carepost.base.errors import MailError, NotPossible
from carepost.governance.acceptable_use import first_text
from carepost.infra.core_dumps import forbid_core_dumps
from carepost.infra.db import Database
from carepost.infra.log import configure, get_logger
from carepost.infra.metrics import Metrics
from carepost.infra.migrate import check_version
from carepost.infra.postgres import EmbeddedPostgres
from carepost.infra.prefork import PreforkPolicy, WorkerGroup, listen_on, serve_processes
from carepost.infra.settings import Settings
from carepost.store.keys import has_keys

log = get_logger("serve")

ROLES = ("relay", "access", "worker")


@dataclass(slots=True)
class Service:
    """One running `carepost serve`."""

    settings: Settings
    roles: Sequence[str] = ROLES
    progress: Progress = lambda _text: None
    # Called once every worker has been started: a demo seeds its world from here.
    workers_started: Callable[[Dsns], None] = lambda _dsns: None
    _database: EmbeddedPostgres | None = field(default=None, init=False)

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; the exit code. Raises NotPossible, in words, when it cannot start."""
        if unknown := set(self.roles) - set(ROLES):
            raise NotPossible(f"There is no role {', '.join(sorted(unknown))}. The roles are {' and '.join(ROLES)}.")
        configure(style=self.settings.observe.log, level=self.settings.observe.log_level)
        forbid_core_dumps()
        self.settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        dsns = self._open_database()
        try:
            self._prepare(dsns)
            return self._serve(dsns)
        finally:
            if self._database is not None:
                self._database.stop_now()

    def _open_database(self) -> Dsns:
        if (theirs := external(self.settings)) is not None:
            return theirs
        self._database = embedded(self.settings, self.progress)
        self._database.start_now()
        return running(self._database)

    def _prepare(self, dsns: Dsns) -> None:
        if dsns.embedded is not None:
            # Apart, because it connects as roles that the relay must never be.
            _apart(partial(prepare, dsns, progress=self.progress))
        if "access" in self.roles:
            _apart(partial(_first_time, self.settings, dsns))

    def _open_ports(self) -> tuple[RelaySockets, AccessSockets]:
        given, relay, access = self.settings, RelaySockets(), AccessSockets()
        if "relay" in self.roles and given.workers.relay:
            relay = RelaySockets(listen_on(given.smtp.listen), listen_on(given.smtp.lmtp))
        if "access" in self.roles and given.workers.access:
            access = AccessSockets(
                imap=listen_on(given.imap.listen),
                imap_tls=listen_on(given.imap.listen_tls),
                submission=listen_on(given.submission.listen),
                submission_tls=listen_on(given.submission.listen_tls),
                web=listen_on(given.web.listen),
                content=listen_on(given.web.content_listen),
                portal=listen_on(given.portal.listen),
            )
        return relay, access

    def _serve(self, dsns: Dsns) -> int:
        given, metrics = self.settings, Metrics(self.settings.path("metrics"))
        observing = Observing(Gauges(metrics), listen_on(given.observe.listen), given.database.durability_seconds)
        groups: list[WorkerGroup] = []
        relay, access = self._open_ports()
        if "relay" in self.roles and given.workers.relay:
            work = partial(run_relay, given, dsns, relay, observing)
            groups.append(WorkerGroup(name="relay", count=given.workers.relay, run=work, closes=access.all))
        if "access" in self.roles and given.workers.access:
            work = partial(run_access, given, dsns, access, observing)
            groups.append(WorkerGroup(name="access", count=given.workers.access, run=work, closes=relay.all))
        if "worker" in self.roles and given.workers.worker:
            work = partial(run_worker, given, dsns, observing, joins=mail_out_joined)
            closes = (*relay.all, *access.all)
            groups.append(WorkerGroup(name="worker", count=given.workers.worker, run=work, closes=closes))
        log.info("serving", roles=[group.name for group in groups], pid=os.getpid())
        self.workers_started(dsns)
        return serve_processes(
            groups,
            PreforkPolicy(stop_seconds=given.workers.stop_seconds),
            # When the embedded database ends unasked it is started again; workers answer 4xx meanwhile.
            tend=(self._database.tend,) if self._database is not None else (),
            ended=lambda _name, pid: metrics.forget_worker(pid),
        )


def _apart(work: Callable[[], Awaitable[None]]) -> None:
    """Run it in a process of its own: what it reads, keys above all, is never in memory that others are forked from.

    Raises NotPossible with the words of whatever was raised in it.
    """
    reading, writing = os.pipe()
    sys.stdout.flush()
    if (pid := os.fork()) == 0:
        code = 1
        try:
            os.close(reading)
            with asyncio.Runner() as runner:
                runner.run(_awaited(work))
            code = 0
        except MailError as error:
            os.write(writing, error.public.encode()[:4096])
        except BaseException as error:  # noqa: BLE001 - the last line of a process: told, and turned into its exit code
            log.error("the first look at the database failed", error=error)
        finally:
            sys.stdout.flush()
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode("utf-8", "replace")
    if os.waitpid(pid, 0)[1] != 0:
        raise NotPossible(said or "The database could not be made ready. The log says why.")


async def _awaited(work: Callable[[], Awaitable[None]]) -> None:
    await work()


async def _keys_at_hand(settings: Settings, dsns: Dsns) -> None:
    """Make keys for an empty database. Beside a furnished one a missing key is somebody's mistake, and told."""
    keys = key_files(settings)
    if keys.complete:
        return
    async with Database.open(dsns.app, pool_min=1, pool_max=1, role="carepost_app") as db:
        await check_version(db)
        async with db.transaction(PLATFORM) as tx:
            furnished = await has_keys(tx, PLATFORM)
    if furnished:
        raise NotPossible(
            f"Key files are missing from {keys.folder}, and the database holds mail that was sealed with them. Put "
            "root-*.key and edge.key back from their safe copy: new ones would not open it."
        )
    keys.create_missing()


async def _first_time(settings: Settings, dsns: Dsns) -> None:
    """What a new installation lacks: a key for the service's own organisation, and an acceptable use policy."""
    await _keys_at_hand(settings, dsns)
    async with open_areas(settings, dsns) as areas:
        async with areas.db.transaction(PLATFORM) as tx:
            if not await has_keys(tx, PLATFORM):
                await areas.store.keys.mint_organisation(tx, PLATFORM)
        if await areas.acceptable_use.current() is None:
            given = settings.identity.aup_file
            text = settings.path(given).read_text("utf-8") if given else first_text()
            await areas.acceptable_use.publish(Actor.operator("serve"), text)
