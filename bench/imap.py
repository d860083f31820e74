"""One large mailbox over IMAP: ours, and Dovecot's beside it where it is installed."""

import contextlib
import os
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench import filling, peers
from bench.load import Plan, carry_out
from bench.mailbox import Login, Mailbox
from bench.results import FOLDER, median, percentile, save
from bench.smtp import logins
from bench.words import BODY_NEEDLE, SENDER_NEEDLE, SUBJECT_NEEDLE
from bench.world import make_world

_REPEATS = 5


def run(work: Path, *, messages: int) -> None:
    """Measure and save."""
    figures: dict[str, Any] = {"messages": messages}
    shutil.rmtree(work / "imap", ignore_errors=True)
    world = make_world(work / "imap", mailboxes=1, relay_workers=1, clamd=None, dkim_public="")
    figures["filling"] = world.within(lambda areas: filling.fill(areas, world.people[0], messages))
    print(f"  filled: {figures['filling']['filled_a_second']:.0f} messages/s", flush=True)
    with world.serving():
        (login,) = logins(world)
        ours = _measure(login)
        ours |= _idle(login, world.ports.smtp, world.people[0].address)
    figures["contenders"] = {"Carepost": ours}
    figures["peers_left_out"] = why_not = peers.why_not()
    if why_not is None:
        with _dovecot(work, messages) as (login, deliver):
            figures["contenders"]["Dovecot, maildir"] = _measure(login) | _idle_by(login, deliver)
    save("imap", figures)


def _measure(login: Login) -> dict[str, float]:
    found: dict[str, float] = {}

    def note(name: str, work: Callable[[Mailbox], object], repeats: int = _REPEATS) -> None:
        took = []
        for _ in range(repeats):
            began = time.perf_counter()
            work(box)
            took.append((time.perf_counter() - began) * 1000)
        found[name] = median(took)
        print(f"    {name}: {found[name]:.1f}", flush=True)

    def sign_in(_: Mailbox) -> None:
        again = Mailbox(login)
        again.select()
        again.close()

    box = Mailbox(login)
    count = box.select()
    chance = random.Random(5)
    note("sign in and SELECT, ms", sign_in)
    note(
        "50 newest, envelopes and structure, ms",
        lambda b: b.ask(f"FETCH {count - 49}:{count} (UID FLAGS ENVELOPE BODYSTRUCTURE)"),
    )
    note("all flags, ms", lambda b: b.ask("FETCH 1:* (UID FLAGS)", keep=False), 3)
    some = sorted(chance.sample(range(1, count + 1), min(1000, count)))
    began = time.perf_counter()
    for number in some:
        box.ask(f"FETCH {number} BODY.PEEK[]", keep=False)
    found["bodies one by one, messages/s"] = len(some) / (time.perf_counter() - began)
    first = chance.randint(1, max(1, count - 1000))
    note("1,000 bodies in one command, ms", lambda b: b.ask(f"FETCH {first}:{first + 999} BODY.PEEK[]", keep=False), 3)
    for name, question, repeats in (
        ("SEARCH SUBJECT", f"SUBJECT {SUBJECT_NEEDLE}", 3),
        ("SEARCH FROM", f"FROM {SENDER_NEEDLE}", 3),
        ("SEARCH BODY", f"BODY {BODY_NEEDLE}", 2),
        ("SEARCH UNSEEN", "UNSEEN", 3),
    ):
        hits = len(re.findall(rb"\d+", b" ".join(re.findall(rb"\* SEARCH([\d ]*)", box.ask(f"SEARCH {question}")))))
        note(f"{name}, ms", lambda b, question=question: b.ask(f"SEARCH {question}", keep=False), repeats)
        found[f"{name}, hits"] = hits
    flags = iter(["+FLAGS.SILENT (\\Flagged)", "-FLAGS.SILENT (\\Flagged)"] * 3)
    note("STORE on 1,000 messages, ms", lambda b: b.ask(f"STORE {first}:{first + 999} {next(flags)}"), 4)
    box.close()
    return found


def _idle(login: Login, port: int, address: str) -> dict[str, float]:
    letter = FOLDER.resolve() / "corpus" / "idle.eml"
    letter.parent.mkdir(parents=True, exist_ok=True)
    letter.write_bytes(b"From: a@northgate-hospital.example\r\nSubject: news\r\n\r\nwords\r\n")

    def deliver() -> float:
        sent = carry_out(
            Plan(
                port=port,
                letters=[(letter, "a@northgate-hospital.example")],
                recipients=[address],
                tag="idle",
                connections=1,
                xclient="203.0.113.5",
            )
        )
        return sent.sent[0].answered

    return _idle_by(login, deliver)


def _idle_by(login: Login, deliver: Callable[[], float]) -> dict[str, float]:
    """From the 250 to the word in an IDLE connection."""
    box = Mailbox(login)
    box.select()
    box.idle()
    took = []
    for _ in range(10):
        answered = deliver()
        while b"EXISTS" not in box.wait():
            pass
        took.append(max(0.0, time.monotonic() - answered) * 1000)
        time.sleep(0.3)
    return {"new mail to IDLE, p50 ms": percentile(took, 50), "new mail to IDLE, worst ms": max(took)}


@contextlib.contextmanager
def _dovecot(work: Path, messages: int) -> Iterator[tuple[Login, Callable[[], float]]]:
    """Its maildir is written as files: the same letters, the same flags."""
    lib, _ = peers.scripts(work)
    server = lib.Dovecot("maildir", tag="bench-large")
    ports = {key: peers.free_port() for key in lib.P}
    with peers.on_ports(lib, ports):
        shutil.rmtree(server.mail, ignore_errors=True)
        place = Path(server.mail) / "big" / "Maildir"
        for name in ("cur", "new", "tmp"):
            (place / name).mkdir(parents=True)
        raws = filling.letters(min(messages, filling.DISTINCT))
        for n in range(messages):
            seen = "S" if n % 10 else ""
            raw = raws[n % len(raws)]
            kept, at = raw.replace(b"\r\n", b"\n"), 1_704_067_200 + 300 * n
            path = place / "cur" / f"{at}.M{n}.bench,S={len(kept)},W={len(raw)}:2,{seen}"
            path.write_bytes(kept)
            os.utime(path, (at, at))
        for parent, _, files in os.walk(server.mail):
            os.chown(parent, 5000, 5000)
            for name in files:
                os.chown(Path(parent) / name, 5000, 5000)
        server.start()
        try:
            login = Login(ports["imap"], "big", "secret", tls=False)
            Mailbox(login).select()  # the first look builds its index
            once = Mailbox(login)
            once.select()
            once.ask(f"FETCH 1:{messages} (ENVELOPE BODYSTRUCTURE)", keep=False)  # and its cache
            once.close()
            yield login, lambda: _by_lmtp(ports["lmtp"], f"big@{lib.DOMAIN}")
        finally:
            server.stop()


def _by_lmtp(port: int, address: str) -> float:
    import smtplib

    with smtplib.LMTP("127.0.0.1", port) as connection:
        connection.sendmail("a@northgate-hospital.example", [address], b"Subject: news\r\n\r\nwords\r\n")
        return time.monotonic()
