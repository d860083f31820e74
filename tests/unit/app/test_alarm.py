"""What waits for too long is told, wherever it waits (R145)."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from carepost.app.worker import Alarm, show_prompts
from carepost.gateway.out.prompts import PromptReport, RuleShown

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Gauge:
    """Remembers what it was set to, by label."""

    def __init__(self) -> None:
        self.values: dict[str, float] = defaultdict(float)
        self._at = ""

    def labels(self, **labels: str) -> "Gauge":
        (self._at,) = labels.values()
        return self

    def set(self, value: float) -> None:
        self.values[self._at] = value


def alarm(*, queued: int = 0, held: tuple[int, int] = (0, 0), asked: tuple[int, int] = (0, 0)) -> tuple[Alarm, Gauge]:
    """`held` and `asked`: how many, and since how many minutes."""

    def since(minutes: int) -> datetime:
        return NOW - timedelta(minutes=minutes)

    async def organisations() -> list[SimpleNamespace]:
        return [SimpleNamespace(id=1)]

    async def in_quarantine(_organisation: int) -> tuple[int, datetime | None]:
        return held[0], since(held[1]) if held[0] else None

    async def standing() -> SimpleNamespace:
        return SimpleNamespace(waiting=0, due=0, in_hand=0, tls_missing=0, held=0, oldest=None, too_long=queued)

    async def waiting(_organisation: int) -> tuple[int, int, datetime | None]:
        return asked[0], 0, since(asked[1]) if asked[0] else None

    areas = SimpleNamespace(
        organisations=organisations,
        clock=SimpleNamespace(now=lambda: NOW),
        settings=SimpleNamespace(delivery=SimpleNamespace(alarm_minutes=30)),
        gateway=SimpleNamespace(quarantine=SimpleNamespace(waiting=in_quarantine)),
    )
    overdue = Gauge()
    gauges = SimpleNamespace(queued=Gauge(), oldest=Gauge(), overdue=overdue)
    rooms = SimpleNamespace(queue=SimpleNamespace(standing=standing))
    return Alarm(areas, rooms, SimpleNamespace(gauges=gauges), waiting), overdue  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"queued": 3}, {"queue": 3}),
        ({"held": (2, 31)}, {"quarantine": 2}),
        ({"asked": (4, 31)}, {"outgoing": 4}),
        ({"held": (2, 29), "asked": (4, 29)}, {}),
    ],
    ids=["in the queue", "in quarantine", "asked about", "not for long"],
)
async def test_what_waits_for_more_than_half_an_hour_is_counted(given: dict[str, object], told: dict[str, int]) -> None:
    looking, overdue = alarm(**given)  # type: ignore[arg-type]
    await looking.look()
    assert {kind: value for kind, value in overdue.values.items() if value} == told


async def test_prompts_are_shown_per_hundred_messages_by_rule() -> None:
    async def organisations() -> list[SimpleNamespace]:
        return [SimpleNamespace(id=1), SimpleNamespace(id=2)]

    def rule(name: str, shown: int, accepted: int, overridden: int) -> RuleShown:
        return RuleShown(
            rule=name,
            shown=shown,
            accepted=accepted,
            overridden=overridden,
            a_hundred_messages=None,
            overridden_share=None,
            look_at_it=False,
        )

    async def prompted(organisation: int) -> PromptReport:
        if organisation == 1:
            return PromptReport(messages=150, rules=(rule("first-time", 3, 1, 2), rule("bulk", 1, 0, 0)))
        return PromptReport(messages=50, rules=(rule("first-time", 1, 0, 1),))

    rates, overridden = Gauge(), Gauge()
    observing = SimpleNamespace(gauges=SimpleNamespace(prompts=rates, prompts_overridden=overridden))
    areas = SimpleNamespace(organisations=organisations)
    await show_prompts(areas, observing, prompted)  # type: ignore[arg-type]
    assert rates.values == {"first-time": 2.0, "bulk": 0.5, "all": 2.5}
    assert overridden.values == {"first-time": 0.75, "all": 0.75}
