"""Files too large for email, put together: for the pages, the portal, the outbound walk and the worker."""

from datetime import timedelta

from carepost.app.areas import Areas
from carepost.app.relay import check_policy
from carepost.base.errors import MailError
from carepost.gateway.file_look import FileLook, FileLookPolicy
from carepost.gateway.out.files import FilesOut
from carepost.infra.clamd import Clamd
from carepost.infra.log import get_logger
from carepost.infra.settings import Settings
from carepost.store.large_files import FilePolicy, LargeFiles

log = get_logger("files")

_MEGABYTE = 1_000_000


def file_policy(settings: Settings) -> FilePolicy:
    given = settings.files
    return FilePolicy(
        octets_max=given.file_max_mb * _MEGABYTE,
        mailbox_octets_max=given.mailbox_max_mb * _MEGABYTE,
        kept_for=timedelta(days=given.kept_days),
        unfinished_for=timedelta(hours=given.unfinished_hours),
    )


def large_files(areas: Areas) -> LargeFiles:
    return LargeFiles(
        db=areas.db, keys=areas.store.keys, audit=areas.audit, clock=areas.clock, policy=file_policy(areas.settings)
    )


def files_out(areas: Areas) -> FilesOut:
    """As the outbound walk is given them."""
    return FilesOut(files=large_files(areas), pages=areas.settings.web.url)


def file_look(areas: Areas) -> FileLook:
    """Whoever looks at what was uploaded. The scanner reads for minutes: it has places of its own."""
    settings = areas.settings
    policy = FileLookPolicy(
        scanner_octets_max=settings.files.scanner_max_mb * _MEGABYTE,
        scan_seconds=settings.files.scan_minutes * 60.0,
        blocked=check_policy(settings).blocked,
    )
    scanner = Clamd(settings.gateway.clamd) if settings.gateway.clamd else None
    return FileLook(files=large_files(areas), scanner=scanner, policy=policy)


async def tend_files(areas: Areas) -> int:
    """The chore: look at what nobody waits for, delete what has ended."""
    look, done = file_look(areas), 0
    for organisation in await areas.organisations():
        try:
            done += await look.files.tidy(organisation.id)
            done += await look.look_at_all(organisation.id)
        except MailError as error:
            log.warning("large files could not be tended", organisation=int(organisation.id), error=error)
    return done
