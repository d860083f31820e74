"""What an organisation asks of mail that leaves it, for its local administrators: looked at, changed in two steps.

First the page says what would be different; nothing is done. Then somebody gives a reason and confirms, and exactly
that is put in force: if others have set rules meanwhile they are asked to look again (R113, R115, R146, R151, R159).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from carepost.base.errors import MailError, Malformed
from carepost.directory.access import Verb
from carepost.directory.rules_keeping import RulesKeeping, RulesShown
from carepost.policy.rules import (
    CALLED,
    IN_SUBJECTS,
    NUMBERS,
    OF_PATIENTS,
    PORTAL_LEVELS,
    TEXT_MAX,
    Chosen,
    Detail,
    Measure,
    OutgoingRules,
    RuleChange,
    ServiceRules,
)
from carepost.web.forms import Form
from carepost.web.sealing import SaidNote
from carepost.web.shell import Door, On, Visit
from carepost.web.words import long_time

HERE = "/admin/policy"
_WORDS: Mapping[Measure, str] = {
    Measure.ADVISE: "Ask to confirm",
    Measure.REASON: "Ask for a reason",
    Measure.ENCRYPT: "By secure link only",
    Measure.BLOCK: "Not at all",
}
_LEVELS = {"L1": "A code by email (L1)", "L2": "A code, and words agreed by voice (L2)"}
_SAID = {one.value: words for one, words in _WORDS.items()} | _LEVELS


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyPages:
    keeping: RulesKeeping

    def doors(self) -> list[Door]:
        return [
            _door(HERE, "GET", "admin.policy", self.look),
            _door(f"{HERE}/preview", "POST", "admin.policy.preview", self.preview),
            _door(f"{HERE}/apply", "POST", "admin.policy.apply", self.apply),
        ]

    async def look(self, visit: Visit) -> Response:
        return await self._show(visit, Form())

    async def preview(self, visit: Visit) -> Response:
        """What would be different."""
        form, me = visit.form, visit.me
        try:
            chosen = chosen_in(form, self.keeping.policy.service)
            changes = await self.keeping.preview(me.actor, me.organisation, chosen)
        except Malformed as error:
            form.wrong("rules", error.public)
            return await self._show(visit, form)
        return self._ask(visit, form, changes)

    async def apply(self, visit: Visit) -> Response:
        """Put in force what was shown."""
        form, me = visit.form, visit.me
        reason = form.require("reason", "Say why: it is kept with the rules")
        try:
            chosen = chosen_in(form, self.keeping.policy.service)
            if not form.is_right:
                changes = await self.keeping.preview(me.actor, me.organisation, chosen)
                return self._ask(visit, form, changes)
            rules = await self.keeping.set(
                me.actor, me.organisation, chosen, after=form.number("version") or 0, reason=reason
            )
        except MailError as error:
            form.wrong("rules", error.public)
            return await self._show(visit, form)
        return visit.go(HERE, SaidNote(f"Version {rules.version} is in force: it counts within seconds."))

    async def _show(self, visit: Visit, form: Form) -> Response:
        me, zone = visit.me, visit.house.policy.zone
        shown = await self.keeping.show(me.actor, me.organisation)
        service, typed = self.keeping.policy.service, form.values
        page = visit.page_again if form.errors else visit.page
        return page(
            "admin/policy.html",
            title="Mail that leaves",
            form=form,
            organisation=me.organisation_name,
            rows=_rows(shown.rules, service, typed),
            levels=_options("portal_level", PORTAL_LEVELS, _LEVELS, service.portal_level, shown.rules, typed),
            numbers=[
                {
                    "name": name,
                    "label": words,
                    "value": typed.get(name, str(getattr(shown.rules, name))),
                    "most": getattr(service, name),
                }
                for name, words in NUMBERS.items()
            ],
            texts=_texts(shown, typed),
            service_disclaimer=service.disclaimer,
            text_max=TEXT_MAX,
            version=shown.rules.version,
            versions=[
                {
                    "number": one.version,
                    "at": long_time(one.set_at.astimezone(zone)),
                    "by": one.set_by or "the operator",
                    "reason": one.reason,
                }
                for one in shown.versions
            ],
        )

    def _ask(self, visit: Visit, form: Form, changes: Sequence[RuleChange]) -> Response:
        page = visit.page_again if form.errors else visit.page
        return page(
            "admin/policy_change.html",
            title="What would be different",
            form=form,
            changes=[
                {"what": one.what, "was": _SAID.get(one.was, one.was), "becomes": _SAID.get(one.becomes, one.becomes)}
                for one in changes
            ],
            kept=[(name, value) for name, value in form.values.items() if name not in {"csrf", "reason"}],
        )


def chosen_in(form: Form, service: ServiceRules) -> Chosen:
    """What the form chooses beyond the service's own. Raises Malformed."""
    text = {one: _measure(form, f"text-{one.value}") for one in Detail}
    subject = {one: _measure(form, f"subject-{one.value}") for one in IN_SUBJECTS}
    numbers: dict[str, Any] = {name: _number(form, name) for name in NUMBERS}
    level = form.text("portal_level") or service.portal_level
    return Chosen(
        text={one: measure for one, measure in text.items() if measure not in {None, service.in_text(one)}},
        subject={one: measure for one, measure in subject.items() if measure not in {None, service.subject}},
        portal_level=None if level == service.portal_level else level,
        disclaimer=None if form.text("own_disclaimer") != "yes" else form.words("disclaimer", TEXT_MAX + 1).strip(),
        guidance=form.words("guidance", TEXT_MAX + 1).strip(),
        **{name: number for name, number in numbers.items() if number != getattr(service, name)},
    )


def _measure(form: Form, name: str) -> Any:
    given = form.text(name)
    if not given:
        return None
    try:
        return Measure(given)
    except ValueError as error:
        raise Malformed("The page did not say which rule was meant. Load it again.") from error


def _number(form: Form, name: str) -> int | None:
    if not form.text(name):
        return None
    number = form.number(name)
    if number is None or number > 100_000:
        raise Malformed(f"{NUMBERS[name]}: give a whole number.")
    return number


def _rows(rules: OutgoingRules, service: ServiceRules, typed: Mapping[str, str]) -> list[Mapping[str, object]]:
    rows: list[Mapping[str, object]] = []
    for one in Detail:
        text, subject = f"text-{one.value}", f"subject-{one.value}"
        rows.append(
            {
                "called": CALLED[one][0].upper() + CALLED[one][1:],
                "patient": one in OF_PATIENTS,
                "text": text,
                "text_options": _measures(service.in_text(one), typed.get(text, rules.text[one].value)),
                "subject": subject if one in rules.subject else "",
                "subject_options": _measures(service.subject, typed.get(subject, rules.subject[one].value))
                if one in rules.subject
                else [],
            }
        )
    return rows


def _measures(floor: Measure, now: str) -> list[tuple[str, str, bool]]:
    return [(one.value, _WORDS[one], one.value == now) for one in Measure if one.rank >= floor.rank]


def _options(  # noqa: PLR0917 - one select, flat
    name: str,
    values: tuple[str, ...],
    words: Mapping[str, str],
    floor: str,
    rules: OutgoingRules,
    typed: Mapping[str, str],
) -> list[tuple[str, str, bool]]:
    now = typed.get(name, getattr(rules, name))
    return [(one, words[one], one == now) for one in values if one >= floor]


def _texts(shown: RulesShown, typed: Mapping[str, str]) -> Mapping[str, object]:
    own = shown.chosen.disclaimer is not None
    return {
        "own_disclaimer": typed.get("own_disclaimer") == "yes" if typed else own,
        "disclaimer": typed.get("disclaimer", shown.chosen.disclaimer or ""),
        "guidance": typed.get("guidance", shown.chosen.guidance),
    }


def _door(path: str, method: str, name: str, enter: Callable[[Visit], Awaitable[Response]]) -> Door:
    return Door(path=path, method=method, name=name, enter=enter, verb=Verb.OUTGOING_RULES_EDIT, on=On.ORGANISATION)
