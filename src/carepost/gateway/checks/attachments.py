"""What kind of file is attached, whatever it is called: programs, macros, pages that act, deceiving names. R133, M5."""

from functools import partial

from carepost.gateway.checks.reports import as_findings
from carepost.gateway.contents import By, Content, Contents
from carepost.gateway.examine import aside
from carepost.gateway.files.inspect import Inspector, Report
from carepost.gateway.files.kinds import Kind, kind_of
from carepost.gateway.files.names import BlockPolicy
from carepost.gateway.model import Check, Examination, Finding

NAME = "attachments"

# What a body may be; anything else is a file, even if it claims to be the text.
_BODIES = frozenset({Kind.TEXT, Kind.PAGE, Kind.MESSAGE, Kind.UNKNOWN, Kind.PICTURE})


def attachments(policy: BlockPolicy) -> Check:
    async def look(examination: Examination) -> list[Finding]:
        contents = examination.contents
        return as_findings(await aside(contents.size, partial(_surfaces, contents, policy)), NAME)

    return Check(NAME, look)


def _surfaces(contents: Contents, policy: BlockPolicy) -> list[Report]:
    inspector = Inspector(policy=policy)
    return [report for file in contents.files if is_file(file) for report in inspector.surface(file.data, file.names)]


def is_file(content: Content) -> bool:
    """Something to open rather than to read. What only a forgiving reader finds counts when it is plainly a file."""
    if content.is_attachment or (content.names and content.by is By.US):
        return True
    kind = kind_of(content.data)
    if content.by is By.FORGIVING:
        return kind not in _BODIES | {Kind.OTHER_ARCHIVE, Kind.SOUND_OR_FILM} or bool(content.names)
    return kind not in _BODIES
