"""Reports about files, as findings. Shared by the checks that look at files; it checks nothing itself."""

from collections.abc import Iterable

from carepost.gateway.files.inspect import Report
from carepost.gateway.files.traits import Trait
from carepost.gateway.model import Finding

_NOTED = frozenset({Trait.SCRIPTED, Trait.DAMAGED})
_MOST = 20  # findings of one check: enough to decide and to explain


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
