"""Mail out: from handing in to the next mail host, beside Postfix that relays the same letters to the same host."""

import contextlib
import hashlib
import smtplib
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.ports import free_port
from bench.processes import Watch
from bench.results import median, percentile, save
from bench.sink import Sink, sink
from bench.words import INSIDE, OUTSIDE, VOCABULARY
from bench.world import Member, make_world

_CONNECTIONS, _A_CONNECTION = 10, 20
_PATIENCE_SECONDS = 120
_WORDS = 1_500  # a letter of about ten kilobytes


@dataclass(slots=True)
class Contender:
    name: str
    port: int
    roots: list[int]
    people: Sequence[Member] = ()  # who signs in; nobody where the network is trusted
    rate: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    peak_mib: float = 0
    others_cpus: list[float] = field(default_factory=list)


def run(work: Path, *, messages: int, rounds: int) -> None:
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(sink())
        contenders = list(stack.enter_context(_contenders(work, host)))
        for one in contenders:
            _round(one, host, messages // 4, warm=True)
        for _ in range(rounds):
            for one in contenders:
                _round(one, host, messages)
                print(f"  {one.name}: {one.rate[-1]:.1f} messages/s, {one.cpu_ms[-1]:.1f} ms CPU each", flush=True)
    figures = {
        one.name: {
            "messages/s": median(one.rate),
            "CPU ms a message": median(one.cpu_ms),
            "DATA to 250, p50 ms": percentile(one.answers, 50),
            "DATA to 250, p99 ms": percentile(one.answers, 99),
            "peak memory (PSS), MiB": one.peak_mib,
            "others' CPUs": median(one.others_cpus),
        }
        for one in contenders
    }
    save("outbound", {"contenders": figures, "messages": messages, "rounds": rounds, "octets": len(_letter(0, "a@b"))})


@contextlib.contextmanager
def _contenders(work: Path, host: Sink) -> Iterator[list[Contender]]:
    with contextlib.ExitStack() as stack:
        port = free_port()
        world = make_world(
            work / "outbound",
            mailboxes=_CONNECTIONS,
            relay_workers=1,
            clamd=None,
            dkim_public="",
            further={
                "submission": {"listen_tls": [f"127.0.0.1:{port}"]},
                "transport": {"connect_to": f"127.0.0.1:{host.port}", "tls_reports": False},
                # What is measured is work, not waiting: no time to undo, and no bound on what one person may send.
                "mail_out": {
                    "undo_seconds": 0,
                    "undo_seconds_outside": 0,
                    "messages_a_minute": 1_000_000,
                    "recipients_a_day": 10_000_000,
                },
            },
        )
        serving = stack.enter_context(world.serving())
        found = [Contender("Carepost", port, [serving], world.people)]
        with contextlib.suppress(ImportError):
            found += [stack.enter_context(_postfix(host))]
        yield found


@contextlib.contextmanager
def _postfix(host: Sink) -> Iterator[Contender]:
    """Debian's Postfix with its own defaults: it queues, syncs and relays; it signs nothing and looks at nothing."""
    from tests.fakes.postfix import running_postfix

    port = free_port()
    settings = {
        "relayhost": f"[127.0.0.1]:{host.port}",
        "mynetworks": "127.0.0.0/8",
        "smtpd_tls_security_level": "none",
    }
    with running_postfix(f"out.{INSIDE}", settings, listen=port) as postfix:
        yield Contender("Postfix, relay only", port, [postfix.pid])


def _round(one: Contender, host: Sink, messages: int, *, warm: bool = False) -> None:
    before, began = host.count, time.monotonic()
    answers: list[float] = []
    with Watch(one.roots) as watch:
        threads = [
            threading.Thread(target=_send, args=(one, number, messages // _CONNECTIONS, answers), daemon=True)
            for number in range(_CONNECTIONS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wanted = before + len(answers)
        while host.count < wanted and time.monotonic() < began + _PATIENCE_SECONDS:
            time.sleep(0.02)
        took = time.monotonic() - began
    if host.count < wanted:
        raise RuntimeError(f"{one.name}: {wanted - host.count} of {len(answers)} messages did not come out")
    if not warm:
        one.rate.append(len(answers) / took)
        one.cpu_ms.append(watch.cpu * 1000 / len(answers))
        one.answers += answers
        one.peak_mib = max(one.peak_mib, watch.peak_mib)
        one.others_cpus.append(max(0.0, watch.machine - watch.cpu) / took)


def _send(one: Contender, number: int, messages: int, answers: list[float]) -> None:
    person = one.people[number] if one.people else None
    sender = person.address if person is not None else f"person{number}@{INSIDE}"
    done = 0
    while done < messages:
        with _connection(one, person) as wire:
            for _ in range(min(_A_CONNECTION, messages - done)):
                # Unlike each other: who looks like somebody written to before is asked about, as it should be.
                name = hashlib.sha256(f"{number} {done}".encode()).hexdigest()[:20]
                to = f"{name}@{OUTSIDE[done % len(OUTSIDE)]}"
                raw = _letter(done, sender, to)
                began = time.monotonic()
                wire.sendmail(sender, [to], raw)
                answers.append((time.monotonic() - began) * 1000)
                done += 1


@contextlib.contextmanager
def _connection(one: Contender, person: Member | None) -> Iterator[smtplib.SMTP]:
    if person is None:
        with smtplib.SMTP("127.0.0.1", one.port, timeout=120) as wire:
            yield wire
        return
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP_SSL("127.0.0.1", one.port, timeout=120, context=trusting) as wire:
        wire.login(person.address, person.app_password)
        yield wire


def _letter(number: int, sender: str, to: str = "reader@example.org") -> bytes:
    words = [VOCABULARY[(number * 7 + n * n) % len(VOCABULARY)] for n in range(_WORDS)]
    lines = [" ".join(words[at : at + 10]) for at in range(0, _WORDS, 10)]
    head = f"From: {sender}\r\nTo: {to}\r\nSubject: Meeting {number}\r\nMIME-Version: 1.0\r\n"
    return (head + "Content-Type: text/plain; charset=utf-8\r\n\r\n" + "\r\n".join(lines) + "\r\n").encode()
