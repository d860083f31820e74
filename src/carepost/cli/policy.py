"""`carepost policy`: what each organisation asks of mail that leaves it; and who is excused from mandatory TLS."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from carepost.base.errors import Malformed, NotPossible
from carepost.cli import common
from carepost.cli.common import ConfigOption, JsonOption

if TYPE_CHECKING:
    from carepost.app.areas import Areas
    from carepost.directory.model import Organisation, TlsException
    from carepost.directory.rules_keeping import RulesShown
    from carepost.directory.tls_exceptions import TlsExceptions
    from carepost.policy.rules import Chosen, OutgoingRules, RuleChange

policy = typer.Typer(no_args_is_help=True, help="What an organisation asks of mail that leaves it.")
exceptions = typer.Typer(no_args_is_help=True, help="Secure domains that are excused from mandatory TLS for a time.")

Code = Annotated[str, typer.Argument(metavar="CODE", help="The organisation's code, such as A81001.")]
DomainName = Annotated[str, typer.Argument(metavar="DOMAIN", help="A domain on the register of secure domains.")]
_SERVICE = "service"  # the value that goes back to the service's own


def add_to(app: typer.Typer) -> None:
    app.add_typer(policy, name="policy")
    app.add_typer(exceptions, name="tls-exceptions")


@policy.command("show")
def show(code: Code, *, json: JsonOption = False, config: ConfigOption = None) -> None:
    """The rules in force, and every version so far."""

    async def work(areas: "Areas") -> "RulesShown":
        from carepost.app.mail_out import rules_keeping

        found = await _organisation(areas, code)
        return await rules_keeping(areas).show(common.operator(), found.id)

    shown = common.with_areas(config, work)
    if json:
        versions = [
            {"version": one.version, "at": one.set_at, "by": one.set_by, "reason": one.reason} for one in shown.versions
        ]
        common.show({"rules": dict(_lines(shown.rules)), "versions": versions})
        return
    common.table(("rule", "in force"), [(name, value) for name, value in _lines(shown.rules)])
    for one in shown.versions:
        by = one.set_by or "the operator"
        common.say(f"version {one.version}, {one.set_at:%Y-%m-%d %H:%M} by {by}: {one.reason}")


@policy.command("set")
def set_rules(
    code: Code,
    rules: Annotated[
        list[str],
        typer.Argument(
            metavar="RULE=VALUE...",
            help="As `show` names them: text.passport=block, subject.nhs-number=reason, portal_level=L2, "
            'disclaimer=@FILE. The value "service" goes back to the service\'s own.',
        ),
    ],
    reason: Annotated[str, typer.Option(help="Why. Kept with the rules and in the audit log.")],
    *,
    apply: Annotated[bool, typer.Option("--apply", help="Do it. Without this the changes are only shown.")] = False,
    config: ConfigOption = None,
) -> None:
    """Change rules of one organisation: stricter than the service, never laxer."""

    async def work(areas: "Areas") -> "tuple[list[RuleChange], int]":
        from carepost.app.mail_out import rules_keeping

        keeping, organisation = rules_keeping(areas), (await _organisation(areas, code)).id
        shown = await keeping.show(common.operator(), organisation)
        chosen = chosen_with(shown.chosen, rules)
        changes = await keeping.preview(common.operator(), organisation, chosen)
        if not apply:
            return changes, 0
        made = await keeping.set(common.operator(), organisation, chosen, after=shown.rules.version, reason=reason)
        return changes, made.version

    changes, version = common.with_areas(config, work)
    for one in changes:
        common.say(f"{one.what}: {one.was} -> {one.becomes}")
    if not changes:
        common.say("Nothing would be different in force.")
    common.say(f"Version {version} is in force." if version else "Nothing was changed. To do it, give --apply as well.")


@exceptions.command("list")
def list_exceptions(*, json: JsonOption = False, config: ConfigOption = None) -> None:
    """Every exception; those that have ended count for nothing."""

    async def work(areas: "Areas") -> "list[tuple[TlsException, bool]]":
        now = areas.clock.now()
        return [(one, one.until <= now) for one in await _exceptions(areas).all()]

    found = common.with_areas(config, work)
    if json:
        common.show([{"domain": one.domain.name, "until": one.until, "reason": one.reason} for one, _ in found])
        return
    rows: list[tuple[object, ...]] = [
        (one.domain, f"{'ended' if ended else 'until'} {one.until:%Y-%m-%d}", one.reason) for one, ended in found
    ]
    common.table(("domain", "excused", "why"), rows)


@exceptions.command("make")
def make_exception(
    name: DomainName,
    reason: Annotated[str, typer.Option(help="Why. Kept in the audit log.")],
    *,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The last day; 14 days if not given.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Let mail to a secure domain leave without checked encryption for a time: never what is sensitive (R107)."""
    from carepost.base.address import Domain

    async def work(areas: "Areas") -> "TlsException":
        end = None if until is None else until.replace(tzinfo=UTC) + timedelta(days=1)
        return await _exceptions(areas).make(common.operator(), Domain.parse(name), reason=reason, until=end)

    made = common.with_areas(config, work)
    common.say(
        f"{made.domain} is excused until {made.until:%Y-%m-%d}. What is sensitive goes by secure link meanwhile."
    )


@exceptions.command("end")
def end_exception(
    name: DomainName,
    reason: Annotated[str, typer.Option(help="Why. Kept in the audit log.")],
    config: ConfigOption = None,
) -> None:
    """Take an exception back: the domain has to offer checked encryption again."""
    from carepost.base.address import Domain

    async def work(areas: "Areas") -> None:
        await _exceptions(areas).end(common.operator(), Domain.parse(name), reason=reason)

    common.with_areas(config, work)
    common.say(f"{name} has to offer checked encryption again.")


def _lines(rules: "OutgoingRules") -> list[tuple[str, str]]:
    from carepost.policy.rules import NUMBERS

    lines = [(f"text.{one.value}", measure.value) for one, measure in rules.text.items()]
    lines += [(f"subject.{one.value}", measure.value) for one, measure in rules.subject.items()]
    lines += [(name, str(getattr(rules, name))) for name in ("portal_level", *NUMBERS)]
    return [*lines, ("disclaimer", rules.disclaimer or "none"), ("guidance", rules.guidance or "none")]


def chosen_with(chosen: "Chosen", rules: list[str]) -> "Chosen":
    """Raises Malformed for a rule that there is not."""
    from carepost.policy.rules import Chosen

    raw: dict[str, Any] = msgspec.to_builtins(chosen)
    for rule in rules:
        name, equals, value = rule.partition("=")
        if not equals:
            raise Malformed(f"“{rule}” is no rule: write its name, an equals sign and its value.")
        table, dot, detail = name.partition(".")
        if dot and table in {"text", "subject"}:
            place, key = raw.setdefault(table, {}), detail
        else:
            place, key = raw, name
        if value == _SERVICE:
            place.pop(key, None)
        else:
            place[key] = _value(name, value)
    if strange := raw.keys() - set(Chosen.__struct_fields__):
        raise Malformed(f"There is no rule “{min(strange)}”. `carepost policy show` names them all.")
    try:
        return msgspec.convert(raw, Chosen, str_keys=True)
    except msgspec.ValidationError as error:
        raise Malformed(
            "There is no such rule, or not with this value. `carepost policy show` names them all."
        ) from error


def _value(name: str, value: str) -> object:
    from carepost.policy.rules import NUMBERS

    if value.startswith("@") and name in {"disclaimer", "guidance"}:
        try:
            return Path(value[1:]).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise NotPossible(f"{value[1:]} could not be read: {type(error).__name__}.") from error
    return int(value) if name in NUMBERS and value.isascii() and value.isdigit() else value


def _exceptions(areas: "Areas") -> "TlsExceptions":
    from carepost.directory.tls_exceptions import TlsExceptions

    return TlsExceptions(db=areas.db, directory=areas.directory.look, audit=areas.audit, clock=areas.clock)


async def _organisation(areas: "Areas", code: str) -> "Organisation":
    found = await areas.directory.look.organisation_by_code(code)
    if found is None:
        raise NotPossible(f"There is no organisation with the code {code.upper()}. See `carepost org list`.")
    return found
