"""C4: messages that come again are counted by what was said before, and every one of them is taken."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from tests.fakes.gateway import connection, letter, recipient

from carepost.app.observing import CountedInbound, Gauges
from carepost.app.repeats import Repeats, RepeatsPolicy
from carepost.base.address import EmailAddress
from carepost.base.clock import FixedClock
from carepost.base.errors import TryLater
from carepost.base.ids import TraceId
from carepost.gateway.model import Envelope, Receipt
from carepost.infra.durability import DurabilityWatch
from carepost.infra.metrics import Metrics

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PEER = connection()
ENVELOPE = Envelope(
    trace=TraceId("repeated-1"), reverse_path=EmailAddress.parse("pat@webmail.example"), recipients=(recipient(),)
)


class Taking:
    """A gateway that takes everything, or says what it was told to say."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.fails: Exception | None = None

    async def receive(self, _connection: object, envelope: Envelope, raw: bytes) -> Receipt:
        if self.fails is not None:
            raise self.fails
        self.taken.append(raw)
        return Receipt(envelope.trace)


class AlwaysSound:
    sound = True


def counted(gateway: Taking, gauges: Gauges) -> CountedInbound:
    return CountedInbound(
        cast("Any", gateway), gauges, cast("DurabilityWatch", AlwaysSound()), Repeats(FixedClock(NOON))
    )


def repeated(gauges: Gauges, outcome: str) -> bool:
    return f'carepost_messages_repeated_total{{outcome="{outcome}"}} 1.0' in gauges.exposition().decode()


async def test_a_sender_that_did_not_hear_our_250_is_taken_again_and_counted() -> None:
    gateway, gauges = Taking(), Gauges(Metrics())
    inbound = counted(gateway, gauges)
    for _ in range(2):
        await inbound.receive(PEER, ENVELOPE, letter())
    assert gateway.taken == [letter()] * 2, "both copies are kept"
    assert repeated(gauges, "taken")
    assert not repeated(gauges, "later")


async def test_a_commit_in_doubt_is_counted_when_its_sender_tries_again() -> None:
    gateway, gauges = Taking(), Gauges(Metrics())
    inbound = counted(gateway, gauges)
    gateway.fails = TryLater("The database died in its COMMIT.")
    with pytest.raises(TryLater):
        await inbound.receive(PEER, ENVELOPE, letter())
    gateway.fails = None
    await inbound.receive(PEER, ENVELOPE, letter())
    assert gateway.taken == [letter()]
    assert repeated(gauges, "later")
    assert not repeated(gauges, "taken")


async def test_only_the_same_octets_from_the_same_peer_and_sender_to_the_same_mailboxes_are_a_repetition() -> None:
    repeats = Repeats(FixedClock(NOON))
    repeats.answered(await repeats.digest(PEER, ENVELOPE, letter()), "taken")
    again = replace(ENVELOPE, trace=TraceId("repeated-2"), received=b"Received: by another attempt\r\n")
    assert repeats.before(await repeats.digest(PEER, again, letter())) == "taken"
    others = [
        (connection(client="192.0.2.51"), ENVELOPE, letter()),
        (PEER, replace(ENVELOPE, reverse_path=None), letter()),
        # A blind copy to one more person, in a transaction of its own, is not the first one again.
        (PEER, replace(ENVELOPE, recipients=(recipient("sam@riverside.example"),)), letter()),
        (PEER, ENVELOPE, letter() + b" "),
    ]
    for other in others:
        assert repeats.before(await repeats.digest(*other)) is None


async def test_what_is_remembered_is_bounded_in_time_and_in_number() -> None:
    clock = FixedClock(NOON)
    repeats = Repeats(clock, RepeatsPolicy(remembered_max=2))
    first, second, third = [
        await repeats.digest(PEER, ENVELOPE, raw) for raw in (b"first", b"second", b"x" * (2 << 20))
    ]
    for digest in (first, second, third):
        repeats.answered(digest, "taken")
    assert [repeats.before(digest) for digest in (first, second, third)] == [None, "taken", "taken"]
    clock.advance(timedelta(hours=72))
    assert repeats.before(third) is None


async def test_two_processes_make_different_digests_of_one_message() -> None:
    one, other = (Repeats(FixedClock(NOON)) for _ in range(2))
    assert await one.digest(PEER, ENVELOPE, letter()) != await other.digest(PEER, ENVELOPE, letter())
