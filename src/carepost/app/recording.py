"""What the operator did, written into the record where no room is open that would do it."""

from carepost.app.storage import Dsns
from carepost.audit.events import BackupMade as BackupWasMade
from carepost.audit.model import PLATFORM, Actor
from carepost.audit.record import AuditTrail
from carepost.base.clock import Clock
from carepost.infra.db import Database
from carepost.ops.backup import BackupMade


async def record_backup(dsns: Dsns, clock: Clock, actor: Actor, made: BackupMade) -> None:
    """Needs no key: whoever makes backups may have none."""
    async with Database.open(dsns.app, pool_min=1, pool_max=1, role="carepost_app") as db:
        await note_backup(db, clock, actor, made)


async def note_backup(db: Database, clock: Clock, actor: Actor, made: BackupMade) -> None:
    async with db.transaction(PLATFORM) as tx:
        await AuditTrail(clock=clock).record(tx, actor, BackupWasMade(bytes=made.octets, rows=made.rows))
