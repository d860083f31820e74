"""What one person may send, and when replies to all are stopped: the arithmetic."""

from datetime import UTC, date, datetime, timedelta

import pytest

from carepost.gateway.out.repo_recipients import Replies, Sent
from carepost.gateway.out.sending_limits import OverLimit, SendingPolicy, next_count
from carepost.gateway.out.storm import StormPolicy, next_replies

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NEW = Sent((), NOON.date(), 0)
POLICY = SendingPolicy()


def test_a_message_to_five_hundred_and_no_more() -> None:
    assert next_count(NEW, 500, NOON, POLICY).recipients == 500
    with pytest.raises(OverLimit, match="501 recipients; 500 is the most") as caught:
        next_count(NEW, 501, NOON, POLICY)
    assert caught.value.until is None


def test_ten_thousand_a_day_and_the_next_day_begins_anew() -> None:
    full = Sent((), NOON.date(), 9_999)
    assert next_count(full, 1, NOON, POLICY).recipients == 10_000
    with pytest.raises(OverLimit, match="1 are left for today") as caught:
        next_count(full, 2, NOON, POLICY)
    assert caught.value.until == datetime(2026, 11, 23, tzinfo=UTC)
    tomorrow = next_count(full, 2, NOON + timedelta(days=1), POLICY)
    assert (tomorrow.day, tomorrow.recipients) == (date(2026, 11, 23), 2)


def test_thirty_in_any_minute_wherever_it_begins() -> None:
    sent = NEW
    for number in range(30):
        sent = next_count(sent, 1, NOON + timedelta(seconds=number), POLICY)
    with pytest.raises(OverLimit, match="in 30 seconds") as caught:
        next_count(sent, 1, NOON + timedelta(seconds=30), POLICY)
    assert caught.value.until == NOON + timedelta(minutes=1)
    with pytest.raises(OverLimit):
        next_count(sent, 1, NOON + timedelta(seconds=59.9), POLICY)
    sent = next_count(sent, 1, NOON + timedelta(seconds=60), POLICY)
    assert len(sent.recent) == 30


def _storm(people: int, replies: int, every: timedelta) -> list[bool]:
    """Whether each of so many replies was let through."""
    state, policy, through = Replies(), StormPolicy(), []
    for number in range(replies):
        now = NOON + every * number
        state = next_replies(state, people, now, policy)
        through.append(state.blocked_until is None or state.blocked_until <= now)
    return through


@pytest.mark.parametrize(
    ("people", "let_through"), [(50, 30), (499, 30), (500, 20), (4_999, 20), (5_000, 10), (50_000, 10)]
)
def test_the_more_people_the_fewer_replies(people: int, let_through: int) -> None:
    through = _storm(people, 200, timedelta(seconds=1))
    assert through == [True] * let_through + [False] * (200 - let_through)


def test_a_slow_conversation_is_no_storm() -> None:
    assert all(_storm(50, 100, timedelta(minutes=2)))
    assert all(_storm(500, 100, timedelta(minutes=2)))
    assert all(_storm(5_000, 100, timedelta(minutes=7)))


def test_a_conversation_opens_again_after_its_pause() -> None:
    state, policy = Replies(), StormPolicy()
    for _ in range(11):
        state = next_replies(state, 6_000, NOON, policy)
    assert state.blocked_until == NOON + timedelta(hours=4)
    assert next_replies(state, 6_000, NOON + timedelta(hours=3, minutes=59), policy) == state
    assert next_replies(state, 6_000, NOON + timedelta(hours=4), policy).blocked_until is None


def test_leaving_some_people_out_does_not_make_the_storm_smaller() -> None:
    state, policy = Replies(), StormPolicy()
    for _ in range(10):
        state = next_replies(state, 5_000, NOON, policy)
    assert next_replies(state, 60, NOON, policy).blocked_until is not None
