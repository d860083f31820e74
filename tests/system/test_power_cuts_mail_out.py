"""D1 for mail out: the power goes while people send; what was acknowledged is accounted for, and the test would notice.

The mail hosts outside, and who writes, are not on the disk that loses its power: they remember what was said.
"""

import json
import random
import re
import smtplib
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from tests.fakes.loop_disk import LoopDisk, make_loop_disk
from tests.fakes.outside_world import OutsideWorld
from tests.fakes.running_service import HOSTNAME, PATIENCE, RunningService
from tests.system.conftest import LONG, Spawn
from tests.system.test_mail_out import ANN, LOU, NHS, TRUST, Out, await_true, letter, list_secure_domains
from tests.system.test_power_cuts import end_everything, make_the_database_lazy

from carepost.delivery.queue import QueuePolicy
from carepost.gateway.out.release import ReleasePolicy
from carepost.ops.demo.outside import Letterbox, OutsideLimits
from carepost.ops.demo.zone import zone_toml

pytestmark = pytest.mark.slow

CUTS = 25 if LONG else 1
BEFORE_A_CUT = 12  # acknowledged submissions
LAB, PATIENT = f"lab@{TRUST}", "j.porter@gmail.example"
_SUBJECT = re.compile(r"Load \d+-\d+-\d+")
# What `carepost trace` may say of somebody who is not at an end yet; and the ends that these recipients come to.
_NOT_YET = {"waiting", "queued"}
_ENDS = {LOU: "delivered", LAB: "relayed", PATIENT: "noticed"}


@dataclass
class Writers:
    """Three mail programs, each sending one message after another; what was acknowledged to them, by reference."""

    out: Out
    cut: int
    acknowledged: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    in_doubt: set[str] = field(default_factory=set)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        self._threads = [threading.Thread(target=self._write, args=(number,), daemon=True) for number in range(3)]
        for one in self._threads:
            one.start()

    def stop(self) -> None:
        self._stop.set()
        for one in self._threads:
            one.join(PATIENCE)
            assert not one.is_alive()

    @property
    def subjects(self) -> set[str]:
        return {subject for subject, _ in self.acknowledged.values()}

    def _write(self, writer: int) -> None:
        number = 0
        while not self._stop.is_set():
            try:
                with self.out.smtp() as client:
                    while not self._stop.is_set():
                        number += 1
                        self._one(client, f"Load {self.cut}-{writer}-{number}", link=number % 4 == 0)
            except (OSError, smtplib.SMTPException):
                time.sleep(0.05)

    def _one(self, client: smtplib.SMTP, subject: str, *, link: bool) -> None:
        to, text = (LOU, LAB, *((PATIENT,) if link else ())), f"NHS number {NHS}." if link else "Under load."
        for verb, path in (("MAIL", f"FROM:<{ANN}>"), *(("RCPT", f"TO:<{one}>") for one in to)):
            code, said = client.docmd(verb, path)
            if code != 250:
                raise smtplib.SMTPResponseException(code, said)
        # From the last dot on silence means doubt.
        self.in_doubt.add(subject)
        code, said = client.data(letter(subject, *to, text=text))
        self.in_doubt.discard(subject)
        if code == 250:
            self.acknowledged[said.split()[1].decode()] = subject, to


@pytest.fixture
def disk() -> Iterator[LoopDisk]:
    made = make_loop_disk(1024)
    yield made
    made.remove()


@pytest.fixture
def out(spawn: Spawn, disk: LoopDisk) -> Iterator[Out]:
    service = spawn(home=disk.mount / "s")
    world = OutsideWorld(service.home / "tls", letterbox=Letterbox(OutsideLimits(messages_max=1_000_000))).start()
    try:
        (service.home / "zone.toml").write_text(zone_toml(HOSTNAME))
        service.further = {
            "mail_out": {"undo_seconds": 1, "undo_seconds_outside": 1, "messages_a_minute": 100_000},  # no deadline
            "transport": {"connect_to": f"127.0.0.1:{world.port}", "authorities_file": str(service.ca_file)},
        }
        service.write_config()
        service.start()
        service.with_areas(list_secure_domains)
        disk.settle()
        yield Out(service, world)
    finally:
        service.close()
        world.close()


def test_after_a_power_cut_every_recipient_of_what_was_acknowledged_is_accounted_for(out: Out, disk: LoopDisk) -> None:
    for number, to in enumerate((LAB, PATIENT)):
        out.send(f"How are you {number}", to)
        out.await_outside(f"How are you {number}")
    loads: list[Writers] = []
    for cut in range(CUTS):
        loads.append(_send_until_the_power_goes(out, disk, random.Random(cut), cut))
        began, since = time.monotonic(), datetime.now(UTC)
        out.service.start()
        known = _became(out.service)
        for reference, (_, to) in loads[-1].acknowledged.items():
            assert known.get(reference, {}).keys() == set(to), "somebody was promised it and nobody knows of it"
            assert all(state in {_ENDS[one], *_NOT_YET} for one, state in known[reference].items())
        _leases_of_the_dead_run_out(out.service, since)
        await_true(lambda: _under_way(out.service) == 0, "it does not come to an end", seconds=300, pause=0.5)
        again = _once_inside_and_at_least_once_outside(out, loads)
        print(
            f"cut {cut + 1}: {len(loads[-1].acknowledged)} acknowledged, {len(loads[-1].in_doubt)} in doubt, "
            f"{again} came outside once more; all at an end {time.monotonic() - began:.1f} s after the power came back"
        )
    never_sent = Writers(out, CUTS, acknowledged={"nobody's": ("Load 9-9-9", (LOU, LAB))})
    with pytest.raises(AssertionError):
        _once_inside_and_at_least_once_outside(out, [*loads, never_sent])


def test_a_database_that_does_not_wait_for_its_disk_is_noticed_by_who_sends(out: Out, disk: LoopDisk) -> None:
    load = _send_until_the_power_goes(out, disk, random.Random(1), 0, lazy=True)
    (out.service.cluster / "postgresql.auto.conf").write_text("")
    out.service.start()
    lost = load.acknowledged.keys() - _became(out.service).keys()
    print(f"control: {len(lost)} of {len(load.acknowledged)} acknowledged were lost")
    assert lost, "either the power was not cut, or the counting is wrong"


def _send_until_the_power_goes(
    out: Out, disk: LoopDisk, chance: random.Random, cut: int, *, lazy: bool = False
) -> Writers:
    """Cut it at a moment nobody chose; then everything that ran on that disk is gone, and the disk comes back."""
    if lazy:
        make_the_database_lazy(out.service)
    load = Writers(out, cut)
    load.start()
    try:
        await_true(lambda: len(load.acknowledged) >= BEFORE_A_CUT, f"{load.in_doubt=}", seconds=PATIENCE, pause=0.02)
        time.sleep(chance.uniform(0, 1.5))
        disk.cut_power()
        time.sleep(0.3)  # whatever is still said after the cut counts as well
    finally:
        end_everything(out.service)
        load.stop()
    disk.detach()
    disk.attach()
    return load


def _became(service: RunningService) -> Mapping[str, Mapping[str, str]]:
    """By reference and recipient, as `carepost trace` tells."""
    told = service.run("trace", "--sender", ANN, "--limit", "200", "--json")
    assert told.returncode == 0, told.stderr
    found: dict[str, dict[str, str]] = {}
    for row in map(json.loads, told.stdout.splitlines()):
        found.setdefault(row["reference"], {})[row["recipient"]] = row["became"]
    return found


def _leases_of_the_dead_run_out(service: RunningService, since: datetime) -> None:
    """What was in hand when the power went is another's after some minutes: they pass. What the living took stays."""
    release, queue = since + ReleasePolicy().lease, since + QueuePolicy().lease
    with service.superuser() as connection:
        connection.execute("UPDATE outgoing_due SET claimed_until = now() WHERE claimed_until < %s", [release])
        connection.execute(
            "UPDATE delivery_turn SET lease_owner = NULL, lease_until = NULL WHERE lease_until < %s", [queue]
        )


def _under_way(service: RunningService) -> int:
    return service.count("SELECT (SELECT count(*) FROM outgoing_due) + (SELECT count(*) FROM delivery_turn)")


def _once_inside_and_at_least_once_outside(out: Out, loads: list[Writers]) -> int:
    """Of what is in doubt all or nothing. Returns how often something came outside once more."""
    acknowledged = {subject for load in loads for subject in load.subjects}
    in_doubt = {subject for load in loads for subject in load.in_doubt}
    inside, kept = _in_folder(out.service, "lou.fry", "INBOX"), _in_folder(out.service, "ann.lee", "Sent")
    outside = Counter(found[0] for one in out.world.arrived_for(LAB) if (found := _SUBJECT.findall(one.raw.decode())))
    for place in (inside, kept, outside):
        assert acknowledged <= place.keys() <= acknowledged | in_doubt
        assert place.keys() == inside.keys(), "a message is somewhere and not everywhere"
    assert set((inside + kept).values()) == {2}, "doubled in our own mailboxes"
    # What is taken and not yet written down when the power goes is sent again, with its Message-ID (RFC 1047).
    assert max(outside.values()) <= 2, "sent again though it had been written down"
    links = sum(PATIENT in to for load in loads for _, to in load.acknowledged.values())
    notices = len(out.world.arrived_for(PATIENT)) - 1  # the first was none
    assert notices >= links
    return outside.total() - len(outside)


def _in_folder(service: RunningService, name: str, folder: str) -> Counter[str]:
    with service.imap(name, folder=folder) as client:
        _, found = client.uid("FETCH", "1:*", "(BODY.PEEK[HEADER.FIELDS (Subject)])")
    subjects = (match for part in found if isinstance(part, tuple) for match in _SUBJECT.findall(part[1].decode()))
    return Counter(subjects)
