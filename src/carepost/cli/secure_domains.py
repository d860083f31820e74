"""`carepost secure-domains` and `carepost prompts`: who counts as secure, and how often people are asked."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from carepost.cli import common
from carepost.cli.common import ConfigOption, JsonOption

if TYPE_CHECKING:
    from carepost.app.areas import Areas
    from carepost.directory.model import SecureDomain
    from carepost.directory.register_file import RegisterDiff
    from carepost.directory.register_keeping import RegisterKeeping, RegisterPage
    from carepost.gateway.out.prompts import PromptReport

secure_domains = typer.Typer(no_args_is_help=True, help="The register of secure domains: who gets mail without a link.")

Name = Annotated[str, typer.Argument(metavar="DOMAIN", help="The domain.")]
_SHOWN_MAX = 200  # lines of a diff that are shown; the rest is counted


def add_to(app: typer.Typer) -> None:
    app.add_typer(secure_domains, name="secure-domains")
    app.command("prompts")(prompts)


@secure_domains.command("list")
def list_domains(
    *,
    search: Annotated[str, typer.Option(help="Only those with this in their name.")] = "",
    after: Annotated[str, typer.Option(help="Go on behind this domain.")] = "",
    limit: Annotated[int, typer.Option(help="How many at a time.", min=1, max=500)] = 50,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """A page of the register, by name."""

    async def work(areas: "Areas") -> "RegisterPage":
        return await _keeping(areas).page(search=search, after=after, limit=limit)

    page, now = common.with_areas(config, work), _now()
    if json:
        common.show([_plain(entry) for entry in page.entries])
        return
    rows: list[tuple[object, ...]] = [
        (
            entry.domain,
            "and all below it" if entry.match.value == "suffix" else "",
            f"{'ended' if entry.accredited_until <= now else 'until'} {entry.accredited_until:%Y-%m-%d}",
            entry.source,
        )
        for entry in page.entries
    ]
    common.table(("domain", "match", "accredited", "by"), rows)
    common.say(
        f"{page.total} in all" + (f", of which {page.lapsed} have ended and count for nothing." if page.lapsed else ".")
    )
    if page.after is not None:
        common.say(f"There are more: carepost secure-domains list --after {page.after}")


@secure_domains.command("add")
def add_domain(
    name: Name,
    source: Annotated[str, typer.Option(help="Who accredited it, and under what.")],
    *,
    suffix: Annotated[bool, typer.Option("--suffix", help="Every domain below it too.")] = False,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The first day that it does not count any more.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Enter a domain, or renew it: for a year unless told otherwise."""
    from carepost.base.address import Domain
    from carepost.directory.model import DomainMatch

    async def work(areas: "Areas") -> "SecureDomain":
        return await areas.directory.organisations.list_secure_domain(
            common.operator(),
            Domain.parse(name),
            source=source,
            match=DomainMatch.SUFFIX if suffix else DomainMatch.EXACT,
            until=None if until is None else until.replace(tzinfo=UTC),
        )

    entry = common.with_areas(config, work)
    below = " and every domain below it" if suffix else ""
    common.say(f"{entry.domain}{below} counts as secure until {entry.accredited_until:%Y-%m-%d}.")


@secure_domains.command("remove")
def remove_domain(
    name: Name, reason: Annotated[str, typer.Option(help="Why. Kept in the audit log.")], config: ConfigOption = None
) -> None:
    """Take a domain off the register: mail to it that holds patients' details goes by a secure link from now on."""
    from carepost.base.address import Domain

    async def work(areas: "Areas") -> None:
        await areas.directory.organisations.remove_secure_domain(common.operator(), Domain.parse(name), reason=reason)

    common.with_areas(config, work)
    common.say(f"{name} does not count as secure any more.")


@secure_domains.command("import")
def import_list(
    file: Annotated[Path, typer.Argument(help="The list as CSV; its first line names the columns.", exists=True)],
    source: Annotated[str, typer.Option(help="Where the list comes from. Entries of other sources are left alone.")],
    *,
    apply: Annotated[bool, typer.Option("--apply", help="Do it. Without this the changes are only shown.")] = False,
    skip_faulty: Annotated[
        bool, typer.Option("--skip-faulty", help="Leave out lines that cannot be read. Nothing is removed then.")
    ] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Take over a published list of accredited organisations: shows what would change, and with --apply changes it."""
    raw = file.read_bytes()

    async def work(areas: "Areas") -> "RegisterDiff":
        keeping = _keeping(areas)
        if not apply:
            return await keeping.preview(common.operator(), raw, source=source)
        return await keeping.apply(common.operator(), raw, source=source, despite_faults=skip_faulty)

    diff = common.with_areas(config, work)
    if json:
        common.show(
            {
                "applied": apply,
                "added": [_plain(entry) for entry in diff.added],
                "changed": [_plain(entry) for _, entry in diff.changed],
                "removed": [_plain(entry) for entry in diff.removed],
                "unchanged": diff.unchanged,
                "faults": [{"line": fault.line, "says": fault.says} for fault in diff.faults],
            }
        )
        return
    _show_diff(diff)
    if apply:
        common.say("Nothing to do: the register says so already." if diff.is_empty else "Done.")
    elif not diff.is_empty:
        common.say("Nothing was changed. To do it, give --apply as well.")


def prompts(
    code: Annotated[str, typer.Argument(help="The organisation's code, such as A81001.")],
    *,
    days: Annotated[int, typer.Option(help="Over so many days.", min=1, max=400)] = 30,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """How often people were asked before they sent, by rule, and how often they went on all the same."""

    async def work(areas: "Areas") -> "PromptReport":
        from carepost.base.errors import NotPossible
        from carepost.gateway.out.prompts import Prompts

        found = await areas.directory.look.organisation_by_code(code)
        if found is None:
            raise NotPossible(f"There is no organisation with the code {code.upper()}. See `carepost org list`.")
        return await Prompts(db=areas.db, clock=areas.clock).report(found.id, days=days)

    report = common.with_areas(config, work)
    if json:
        rules = [{name: getattr(rule, name) for name in rule.__slots__} for rule in report.rules]
        common.show({"messages": report.messages, "a_hundred_messages": report.a_hundred_messages, "rules": rules})
        return
    rows: list[tuple[object, ...]] = [
        (
            rule.rule,
            rule.shown,
            "" if rule.a_hundred_messages is None else f"{rule.a_hundred_messages:.2f}",
            rule.accepted,
            rule.overridden,
            "nearly always overridden: look at it" if rule.look_at_it else "",
        )
        for rule in report.rules
    ]
    common.table(("rule", "asked", "in 100 messages", "changed something", "went on", ""), rows)
    overall = "" if report.a_hundred_messages is None else f", {report.a_hundred_messages:.2f} questions in 100"
    common.say(f"{report.messages} messages in {days} days{overall}.")


def _keeping(areas: "Areas") -> "RegisterKeeping":
    from carepost.directory.register_keeping import RegisterKeeping

    return RegisterKeeping(db=areas.db, directory=areas.directory.look, audit=areas.audit, clock=areas.clock)


def _show_diff(diff: "RegisterDiff") -> None:
    lines = [f"+ {entry.domain}  until {entry.accredited_until:%Y-%m-%d}" for entry in diff.added]
    lines += [
        f"~ {after.domain}  until {after.accredited_until:%Y-%m-%d}, was {before.accredited_until:%Y-%m-%d}"
        for before, after in diff.changed
    ]
    lines += [f"- {entry.domain}  not on the list, or ended" for entry in diff.removed]
    lines += [f"! {f'line {fault.line}: ' if fault.line else ''}{fault.says}" for fault in diff.faults]
    for line in lines[:_SHOWN_MAX]:
        common.say(line)
    if len(lines) > _SHOWN_MAX:
        common.say(f"... and {len(lines) - _SHOWN_MAX} lines more (--json shows all)")
    common.say(
        f"{len(diff.added)} new, {len(diff.changed)} changed, {len(diff.removed)} to go, {diff.unchanged} as they are, "
        f"{len(diff.faults)} to look at."
    )


def _plain(entry: "SecureDomain") -> dict[str, str]:
    return {
        "domain": entry.domain.name,
        "match": entry.match.value,
        "source": entry.source,
        "accredited": entry.accredited_at.date().isoformat(),
        "until": entry.accredited_until.date().isoformat(),
    }


def _now() -> datetime:
    from carepost.base.clock import SystemClock

    return SystemClock().now()
