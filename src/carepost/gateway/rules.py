"""An organisation's rules about details, put to what was found in a message: what they ask, in its own name. PURE.

Promises
    Every sentence names the organisation whose rule it is; none repeats a number.
    Where it could not be found out whether a detail stands in the message, and the rule is that it may not leave, that
    is said too: the cards then hold.
    Without these findings the cards send such details by secure link only: nothing is milder because a rule is missing.

R113, R159; docs/explain/rules.md. What is in force is looked up by `directory/rules_keeping.py`.
"""

from collections.abc import Iterable, Mapping, Sequence

from carepost.gateway.disclosure import DISCLOSURE, UNREAD
from carepost.gateway.facts import CHECK_FAILED
from carepost.gateway.model import Finding
from carepost.message.identifiers import Where
from carepost.policy.rules import CALLED, Detail, Measure, OutgoingRules, stricter

RULES = "rules"  # the name of the check
BLOCKS, ASKS_REASON, ADVISES = "rule-blocks", "rule-asks-reason", "rule-advises"
SUBJECT_BLOCKS, SUBJECT_LINK, SUBJECT_REASON = "rule-subject-blocks", "rule-subject-link", "rule-subject-reason"
_IN_THE_OPEN = frozenset({Where.SUBJECT.value, Where.HEADER.value, Where.NAME.value})
_DETAILS = frozenset(one.value for one in Detail)
_HOME = "Your organisation"


def rule_findings(findings: Sequence[Finding], rules: OutgoingRules) -> list[Finding]:
    """What the rules say about what was found."""
    whole = {Detail(one.code) for one in findings if one.code in _DETAILS}
    open_ = {
        Detail(one.code) for one in findings if one.code in _DETAILS and one.facts.get("where") in _IN_THE_OPEN
    } & rules.subject.keys()
    who = rules.organisation_name or _HOME
    found = [*_of_text(whole, rules.text, who), *_of_subject(open_, rules.subject, who)]
    return [*found, *_not_known(findings, rules, {one.code for one in found})]


def _of_text(details: set[Detail], rules: Mapping[Detail, Measure], who: str) -> Iterable[Finding]:
    if not details:
        return
    match stricter(*(rules[one] for one in details)):
        case Measure.BLOCK:
            what = _named(details, rules, Measure.BLOCK)
            yield _finding(BLOCKS, 3, f"{who} does not let {what} leave, by a secure link neither.")
        case Measure.REASON:
            what = _named(details, rules, Measure.REASON)
            yield _finding(ASKS_REASON, 2, f"{who} asks for a reason before {what} leaves by ordinary email.")
        case Measure.ADVISE:
            what = _named(details, rules, Measure.ADVISE)
            yield _finding(ADVISES, 2, f"{who} asks you to look again before {what} leaves by ordinary email.")
        case Measure.ENCRYPT:
            pass  # the cards do that by themselves


def _of_subject(details: set[Detail], rules: Mapping[Detail, Measure], who: str) -> Iterable[Finding]:
    if not details:
        return
    where = "in a subject or a file's name"
    match stricter(*(rules[one] for one in details)):
        case Measure.BLOCK:
            says = f"{who} does not let {_named(details, rules, Measure.BLOCK)} leave {where}. Take it out of it."
            yield _finding(SUBJECT_BLOCKS, 3, says)
        case Measure.ENCRYPT:
            what = _named(details, rules, Measure.ENCRYPT)
            yield _finding(SUBJECT_LINK, 2, f"{who} lets {what} {where} leave by a secure link only.")
        case Measure.REASON:
            what = _named(details, rules, Measure.REASON)
            yield _finding(SUBJECT_REASON, 2, f"{who} asks for a reason before {what} leaves {where}.")
        case Measure.ADVISE:
            pass  # the card asks by itself


def _not_known(findings: Sequence[Finding], rules: OutgoingRules, said: set[str]) -> Iterable[Finding]:
    blind = any(one.code == CHECK_FAILED and one.facts.get("check") == DISCLOSURE for one in findings)
    who = rules.organisation_name or _HOME
    unread = blind or any(one.code == UNREAD for one in findings)
    if unread and BLOCKS not in said and Measure.BLOCK in rules.text.values():
        yield _not_judged(BLOCKS, who)
    if blind and SUBJECT_BLOCKS not in said and Measure.BLOCK in rules.subject.values():
        yield _not_judged(SUBJECT_BLOCKS, who)


def _named(details: set[Detail], rules: Mapping[Detail, Measure], measure: Measure) -> str:
    named = [CALLED[one] for one in Detail if one in details and rules[one] is measure]
    return f"{', '.join(named[:-1])} or {named[-1]}" if len(named) > 1 else named[0]


def _not_judged(rule: str, who: str) -> Finding:
    says = f"{who} lets some details leave by no way at all, and not everything in the message could be read."
    return Finding(code=CHECK_FAILED, weight=3, says=says, check=rule, facts={"check": rule})


def _finding(code: str, weight: int, says: str) -> Finding:
    return Finding(code=code, weight=weight, says=says, check=RULES, facts={})
