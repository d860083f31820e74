"""Gathers what `carepost doctor` and `carepost dns` look at, for these settings."""

import asyncio
import json
from collections.abc import Sequence
from ipaddress import ip_address

from carepost.app.areas import Areas, key_files, open_areas
from carepost.app.delivery_rooms import delivery_rooms, signed_domains
from carepost.app.relay import scanner
from carepost.app.resolving import resolver
from carepost.app.storage import storage
from carepost.app.transport import own_sts_policy
from carepost.base.clock import SystemClock
from carepost.base.errors import MailError, TryLater
from carepost.infra.settings import Settings
from carepost.ops import doctor, publish
from carepost.ops.doctor import Found, Standing

_PATIENCE_SECONDS = 10


async def check_up(settings: Settings) -> list[Found]:
    """Everything, in an order that puts causes before consequences. Never raises for what it finds."""
    mail = settings.path(settings.smtp.certificate_file) if settings.smtp.certificate_file else None
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = [
        doctor.user(),
        doctor.clock(),
        doctor.hostname(settings.service.hostname),
        doctor.disk(settings.data, settings.limits.disk_free_mb),
        doctor.keys_folder(settings.path(settings.keys.folder)),
        doctor.certificate("certificate", mail, SystemClock().now()),
    ]
    found += await _database(settings)
    found.append(await _scanner(settings))
    found += await _running(settings)
    return found


async def dns_records(settings: Settings, addresses: Sequence[str]) -> list[publish.Record]:
    """The records for our own domains; those of the host need its public addresses."""

    async def domains(areas: Areas) -> list[publish.Record]:
        own = sorted(await areas.directory.look.own_domains(), key=str)
        report_to = f"postmaster@{own[0] if own else settings.service.hostname}"
        return publish.wanted(
            settings.service.hostname,
            own,
            [ip_address(address) for address in addresses],
            report_to=report_to,
            signing=await signed_domains(areas, delivery_rooms(areas)),
            sts=own_sts_policy(settings),
        )

    async with storage(settings) as dsns, open_areas(settings, dsns) as areas:
        return await domains(areas)


async def _database(settings: Settings) -> list[Found]:
    if not key_files(settings).folder.exists():
        return [Found("database", Standing.MIND, "Nothing has run here yet.", "Start `carepost serve`.")]
    try:
        async with storage(settings) as dsns, open_areas(settings, dsns) as areas:
            found = [Found("database", Standing.WELL, "It answers, its schema fits, and it keeps what it commits.")]
            found.append(await _publication(settings, areas))
            return [*found, *await _waiting(areas), *await _queue(areas)]
    except MailError as error:
        return [Found("database", Standing.WRONG, error.public, "See the log in the data folder; then try again.")]


async def _publication(settings: Settings, areas: Areas) -> Found:
    own = sorted(await areas.directory.look.own_domains(), key=str)
    if not own:
        return Found("dns", Standing.MIND, "There is no mail domain of ours yet.", "carepost domain add DOMAIN")
    signing = await signed_domains(areas, delivery_rooms(areas))
    report_to, sts = f"postmaster@{own[0]}", own_sts_policy(settings)
    records = publish.wanted(settings.service.hostname, own, [], report_to=report_to, signing=signing, sts=sts)
    checked = await publish.check(resolver(settings), records)
    wrong = [one for one in checked if one.standing is not publish.Standing.RIGHT]
    if wrong:
        return Found(
            "dns", Standing.MIND, f"{len(wrong)} of {len(checked)} records are not right.", "carepost dns --check"
        )
    return Found("dns", Standing.WELL, f"All {len(checked)} records are right.")


async def _waiting(areas: Areas) -> list[Found]:
    """R145: what is held for long is somebody's mail."""
    found = []
    now = areas.clock.now()
    for organisation in await areas.organisations():
        count, oldest = await areas.gateway.quarantine.waiting(organisation.id)
        if count and oldest is not None:
            hours = int((now - oldest).total_seconds() // 3600)
            says = f"{organisation.name}: {count} messages wait, the oldest for {hours} hours."
            found.append(Found("quarantine", Standing.MIND, says, "Somebody should look: carepost quarantine list"))
    return found or [Found("quarantine", Standing.WELL, "Nothing waits.")]


async def _queue(areas: Areas) -> list[Found]:
    """C2 and R145: every recipient accounted for, none waiting without somebody knowing."""
    rooms = delivery_rooms(areas)
    found = []
    for organisation in await areas.organisations():
        count = await rooms.upkeep.reconcile(organisation.id)
        if count.unaccounted:
            says = f"{organisation.name}: {count.unaccounted} recipients of the delivery queue were not accounted for."
            found.append(Found("delivery", Standing.WRONG, says, "Those without a turn have one again. Report this."))
    standing = await rooms.queue.standing()
    if standing.too_long:
        minutes = areas.settings.delivery.alarm_minutes
        says = f"{standing.too_long} recipients have been queued for over {minutes} minutes."
        if standing.tls_missing:
            says += f" {standing.tls_missing} of them because their systems cannot be reached securely."
        found.append(Found("delivery", Standing.MIND, says, "Look at the log; senders are told of delays."))
    return found or [Found("delivery", Standing.WELL, f"{standing.waiting} recipients are queued; all accounted for.")]


async def _scanner(settings: Settings) -> Found:
    clamd = scanner(settings)
    if clamd is None:
        return Found(
            "scanner", Standing.MIND, "No clamd: only the built-in checks look for malware.", "Set gateway.clamd."
        )
    try:
        return Found("scanner", Standing.WELL, await clamd.version())
    except TryLater:
        return Found(
            "scanner",
            Standing.WRONG,
            f"clamd at {settings.gateway.clamd} does not answer: all mail is told to come back later.",
            "Start clamd, or correct gateway.clamd.",
        )


async def _running(settings: Settings) -> list[Found]:
    found = []
    for address in settings.observe.listen:
        host, _, port = address.rpartition(":")
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
                writer.write(b"GET /readyz HTTP/1.1\r\n\r\n")
                _, _, body = (await reader.read()).partition(b"\r\n\r\n")
                writer.close()
            told = json.loads(body)
        except (OSError, TimeoutError, ValueError):
            found.append(Found("service", Standing.MIND, f"Nothing answers on {address}.", "Start `carepost serve`."))
            continue
        found.append(doctor.ready("service", list(told["wrong"].values())))
    return found
