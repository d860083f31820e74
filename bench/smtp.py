"""Mail in: how many messages a second from accepting to being visible, how long one takes, what it costs.

Ours and the peers' chains run beside each other and are measured in turn, round by round, so that whatever else the
machine does falls on all of them alike.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import peers
from bench.corpus import CLIENT_ADDRESS, prepared, public_key
from bench.load import Plan, Run, spawned
from bench.mailbox import Login, Mailbox, Watcher
from bench.processes import Watch
from bench.results import FOLDER, median, percentile, save
from bench.scanner import clamd
from bench.world import World, make_world

_WATCHED = 4  # mailboxes that the messages of the latency run go to
_VISIBLE_SECONDS = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is measured: enough for a look, or enough to publish."""

    messages: int
    rounds: int
    paced_messages: int
    paced_rate: float = 5.0
    connections: int = 20


QUICK = Effort(messages=120, rounds=2, paced_messages=60)
FULL = Effort(messages=300, rounds=3, paced_messages=200)


@dataclass(slots=True, kw_only=True)
class Contender:
    """One system under measurement, and what was found."""

    name: str
    port: int
    addresses: list[str]
    logins: list[Login]
    roots: list[int]
    rate: list[float] = field(default_factory=list)
    accept_p50: list[float] = field(default_factory=list)
    accept_p99: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    others_cpus: list[float] = field(default_factory=list)
    peak_mib: float = 0.0
    paced: list[float] = field(default_factory=list)
    paced_accepted: list[float] = field(default_factory=list)
    lost: int = 0
    refusals: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        return {
            "messages_a_second": median(self.rate),
            "rates": [round(rate, 1) for rate in self.rate],
            "cpu_ms_a_message": median(self.cpu_ms),
            "answer_p50_ms": median(self.accept_p50),
            "answer_p99_ms": median(self.accept_p99),
            "paced_visible_p50_ms": percentile(self.paced, 50),
            "paced_visible_p99_ms": percentile(self.paced, 99),
            "paced_answer_p50_ms": percentile(self.paced_accepted, 50),
            "paced_answer_p99_ms": percentile(self.paced_accepted, 99),
            "paced_count": len(self.paced),
            "peak_mib": self.peak_mib,
            "others_cpus": median(self.others_cpus),
            "not_visible": self.lost,
            "refusals": self.refusals[:3],
        }


def run(work: Path, effort: Effort) -> None:
    """Measure and save."""
    corpus = FOLDER.resolve() / "corpus"
    # Each round has letters of its own: a scanner that remembers what it has seen must not profit.
    letters = [
        (corpus / f"{one.number:05d}.eml", one.sender)
        for one in prepared(corpus, effort.messages * (effort.rounds + 1))
    ]
    octets = sum(path.stat().st_size for path, _ in letters) / len(letters)
    public = public_key(corpus)
    with _contenders(work, public) as (contenders, worlds, why_not):
        for one in contenders:
            print(f"  {one.name}: warming up", flush=True)
            _send(one, letters[-60:], tag="warm", effort=effort)
        for number in range(effort.rounds):
            for one in contenders:
                own = letters[number * effort.messages : (number + 1) * effort.messages]
                _closed_loop(one, own, tag=f"round{number}", effort=effort)
                print(f"  {one.name}: {one.rate[-1]:.1f} messages/s, {one.cpu_ms[-1]:.1f} ms CPU each", flush=True)
        for one in contenders:
            _paced(one, letters[-effort.messages :][: effort.paced_messages], effort)
            print(f"  {one.name}: at {effort.paced_rate:g}/s p99 {percentile(one.paced, 99):.0f} ms", flush=True)
        disk = _disk(worlds[0])
    save(
        "smtp",
        {
            "contenders": {one.name: one.figures() for one in contenders},
            "peers_left_out": why_not,
            "messages": effort.messages,
            "rounds": effort.rounds,
            "paced_rate": effort.paced_rate,
            "mean_octets": octets,
            "disk": disk,
        },
    )


@contextlib.contextmanager
def _contenders(work: Path, public: str) -> Iterator[tuple[list[Contender], list[World], str | None]]:
    with contextlib.ExitStack() as stack:
        socket, scanner = stack.enter_context(clamd(_fresh(work / "clamd")))
        contenders, worlds = [], []
        for name, clamd_socket in (("Carepost", socket), ("Carepost without clamd", None)):
            world = make_world(
                _fresh(work / name.replace(" ", "-")),
                mailboxes=20,
                relay_workers=os.cpu_count() or 1,  # a worker for each core
                clamd=clamd_socket,
                dkim_public=public,
            )
            serving = stack.enter_context(world.serving())
            worlds.append(world)
            contenders.append(
                Contender(
                    name=name,
                    port=world.ports.smtp,
                    addresses=[person.address for person in world.people],
                    logins=logins(world),
                    roots=[serving, *([scanner] if clamd_socket else [])],
                )
            )
        why_not = peers.why_not()
        if why_not is None:
            for name, title in peers.CHAINS.items():
                try:
                    chain = stack.enter_context(peers.chain(name, work=work, dkim_public=public))
                except (Exception, SystemExit) as error:  # noqa: BLE001 - theirs; ours is measured all the same
                    why_not = f"“{title}” did not start ({error})"
                    print(f"  left out: {why_not}", flush=True)
                    continue
                contenders.append(
                    Contender(
                        name=title,
                        port=chain.port,
                        addresses=chain.addresses,
                        logins=chain.logins,
                        roots=chain.roots,
                    )
                )
        else:
            print(f"  the peers are left out: {why_not}", flush=True)
        yield contenders, worlds, why_not


def logins(world: World) -> list[Login]:
    return [Login(world.ports.imaps, person.address, person.app_password, tls=True) for person in world.people]


def _send(one: Contender, letters: list[tuple[Path, str]], *, tag: str, effort: Effort) -> tuple[Run, float]:
    """The run, and when all of it could be seen."""
    boxes = [Mailbox(login) for login in one.logins]
    before = sum(box.count() for box in boxes)
    sent = spawned(
        Plan(
            port=one.port,
            letters=letters,
            recipients=one.addresses,
            tag=tag,
            connections=effort.connections,
            xclient=CLIENT_ADDRESS,
        )
    )
    wanted = before + len(sent.accepted)
    while (seen := sum(box.count() for box in boxes)) < wanted and time.monotonic() < sent.ended + _VISIBLE_SECONDS:
        time.sleep(0.05)
    visible = time.monotonic()
    one.lost += max(0, wanted - seen)
    one.refusals += sent.refusals()
    for box in boxes:
        box.close()
    return sent, visible


def _closed_loop(one: Contender, letters: list[tuple[Path, str]], *, tag: str, effort: Effort) -> None:
    with Watch(one.roots) as watch:
        sent, visible = _send(one, letters, tag=tag, effort=effort)
    accepted = len(sent.accepted)
    took = visible - sent.began
    answers = [(each.answered - each.begun) * 1000 for each in sent.accepted]
    one.rate.append(accepted / took)
    one.cpu_ms.append(watch.cpu / max(1, accepted) * 1000)
    one.accept_p50.append(percentile(answers, 50))
    one.accept_p99.append(percentile(answers, 99))
    one.peak_mib = max(one.peak_mib, watch.peak_mib)
    one.others_cpus.append(max(0.0, (watch.machine - watch.cpu - sent.cpu_seconds) / took))


def _paced(one: Contender, letters: list[tuple[Path, str]], effort: Effort) -> None:
    """An open loop: what one message waits when the service is not pressed. From when it was due."""
    watcher = Watcher(one.logins[:_WATCHED])
    sent = spawned(
        Plan(
            port=one.port,
            letters=letters,
            recipients=one.addresses[:_WATCHED],
            tag="paced",
            connections=effort.connections,
            rate=effort.paced_rate,
            xclient=CLIENT_ADDRESS,
        )
    )
    time.sleep(2)
    seen = watcher.finish()
    one.lost += sum(1 for each in sent.accepted if each.mark not in seen)
    one.paced += [(seen[each.mark] - each.due) * 1000 for each in sent.accepted if each.mark in seen]
    one.paced_accepted += [(each.answered - each.due) * 1000 for each in sent.accepted]


def _disk(world: World) -> dict[str, float]:
    """What the tables and their indexes take for each message; the write-ahead log is not counted."""

    async def look(areas) -> tuple[int, int, int]:  # type: ignore[no-untyped-def]
        async with areas.db.transaction(world.people[0].organisation) as tx:
            row = await tx.one(
                "SELECT pg_database_size(current_database()) AS octets, count(*) AS messages, sum(size) AS raw FROM object"
            )
        return int(row["octets"]), int(row["messages"]), int(row["raw"])

    total, messages, raw = world.within(look)
    return {
        "octets_a_message": (total - world.empty_octets) / messages,
        "messages": messages,
        "raw_octets": raw / messages,
    }


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder
