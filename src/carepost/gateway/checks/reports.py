"""Which contents are files, and reports about files as findings. Shared by checks; it checks nothing itself."""

from collections.abc import Iterable

from carepost.gateway.contents import By, Content
from carepost.gateway.files.inspect import Report
from carepost.gateway.files.kinds import Kind, kind_of
from carepost.gateway.files.traits import Trait
from carepost.gateway.model import Finding

# What a body may be; anything else is a file, even if it claims to be the text.
_BODIES = frozenset({Kind.TEXT, Kind.PAGE, Kind.MESSAGE, Kind.UNKNOWN, Kind.PICTURE})
_NOTED = frozenset({Trait.SCRIPTED, Trait.DAMAGED})
_MOST = 20  # findings of one check: enough to decide and to explain


def is_file(content: Content) -> bool:
    """Something to open rather than to read. What only a forgiving reader finds counts when it is plainly a file."""
    if content.is_attachment or (content.names and content.by is By.US):
        return True
    kind = kind_of(content.data)
    if content.by is By.FORGIVING:
        return kind not in _BODIES | {Kind.OTHER_ARCHIVE, Kind.SOUND_OR_FILM} or bool(content.names)
    return kind not in _BODIES


def as_findings(reports: Iterable[Report], check: str) -> list[Finding]:
    """One finding for each different thing that was seen; the grave ones first."""
    findings: dict[tuple[str, str], Finding] = {}
    for report in reports:
        says = _sentence(report)
        trait = report.seen.trait
        weight = 1 if trait in _NOTED else 3
        findings.setdefault((trait, says), Finding(code=trait.value, weight=weight, says=says, check=check))
    return _every_code_first(sorted(findings.values(), key=lambda finding: -finding.weight))[:_MOST]


def _every_code_first(findings: list[Finding]) -> list[Finding]:
    """No code may be crowded out by many findings of another."""
    first = {finding.code: finding for finding in reversed(findings)}
    leading = [finding for finding in findings if first[finding.code] is finding]
    return leading + [finding for finding in findings if first[finding.code] is not finding]


def _sentence(report: Report) -> str:
    inside = " in " + " in ".join(f"“{name}”" for name in reversed(report.inside)) if report.inside else ""
    return f"The file “{report.name}”{inside} {report.seen.says}."
