"""`carepost queue`: what is on its way to other systems, why it waits, and seeing to it. Never what it says."""

from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carepost.base.errors import NotPossible
from carepost.base.ids import DeliveryId
from carepost.cli import common
from carepost.cli.common import ConfigOption, JsonOption

if TYPE_CHECKING:
    from carepost.app.areas import Areas
    from carepost.delivery.desk import QueueDesk, QueuedMessage
    from carepost.directory.model import Organisation

queue = typer.Typer(no_args_is_help=True, help="What is on its way to other systems: why it waits, and seeing to it.")

Number = Annotated[int, typer.Argument(help="The number in `carepost queue list`.")]
Reason = Annotated[str, typer.Option(help="Why. Kept in the audit log.")]
DomainOption = Annotated[str | None, typer.Option("--domain", help="Only what goes to this domain.")]
_TIMES = ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"]


def add_to(app: typer.Typer) -> None:
    app.add_typer(queue, name="queue")


@queue.command("list")
def queue_list(
    *,
    domain: DomainOption = None,
    limit: Annotated[int, typer.Option(help="At most so many an organisation.", min=1, max=200)] = 50,
    after: Annotated[str | None, typer.Option(help="Go on from here, as the last list said.")] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """What waits, the oldest first in each organisation: since when, how it stands and why."""
    from carepost.base.address import Domain

    wanted, key = Domain.parse(domain) if domain else None, _key(after) if after else None

    async def work(areas: "Areas") -> "tuple[list[tuple[object, ...]], tuple[datetime, DeliveryId] | None]":
        rows: list[tuple[object, ...]] = []
        more: list[tuple[datetime, DeliveryId]] = []
        for organisation in await areas.organisations():
            page = await _desk(areas).page(common.operator(), organisation.id, domain=wanted, after=key, limit=limit)
            rows += [_row(organisation, one) for one in page.messages]
            more += [page.next_key] if page.next_key else []
        return rows, min(more, default=None)

    names = ("number", "organisation", "queued since", "state", "reason", "waiting", "attempts", "next", "reference")
    rows, go_on = common.with_areas(config, work)
    if json:
        for row in rows:
            common.show(dict(zip(names, row, strict=True)))
        return
    common.table(names, rows)
    if go_on is not None:
        common.say(f"There are more: carepost queue list --after {go_on[0].isoformat()}/{go_on[1]}")


@queue.command("show")
def queue_show(number: Number, *, json: JsonOption = False, config: ConfigOption = None) -> None:
    """One message: each recipient, how it stands, what the other system last said, how the hop was protected."""

    async def work(areas: "Areas") -> list[tuple[object, ...]]:
        for organisation in await areas.organisations():
            shown = await _desk(areas).show(common.operator(), organisation.id, DeliveryId(number))
            if shown is not None:
                return [(one.seq, one.address, one.state, one.attempts, one.host, one.tls, one.reason) for one in shown]
        raise _not_there(number)

    names = ("recipient", "address", "state", "attempts", "host", "protected by", "last said")
    rows = common.with_areas(config, work)
    if json:
        for row in rows:
            common.show(dict(zip(names, row, strict=True)))
    else:
        common.table(names, rows)


@queue.command("retry")
def queue_retry(
    number: Annotated[int | None, typer.Argument(help="The number in `carepost queue list`.")] = None,
    *,
    domain: Annotated[str | None, typer.Option("--domain", help="All that goes to this domain.")] = None,
    config: ConfigOption = None,
) -> None:
    """Try one message, or all for one domain, at once. What is held back stays so."""
    from carepost.base.address import Domain

    if (number is None) == (domain is None):
        raise NotPossible("Name one message by its number, or all for one domain by --domain.")
    which = Domain.parse(domain) if domain is not None else DeliveryId(number or 0)

    async def one(desk: "QueueDesk", organisation: "Organisation") -> int:
        return await desk.hurry(common.operator(), organisation.id, which)

    hurried = common.with_areas(config, _everywhere(one))
    if not hurried and number is not None:
        raise _not_there(number)
    common.say(f"Tried at once for {hurried} recipients.")


@queue.command("hold")
def queue_hold(number: Number, reason: Reason, config: ConfigOption = None) -> None:
    """Hold a message back. It stays queued, alarms and its sender hears of the delay, until it is let go or stopped."""

    async def one(desk: "QueueDesk", organisation: "Organisation") -> int:
        return await desk.hold(common.operator(), organisation.id, DeliveryId(number), reason=reason)

    common.say(f"Held back for {_found(number, common.with_areas(config, _everywhere(one)))} recipients.")


@queue.command("let-go")
def queue_let_go(number: Number, reason: Reason, config: ConfigOption = None) -> None:
    """Let a message that was held back go: it is tried at once."""

    async def one(desk: "QueueDesk", organisation: "Organisation") -> int:
        return await desk.let_go(common.operator(), organisation.id, DeliveryId(number), reason=reason)

    common.say(f"Let go for {_found(number, common.with_areas(config, _everywhere(one)))} recipients.")


@queue.command("expire")
def queue_expire(number: Number, reason: Reason, config: ConfigOption = None) -> None:
    """Give a message up before its time. Its sender is told, as of one that could not be delivered."""

    async def one(desk: "QueueDesk", organisation: "Organisation") -> int:
        return await desk.stop(common.operator(), organisation.id, DeliveryId(number), reason=reason)

    common.say(f"Given up for {_found(number, common.with_areas(config, _everywhere(one)))} recipients.")


@queue.command("replay")
def queue_replay(
    since: Annotated[datetime, typer.Option(formats=_TIMES, help="Delivered from here on (UTC).")],
    reason: Annotated[str, typer.Option(help="Why. Kept in the audit log.")] = "",
    *,
    until: Annotated[datetime | None, typer.Option(formats=_TIMES, help="Delivered before (UTC). Now.")] = None,
    domain: DomainOption = None,
    apply: Annotated[bool, typer.Option("--apply", help="Do it. Without this it is only counted.")] = False,
    config: ConfigOption = None,
) -> None:
    """Send what was delivered outside once more, because who took it has lost it: as far back as bodies are kept.

    With the same Message-ID. What was sent again once is not sent again, however often this is run.
    """
    from carepost.base.address import Domain

    wanted = Domain.parse(domain) if domain else None

    async def one(desk: "QueueDesk", organisation: "Organisation") -> int:
        clock = desk.settling.queue.clock
        end = clock.now() if until is None else until.replace(tzinfo=UTC)
        start, actor = since.replace(tzinfo=UTC), common.operator()
        if not apply:
            return await desk.delivered(actor, organisation.id, since=start, until=end, domain=wanted)
        return await desk.replay(actor, organisation.id, since=start, until=end, domain=wanted, reason=reason)

    count = common.with_areas(config, _everywhere(one))
    if apply:
        common.say(f"Queued again for {count} recipients.")
    else:
        common.say(f"{count} recipients would be sent to once more. To do it, add --apply and --reason.")


def _desk(areas: "Areas") -> "QueueDesk":
    from carepost.app.delivery_rooms import delivery_rooms, queue_desk
    from carepost.app.mail_out_joined import sending

    rooms = delivery_rooms(areas)
    return queue_desk(areas, rooms, sending(areas, rooms).out.follow)


def _everywhere(
    one: "Callable[[QueueDesk, Organisation], Awaitable[int]]",
) -> "Callable[[Areas], Coroutine[Any, Any, int]]":
    """In every organisation; a number belongs to one of them."""

    async def work(areas: "Areas") -> int:
        desk = _desk(areas)
        return sum([await one(desk, organisation) for organisation in await areas.organisations()])

    return work


def _row(organisation: "Organisation", one: "QueuedMessage") -> tuple[object, ...]:
    return (
        int(one.id),
        organisation.code,
        one.queued_at.isoformat(timespec="seconds"),
        one.state.value,
        one.reason,
        f"{one.waiting} of {one.recipients}",
        one.attempts,
        one.next_at.isoformat(timespec="seconds"),
        one.trace,
    )


def _key(after: str) -> "tuple[datetime, DeliveryId]":
    at, _, number = after.partition("/")
    try:
        return datetime.fromisoformat(at), DeliveryId(int(number))
    except ValueError:
        raise NotPossible("--after is what the last list said, unchanged.") from None


def _found(number: int, count: int) -> int:
    if not count:
        raise _not_there(number)
    return count


def _not_there(number: int) -> NotPossible:
    return NotPossible(
        f"Nothing of number {number} waits for that, or it is being sent at this moment. See `carepost queue list`."
    )
