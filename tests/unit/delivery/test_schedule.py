"""C6: when we try again, and when we stop."""

from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from carepost.delivery.schedule import Again, GiveUp, Schedule, delays_due, gap_after, latest, what_next

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
STEADY = Schedule(jitter=0)
MINUTES = [1, 2, 5, 10, 20, 30, 45, 66, 66, 66]


def test_the_gaps_are_those_that_were_decided() -> None:
    found = [gap_after(STEADY, attempts, Random(1)) for attempts in range(1, 11)]
    assert found == [timedelta(minutes=minutes) for minutes in MINUTES]


@given(st.integers(1, 200), st.integers())
def test_chance_moves_a_gap_by_a_fifth_at_most(attempts: int, seed: int) -> None:
    plain, moved = gap_after(STEADY, attempts, Random(seed)), gap_after(Schedule(), attempts, Random(seed))
    assert plain * 0.8 <= moved <= plain * 1.2
    assert NOW + moved <= latest(Schedule(), NOW)


def test_chance_spreads_what_failed_together() -> None:
    chance = Random(1)
    assert len({gap_after(Schedule(), 3, chance) for _ in range(100)}) > 90


@given(st.integers(1, 500), st.timedeltas(timedelta(0), timedelta(days=800)))
def test_nobody_is_given_up_before_the_time_nor_by_a_clock_alone(attempts: int, age: timedelta) -> None:
    """D8."""
    schedule = Schedule()
    step = what_next(
        schedule, attempts=attempts, expires_at=NOW + schedule.expires_after, now=NOW + age, chance=Random(attempts)
    )
    given_up = isinstance(step, GiveUp)
    assert given_up == (age >= schedule.expires_after and attempts >= schedule.attempts_before_expiry)
    if isinstance(step, Again):
        assert step.at > NOW + age


def test_the_last_attempt_is_made_when_the_time_is_over() -> None:
    expires = NOW + timedelta(minutes=10)
    step = what_next(STEADY, attempts=50, expires_at=expires, now=NOW, chance=Random(1))
    assert step == Again(expires)


def test_five_days_hold_more_than_a_hundred_attempts() -> None:
    at, attempts, chance = NOW, 1, Random(4)
    expires = NOW + timedelta(days=5)
    while isinstance(
        step := what_next(Schedule(), attempts=attempts, expires_at=expires, now=at, chance=chance), Again
    ):
        at, attempts = step.at, attempts + 1
    assert 100 < attempts < 160
    assert at == expires


def test_senders_are_told_within_the_hour() -> None:
    """R145."""
    hours = [0.9, 1, 3.9, 4, 23, 24, 100]
    ages = [NOW + timedelta(hours=hour) for hour in hours]
    assert [delays_due(Schedule(), queued_at=NOW, now=at) for at in ages] == [0, 1, 1, 2, 2, 3, 3]
