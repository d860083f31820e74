"""D9: peers that hang up, stall and reset at every step, with real sockets under the real queue.

What broke off before it was handed over whole is tried again; so is what was handed over and never answered, and that
alone is counted as perhaps arrived twice (RFC 1047). Nothing is lost.
"""

from pathlib import Path

import pytest
from tests.fakes.delivery_world import DeliveryWorld
from tests.fakes.outside_mail import OutsideHost, Script, outside_mail
from tests.fakes.sending_world import sending

from carepost.base.ids import OrganisationId
from carepost.delivery.conversation import Deadlines
from carepost.delivery.dispatch import Settled

SHORT = Deadlines(connect=5, greeting=1, hello=1, tls=2, mail=1, recipient=1, data=1, block=2, done=1, attempt=20)
PEOPLE = ("jo@trust.example", "lee@trust.example")
NOT_HANDED_OVER = {
    # A short message is on its way as a whole before they hang up: what they have of it nobody can know.
    "hangs up at once": Script(drop_at=frozenset({"CONNECT"})),
    "hangs up after EHLO": Script(drop_at=frozenset({"EHLO"})),
    "hangs up after MAIL": Script(drop_at=frozenset({"MAIL"})),
    "hangs up after RCPT": Script(drop_at=frozenset({"RCPT"})),
    "hangs up instead of saying go on": Script(drop_at=frozenset({"DATA"}), offers=("PIPELINING",)),
    "never greets": Script(hang_at=frozenset({"CONNECT"})),
    "says nothing to MAIL": Script(hang_at=frozenset({"MAIL"})),
    "asks to come later": Script(answers={"MAIL": b"451 4.3.2 Not now\r\n"}),
    "closes its doors": Script(answers={"CONNECT": b"421 4.3.2 Closing\r\n"}),
}
HANDED_OVER = {
    # A short message is on its way as a whole before they hang up: what they have of it nobody can know.
    "hangs up within the message": Script(drop_within_content=20),
    "hangs up after the final dot": Script(drop_at=frozenset({"CONTENT"}), offers=("PIPELINING",)),
    "says nothing after the final dot": Script(hang_at=frozenset({"CONTENT"}), offers=("PIPELINING",)),
    "hangs up after the last chunk": Script(drop_at=frozenset({"CONTENT"})),
}


async def _attempts(world: DeliveryWorld, ours: OrganisationId, script: Script, folder: Path) -> OutsideHost:
    """One attempt with the host as `script` says, then with one that behaves, until nobody waits."""
    async with outside_mail(script) as host:
        worker = world.worker(transport=sending(host, deadlines=SHORT, tmp_path=folder).transport)
        await world.queued(ours, *PEOPLE)
        await worker.round()
        assert await world.states(ours) == {"queued": 2}, "a fault of theirs settles nobody"
        host.script = Script()
        await world.run_until_idle(worker)
        return host


def _copies(host: OutsideHost) -> list[list[str]]:
    return [sorted(line.partition("<")[2].partition(">")[0] for line in one.recipients) for one in host.taken]


async def _lost(world: DeliveryWorld, ours: OrganisationId) -> int:
    async with world.db.transaction(ours) as tx:
        return int((await tx.one("SELECT sum(lost_replies) AS n FROM delivery_recipient"))["n"])


@pytest.mark.parametrize("fault", NOT_HANDED_OVER)
async def test_a_peer_that_breaks_off_before_it_has_the_message_gets_it_once(
    world: DeliveryWorld, ours: OrganisationId, tmp_path: Path, fault: str
) -> None:
    host = await _attempts(world, ours, NOT_HANDED_OVER[fault], tmp_path)
    assert await world.states(ours) == {"delivered": 2}
    assert _copies(host) == [list(PEOPLE)], "put off together, they come back together"
    assert await _lost(world, ours) == 0
    assert len(world.follows.of(Settled.DELIVERED)) == 2


@pytest.mark.parametrize("fault", HANDED_OVER)
async def test_a_peer_that_breaks_off_with_the_message_gets_it_again_and_that_is_counted(
    world: DeliveryWorld, ours: OrganisationId, tmp_path: Path, fault: str
) -> None:
    host = await _attempts(world, ours, HANDED_OVER[fault], tmp_path)
    assert await world.states(ours) == {"delivered": 2}
    assert await _lost(world, ours) == 2
    contents = {one.content for one in host.taken}
    assert len(contents) == 1, "the same bytes, the same Message-ID: theirs to recognise"


async def test_recipients_of_one_conversation_end_each_by_their_own_answer(
    world: DeliveryWorld, ours: OrganisationId, tmp_path: Path
) -> None:
    script = Script(
        recipients={
            "gone@trust.example": b"550 5.1.1 No such user\r\n",
            "full@trust.example": b"452 4.2.2 Mailbox full\r\n",
        }
    )
    async with outside_mail(script) as host:
        worker = world.worker(transport=sending(host, deadlines=SHORT, tmp_path=tmp_path).transport)
        await world.queued(ours, "jo@trust.example", "gone@trust.example", "full@trust.example")
        await worker.round()
        assert await world.states(ours) == {"delivered": 1, "failed": 1, "queued": 1}
        host.script = Script()
        await world.run_until_idle(worker)
    assert await world.states(ours) == {"delivered": 2, "failed": 1}
    assert _copies(host) == [["jo@trust.example"], ["full@trust.example"]]
    assert len(world.follows.letters) == 1
