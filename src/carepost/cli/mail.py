"""`carepost scan`, `why`, `trace` and `quarantine`: what happens to messages, and why."""

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from carepost.base.errors import NotPossible
from carepost.base.ids import HeldId, OrganisationId, OutgoingId, TraceId
from carepost.cli import common
from carepost.cli.common import ConfigOption, JsonOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carepost.app.areas import Areas
    from carepost.directory.model import Organisation
    from carepost.gateway.verdict import Record


class Direction(StrEnum):
    IN = "in"
    OUT = "out"


quarantine = typer.Typer(no_args_is_help=True, help="Messages held for a person to look at.")


def add_to(app: typer.Typer) -> None:
    app.command("scan")(scan)
    app.command("why")(why)
    app.command("trace")(trace)
    app.add_typer(quarantine, name="quarantine")


def scan(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Message files, or folders of them.")],
    direction: Annotated[Direction, typer.Option(help="Which way the messages would go.")] = Direction.IN,
    *,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Run messages through the gateway without delivering them: one result a message; no file stops it."""
    from carepost.app.relay import check_policy, scanner
    from carepost.gateway.scan import ScanSettings, scan_paths

    settings = common.load_settings(config)
    for result in scan_paths(
        paths, direction.value, ScanSettings(policy=check_policy(settings), scanner=scanner(settings))
    ):
        if json:
            common.show(result)
            continue
        common.say(f"{result['path']}: {result['action']}" + (f" [{result['card']}]" if result["card"] else ""))
        for finding in result["findings"]:
            common.say(f"    {finding['weight']} {finding['code']}: {finding['says']}")


def why(
    message: Annotated[
        str, typer.Argument(metavar="MESSAGE-ID", help="The reference from the 250, or the Message-ID.")
    ],
    *,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Why a message was delivered, sent, held or refused, in plain words."""
    from carepost.app.mail_out import outgoing_view
    from carepost.gateway.deck import shipped_inbound
    from carepost.gateway.explain import explain
    from carepost.gateway.out.story import became

    async def work(areas: "Areas") -> list[tuple[str, str, list[str]]]:
        found: list[tuple[str, str, list[str]]] = []
        view = outgoing_view(areas)
        for organisation in await areas.organisations():
            records = await areas.gateway.trace.find(common.operator(), organisation.id, message)
            traces = [TraceId(record.trace) for record in records if record.is_outgoing]
            rows = await view.became(common.operator(), organisation.id, traces) if traces else {}
            for record in records:
                story, row = explain(record, shipped_inbound()), rows.get(TraceId(record.trace))
                found.append((organisation.name, story.headline, [*story.lines(), *(became(row) if row else [])]))
        return found

    stories = common.with_areas(config, work)
    if not stories:
        raise NotPossible(f"Nothing is known of {message}. Decisions are kept for 90 days; check the reference.")
    for organisation, headline, lines in stories:
        if json:
            common.show({"organisation": organisation, "headline": headline, "lines": lines})
            continue
        common.say(f"{organisation}:")
        for line in lines:
            common.say(f"  {line}" if line else "")


def trace(
    *,
    sender: Annotated[str | None, typer.Option(help="Who it came from.")] = None,
    recipient: Annotated[str | None, typer.Option(help="Whom it was for.")] = None,
    message_id: Annotated[str | None, typer.Option(help="Its Message-ID.")] = None,
    days: Annotated[int, typer.Option(help="How far back.", min=1, max=90)] = 7,
    limit: Annotated[int, typer.Option(help="At most so many an organisation.", min=1, max=200)] = 50,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Where is my mail? What became of messages, newest first."""
    from carepost.gateway.verdict import SearchBy

    asked = [
        (by, value)
        for by, value in ((SearchBy.SENDER, sender), (SearchBy.RECIPIENT, recipient), (SearchBy.MESSAGE_ID, message_id))
        if value
    ]
    if len(asked) > 1:
        raise NotPossible("Search by one of --sender, --recipient and --message-id at a time.")
    by, value = asked[0] if asked else (None, "")

    async def work(areas: "Areas") -> list[tuple[object, ...]]:
        rows: list[tuple[object, ...]] = []
        since = areas.clock.now() - timedelta(days=days)
        for organisation in await areas.organisations():
            page = await areas.gateway.trace.search(
                common.operator(), organisation.id, by, value or "", since=since, limit=limit
            )
            rows += await _traced(areas, organisation, page.records)
        return sorted(rows, key=lambda row: str(row[0]), reverse=True)

    names = ("at", "reference", "organisation", "recipient", "action", "became", "card")
    _show_rows(names, common.with_areas(config, work), json=json)


async def _traced(
    areas: "Areas", organisation: "Organisation", records: "Sequence[Record]"
) -> list[tuple[object, ...]]:
    """A row for each recipient; of what went out, with what became of it since."""
    from carepost.app.mail_out import outgoing_view
    from carepost.gateway.out.story import states_of

    traces = [TraceId(record.trace) for record in records if record.is_outgoing]
    sent = await outgoing_view(areas).became(common.operator(), organisation.id, traces) if traces else {}
    rows: list[tuple[object, ...]] = []
    for record in records:
        at = record.at.isoformat(timespec="seconds")
        states = states_of(sent.get(TraceId(record.trace)))
        for one in record.details.recipients:
            became = states.get(one.address, "")
            rows.append((at, record.trace, organisation.code, one.address, one.action, became, one.card or ""))
    return rows


def _show_rows(names: tuple[str, ...], rows: list[tuple[object, ...]], *, json: bool) -> None:
    if json:
        for row in rows:
            common.show(dict(zip(names, row, strict=True)))
    else:
        common.table(names, rows)


@quarantine.command("list")
def quarantine_list(*, json: JsonOption = False, config: ConfigOption = None) -> None:
    """What waits in every organisation's quarantine."""

    async def work(areas: "Areas") -> list[tuple[object, ...]]:
        rows: list[tuple[object, ...]] = []
        for organisation in await areas.organisations():
            key = None
            while True:
                page = await areas.gateway.quarantine.page(common.operator(), organisation.id, before=key, limit=200)
                rows += [
                    (
                        int(one.id),
                        organisation.code,
                        one.held_at.isoformat(timespec="seconds"),
                        one.risk,
                        one.card,
                        one.trace,
                    )
                    for one in page.held
                ]
                if (key := page.next_key) is None:
                    break
        return rows

    names = ("number", "organisation", "held since", "risk", "card", "reference")
    _show_rows(names, common.with_areas(config, work), json=json)


@quarantine.command("release")
def quarantine_release(
    code: Annotated[str, typer.Argument(help="The organisation's code.")],
    number: Annotated[int, typer.Argument(help="The number in the list.")],
    reason: Annotated[str, typer.Option(help="Why it is safe. Kept in the audit log.")],
    config: ConfigOption = None,
) -> None:
    """Deliver a held message after all."""

    async def work(areas: "Areas") -> int:
        organisation = await _organisation(areas, code)
        return len(
            await areas.gateway.quarantine.release(common.operator(), organisation, HeldId(number), reason=reason)
        )

    common.say(f"Released to {common.with_areas(config, work)} mailboxes.")


@quarantine.command("delete")
def quarantine_delete(
    code: Annotated[str, typer.Argument(help="The organisation's code.")],
    number: Annotated[int, typer.Argument(help="The number in the list.")],
    reason: Annotated[str, typer.Option(help="Why. Kept in the audit log.")],
    config: ConfigOption = None,
) -> None:
    """Destroy a held message for good."""

    async def work(areas: "Areas") -> None:
        organisation = await _organisation(areas, code)
        await areas.gateway.quarantine.delete(common.operator(), organisation, HeldId(number), reason=reason)

    common.with_areas(config, work)
    common.say("Deleted.")


@quarantine.command("outgoing")
def quarantine_outgoing(*, json: JsonOption = False, config: ConfigOption = None) -> None:
    """What our own people sent that waits for a person to look at, in every organisation."""

    async def work(areas: "Areas") -> list[tuple[object, ...]]:
        from carepost.app.mail_out_joined import sending

        held_mail, rows = sending(areas).out.held, list[tuple[object, ...]]()
        for organisation in await areas.organisations():
            key: OutgoingId | None = OutgoingId(0)
            while key is not None:
                page = await held_mail.page(common.operator(), organisation.id, after=key)
                key = page.next_key
                for one in page.held:
                    since = one.since.isoformat(timespec="seconds")
                    card = one.held[0].card or ""
                    rows.append((int(one.id), organisation.code, since, len(one.held), card, one.trace))
        return rows

    names = ("number", "organisation", "held since", "recipients", "card", "reference")
    _show_rows(names, common.with_areas(config, work), json=json)


@quarantine.command("let-go")
def quarantine_let_go(
    code: Annotated[str, typer.Argument(help="The organisation's code.")],
    number: Annotated[int, typer.Argument(help="The number in the list of `carepost quarantine outgoing`.")],
    reason: Annotated[str, typer.Option(help="Why it is safe. Kept in the audit log.")],
    *,
    by_link: Annotated[bool, typer.Option("--by-link", help="To everybody outside by a secure link.")] = False,
    config: ConfigOption = None,
) -> None:
    """Send what was held after all: to secure domains over verified TLS, to others by the secure link."""

    async def work(areas: "Areas") -> int:
        from carepost.app.mail_out_joined import sending

        organisation, held = await _organisation(areas, code), sending(areas).out.held
        return await held.let_go(common.operator(), organisation, OutgoingId(number), reason=reason, by_link=by_link)

    common.say(f"Let go for {common.with_areas(config, work)} recipients.")


@quarantine.command("refuse")
def quarantine_refuse(
    code: Annotated[str, typer.Argument(help="The organisation's code.")],
    number: Annotated[int, typer.Argument(help="The number in the list of `carepost quarantine outgoing`.")],
    reason: Annotated[str, typer.Option(help="Why it may not leave. The sender reads it.")],
    config: ConfigOption = None,
) -> None:
    """Do not send what was held; its sender is told why."""

    async def work(areas: "Areas") -> int:
        from carepost.app.mail_out_joined import sending

        organisation, held = await _organisation(areas, code), sending(areas).out.held
        return await held.refuse(common.operator(), organisation, OutgoingId(number), reason=reason)

    common.say(f"Refused for {common.with_areas(config, work)} recipients; the sender is told.")


async def _organisation(areas: "Areas", code: str) -> OrganisationId:
    found = await areas.directory.look.organisation_by_code(code)
    if found is None:
        raise NotPossible(f"There is no organisation with the code {code.upper()}. See `carepost org list`.")
    return found.id
