"""What is packed in the attachments, to five levels, within a budget. R133, M4.

An archive that cannot be looked through is a finding, never a pass: bombs, damage, locks, kinds we cannot open.
"""

from collections.abc import Callable
from functools import partial
from time import monotonic

from carepost.gateway.checks.reports import as_findings, is_file
from carepost.gateway.contents import By, Content
from carepost.gateway.examine import aside
from carepost.gateway.files.inspect import Inspector, Report, holds_files, is_message
from carepost.gateway.files.kinds import Kind, kind_of
from carepost.gateway.files.names import BlockPolicy
from carepost.gateway.files.unpack import UnpackLimits
from carepost.gateway.model import Check, Examination, Finding

NAME = "archives"
# Unpacking costs far more than its input: anything but the smallest archive is taken apart in a thread.
_COSTS = 20


def archives(policy: BlockPolicy, limits: UnpackLimits, is_malware: Callable[[bytes], str | None]) -> Check:
    async def look(examination: Examination) -> list[Finding]:
        packed = [(file.data, file.names) for file in examination.contents.files if _is_worth_opening(file)]
        if not packed:
            return []
        size = sum(len(data) for data, _ in packed) * _COSTS
        work = partial(_depths, packed, policy, limits, is_malware)
        return as_findings(await aside(size, work), NAME)

    return Check(NAME, look)


def _is_worth_opening(file: Content) -> bool:
    """Packed files and messages, and parts that were packed without their header. A letter quoted in text is text."""
    kind = kind_of(file.data)
    if kind is Kind.TEXT:
        return is_message(kind, file.data)
    return holds_files(kind, file.data) and (is_file(file) or (kind is Kind.MESSAGE and file.by is not By.US))


def _depths(
    packed: list[tuple[bytes, tuple[str, ...]]],
    policy: BlockPolicy,
    limits: UnpackLimits,
    is_malware: Callable[[bytes], str | None],
) -> list[Report]:
    began = monotonic()
    inspector = Inspector(
        policy=policy, limits=limits, spent_seconds=lambda: monotonic() - began, is_malware=is_malware
    )
    return [report for data, names in packed for report in inspector.depths(data, names)]
