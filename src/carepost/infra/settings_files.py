"""Settings of files too large for email: a section of the settings, in a module of its own."""

from typing import Annotated

from carepost.infra.settings_file import Table, says


class Files(Table, frozen=True, kw_only=True):
    """Files too large for email, which go by a link (R127)."""

    file_max_mb: Annotated[int, says("The largest file, in megabytes.", ge=1, le=100_000)] = 2_000
    mailbox_max_mb: Annotated[int, says("What all large files of one mailbox may come to, in megabytes.", ge=1)] = (
        20_000
    )
    kept_days: Annotated[
        int, says("How long a file can be fetched after its message has left; then it is deleted.", ge=1, le=365)
    ] = 28
    unfinished_hours: Annotated[
        int, says("An upload that nobody goes on with for so long is deleted, as is a refused file.", ge=1, le=720)
    ] = 48
    scanner_max_mb: Annotated[
        int,
        says(
            "The least of clamd's StreamMaxLength, MaxFileSize and MaxScanSize. A larger file counts as not scanned, "
            "and the card not-scanned holds its message for a person.",
            ge=1,
        ),
    ] = 100
    scan_minutes: Annotated[int, says("How long the malware scanner may look at one file.", ge=1, le=120)] = 15
