"""The process that faces strangers: ports 25 and LMTP. It is given no root key, and its database role reads no mail."""

import asyncio
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_network

from carepost.app.areas import database_limits, key_files
from carepost.app.confinement import confine_relay
from carepost.app.observing import CountedInbound, Observing
from carepost.app.repeats import Repeats
from carepost.app.resolving import resolver
from carepost.app.storage import Dsns
from carepost.audit.record import AuditTrail
from carepost.base.address import Domain, EmailAddress
from carepost.base.clock import Clock, SystemClock
from carepost.base.errors import TryLater
from carepost.directory.routing import RoutingPolicy
from carepost.directory.service import Directory, LookupPolicy
from carepost.gateway.carry_out import CarryOut, QuarantinePolicy
from carepost.gateway.checks.everything import CheckPolicy, inbound_checks
from carepost.gateway.deck import shipped_inbound
from carepost.gateway.files.names import MACRO_EXTENSIONS, PROGRAM_EXTENSIONS, BlockPolicy
from carepost.gateway.files.unpack import UnpackLimits
from carepost.gateway.inbound import InboundGateway
from carepost.gateway.known import DirectoryColleagues, DirectoryRegister
from carepost.gateway.model import Via
from carepost.infra.clamd import Clamd, ClamdLimits
from carepost.infra.db import Database
from carepost.infra.durability import insist_on_durability
from carepost.infra.log import get_logger
from carepost.infra.migrate import check_version
from carepost.infra.settings import Settings
from carepost.infra.tls import ServerTls
from carepost.ops.health import Look
from carepost.protocols.smtp.limits import SmtpLimits, SpoolLimits
from carepost.protocols.smtp.relay import Relay, RelaySettings
from carepost.protocols.smtp.server import SmtpServer
from carepost.protocols.smtp.spool import Spools
from carepost.protocols.smtp.throttle import Throttle

_MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class RelaySockets:
    """Opened by the parent, shared by all relay processes."""

    smtp: Sequence[socket.socket] = ()
    lmtp: Sequence[socket.socket] = ()

    @property
    def all(self) -> tuple[socket.socket, ...]:
        return (*self.smtp, *self.lmtp)


async def run_relay(settings: Settings, dsns: Dsns, sockets: RelaySockets, observing: Observing) -> None:
    """Serve until cancelled; conversations in hand are finished, new ones are told 421."""
    confine_relay(settings)
    clock = SystemClock()
    async with Database.open(
        dsns.relay,
        pool_min=settings.database.pool_min,
        pool_max=settings.database.pool_max,
        role="carepost_relay",
        limits=database_limits(settings),
    ) as db:
        await check_version(db)
        await insist_on_durability(db)
        directory = Directory(db=db, clock=clock, policy=LookupPolicy(routing=_routing(settings)))
        watch = observing.watch(db)
        walk = inbound_gateway(settings, db, directory, clock)
        gateway = CountedInbound(walk, observing.gauges, watch, Repeats(clock))
        tls = server_tls(settings)
        spools = _spools(settings)
        servers = [
            (_server(settings, via, directory=directory, gateway=gateway, spools=spools, tls=tls), listening)
            for via, listening in ((Via.SMTP, sockets.smtp), (Via.LMTP, sockets.lmtp))
            if listening
        ]
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            serving = [group.create_task(server.serve(listening, stop)) for server, listening in servers]
            group.create_task(watch.run())
            group.create_task(
                observing.health("relay", db, watch, {"scanner": _scanner_look(settings)}).serve(observing.sockets)
            )
            if tls is not None:
                group.create_task(tls.watch(get_logger("relay").info))
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                # Messages in hand are finished before the cancellation goes on: their senders are waiting for a word.
                stop.set()
                await asyncio.wait(serving)
                raise


def inbound_gateway(settings: Settings, db: Database, directory: Directory, clock: Clock) -> InboundGateway:
    """The walk every message takes, with the checks and cards that the settings ask for."""
    checks = inbound_checks(
        resolver=resolver(settings),
        known=DirectoryRegister(directory),
        colleagues=DirectoryColleagues(directory=directory, clock=clock),
        scanner=scanner(settings),
        policy=check_policy(settings),
    )
    held_for = timedelta(days=settings.gateway.quarantine_days)
    carry_out = CarryOut(
        db=db,
        audit=AuditTrail(clock=clock),
        edge=key_files(settings).edge(),
        policy=QuarantinePolicy(held_for=held_for),
    )
    return InboundGateway(checks=checks, deck=shipped_inbound(), carry_out=carry_out, clock=clock)


def check_policy(settings: Settings) -> CheckPolicy:
    """The numbers and lists of the checks."""
    further = frozenset(ending.lower().lstrip(".") for ending in settings.gateway.blocked_extensions)
    return CheckPolicy(
        blocked=BlockPolicy(programs=PROGRAM_EXTENSIONS | further, macros=MACRO_EXTENSIONS),
        unpack=UnpackLimits(
            bytes_out=settings.gateway.unpacked_max_mb * _MEGABYTE, depth=settings.gateway.archive_depth
        ),
    )


def server_tls(settings: Settings, *, opportunistic: bool = True) -> ServerTls | None:
    """The certificate of the mail ports; None where there is none, and then STARTTLS is not offered."""
    if not settings.smtp.certificate_file:
        return None
    certificate, key = settings.path(settings.smtp.certificate_file), settings.path(settings.smtp.key_file)
    return ServerTls(certificate, key, opportunistic=opportunistic)


def scanner(settings: Settings) -> Clamd | None:
    """clamd, when the settings name one."""
    if not settings.gateway.clamd:
        return None
    turns = settings.gateway.scans_at_once or max(1, (os.cpu_count() or 1) // max(1, settings.workers.relay))
    return Clamd(settings.gateway.clamd, ClamdLimits(scan_seconds=settings.gateway.scanner_seconds, turns=turns))


def _scanner_look(settings: Settings) -> Look:
    clamd = scanner(settings)

    async def look() -> str | None:
        if clamd is None:
            return None
        try:
            await clamd.version()
        except TryLater:
            return "The malware scanner does not answer: mail is told to come back later."
        return None

    return look


def _spools(settings: Settings) -> Spools:
    folder = settings.path(settings.smtp.spool)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Spools(folder, SpoolLimits(disk_free_min=settings.limits.disk_free_mb * _MEGABYTE))


def _routing(settings: Settings) -> RoutingPolicy:
    named = settings.smtp.postmaster
    return RoutingPolicy(
        postmaster=EmailAddress.parse(named) if named else None, hostname=Domain.parse(settings.service.hostname)
    )


def _server(
    settings: Settings,
    via: Via,
    *,
    directory: Directory,
    gateway: CountedInbound,
    spools: Spools,
    tls: ServerTls | None,
) -> SmtpServer:
    given = settings.smtp
    limits = SmtpLimits(
        message_max_mb=given.message_max_mb,
        recipients_max=given.recipients_max,
        connections_total=given.connections_max,
        connections_per_client=given.connections_per_client,
        command_timeout=given.command_seconds,
        # The parent ends by force whoever is not done by `stop_seconds`.
        shutdown_grace=max(1.0, settings.workers.stop_seconds - 2),
    )
    trusted = [ip_network(network, strict=False) for network in given.trusted_xclient]
    relay = Relay(
        routes=directory,
        inbound=gateway,
        spools=spools,
        throttle=Throttle(limits, exempt=trusted),
        clock=directory.clock,
        settings=RelaySettings(hostname=settings.service.hostname, limits=limits, via=via),
    )
    return SmtpServer(relay=relay, tls=lambda: tls.context if tls else None, trusted=trusted)
