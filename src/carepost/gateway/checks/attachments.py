"""What kind of file is attached, whatever it is called: programs, macros, pages that act, deceiving names. R133, M5."""

from functools import partial

from carepost.gateway.checks.reports import as_findings, is_file
from carepost.gateway.contents import Contents
from carepost.gateway.examine import aside
from carepost.gateway.files.inspect import Inspector, Report
from carepost.gateway.files.names import BlockPolicy
from carepost.gateway.model import Check, Examination, Finding

NAME = "attachments"


def attachments(policy: BlockPolicy) -> Check:
    async def look(examination: Examination) -> list[Finding]:
        contents = examination.contents
        return as_findings(await aside(contents.size, partial(_surfaces, contents, policy)), NAME)

    return Check(NAME, look)


def _surfaces(contents: Contents, policy: BlockPolicy) -> list[Report]:
    inspector = Inspector(policy=policy)
    return [report for file in contents.files if is_file(file) for report in inspector.surface(file.data, file.names)]
