"""How long it takes to decide about a letter that goes out, with a docx, an xlsx and a pdf in it; and until its 250.

Considering is what the server adds to a message before it may leave: checks, disclosure, recipients, cards. It is timed
by itself, on the rooms of a data folder whose service runs; and as part of the whole, from DATA to the 250, on port 465.
"""

import shutil
import smtplib
import ssl
import time
from pathlib import Path

from bench.letters import clinical
from bench.ports import free_port
from bench.results import percentile, save
from bench.words import OUTSIDE
from bench.world import World, make_world
from carepost.app.areas import Areas
from carepost.app.mail_out_joined import sending
from carepost.base.address import EmailAddress
from carepost.gateway.out.outgoing import OutDoor, Submission, Wanted

_WARM = 10


def run(work: Path, *, letters: int) -> None:
    """Measure and save."""
    shutil.rmtree(work / "decision", ignore_errors=True)
    port = free_port()
    settings = {
        "submission": {"listen_tls": [f"127.0.0.1:{port}"]},
        "mail_out": {"messages_a_minute": 1_000_000, "recipients_a_day": 10_000_000},
    }
    world = make_world(work / "decision", mailboxes=2, relay_workers=1, clamd=None, dkim_public="", further=settings)
    rows: dict[str, dict[str, float]] = {}
    for files in (False, True):
        name = "docx, xlsx and pdf inside" if files else "text alone"
        rows[f"considered, {name}"] = _row(_considered(world, letters, files=files))
    with world.serving():
        for files in (False, True):
            name = "docx, xlsx and pdf inside" if files else "text alone"
            rows[f"DATA to 250, {name}"] = _row(_sent(world, port, letters, files=files))
    octets = {
        name: len(clinical(0, sender="a@b.example", to="c@d.example", files=files))
        for name, files in (("text", False), ("files", True))
    }
    save("decision", {"rows": rows, "letters": letters, "octets": octets})


def _considered(world: World, letters: int, *, files: bool) -> list[tuple[float, float]]:
    """Milliseconds of time and of CPU of each."""
    person, to = world.people[0], f"reader@{OUTSIDE[0]}"

    async def consider(areas: Areas) -> list[tuple[float, float]]:
        outbound, took = sending(areas).out.outbound, []
        for number in range(_WARM + letters):
            raw = clinical(number, sender=person.address, to=to, files=files)
            submission = Submission(
                organisation=person.organisation,
                person=person.person,
                mailbox=person.mailbox,
                reverse_path=EmailAddress.parse(person.address),
                recipients=(Wanted(EmailAddress.parse(to)),),
                raw=raw,
                door=OutDoor.SUBMISSION,
            )
            began, spent = time.perf_counter(), time.process_time()
            considered = await outbound.consider(submission)
            took.append(((time.perf_counter() - began) * 1000, (time.process_time() - spent) * 1000))
            if not considered.routes or not considered.findings:
                raise RuntimeError("nothing was considered, or nothing was found")
        return took[_WARM:]

    return world.within(consider)


def _sent(world: World, port: int, letters: int, *, files: bool) -> list[tuple[float, float]]:
    """To a colleague, one after another over one connection."""
    person, to, took = world.people[0], world.people[1].address, []
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP_SSL("127.0.0.1", port, timeout=120, context=trusting) as wire:
        wire.login(person.address, person.app_password)
        for number in range(_WARM + letters):
            raw = clinical(number, sender=person.address, to=to, files=files)
            if wire.mail(person.address)[0] != 250 or wire.rcpt(to)[0] != 250:
                raise RuntimeError("a letter was not taken")
            began = time.perf_counter()
            code, said = wire.data(raw)
            if code != 250:
                raise RuntimeError(f"a letter was not taken: {said!r}")
            took.append(((time.perf_counter() - began) * 1000, 0.0))
    return took[_WARM:]


def _row(took: list[tuple[float, float]]) -> dict[str, float]:
    times = [one for one, _ in took]
    return {
        "p50_ms": percentile(times, 50),
        "p95_ms": percentile(times, 95),
        "p99_ms": percentile(times, 99),
        "cpu_ms": sum(cpu for _, cpu in took) / len(took),
    }
