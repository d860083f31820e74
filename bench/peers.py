"""The mail systems that people would use instead, started by the scripts of the folder that CAREPOST_PEERS names.

Promises
    Where they cannot be measured, `why_not` says so in words, and the report repeats it.
    Each is a private instance on loopback; what was started is ended by its process number.
"""

import contextlib
import importlib
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from bench.corpus import SELECTOR, SIGNING
from bench.mailbox import Login
from bench.ports import free_port
from bench.words import OUTSIDE

_NEEDED = ("postfix", "dovecot", "rspamd", "clamd", "redis-server", "unbound")
MAILBOXES = 20
# Postfix and Dovecot (sdbox, mail_crypt), and what stands between them.
CHAINS = {
    "full": "peers, full",  # rspamd, Redis, and clamd for named attachments that are no pictures: rspamd's default
    "fullwhole": "peers, full, whole message scanned",  # the same, clamd is given everything, as ours is
    "bare": "peers, bare",  # no gateway at all
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A running chain: where to send, where to look, whose memory and CPU to count."""

    name: str
    port: int
    addresses: list[str]
    logins: list[Login]
    roots: list[int]
    mail: Path  # where it keeps what it took


def folder() -> Path:
    return Path(os.environ.get("CAREPOST_PEERS") or Path(__file__).parents[2] / "shared" / "bench")


def why_not() -> str | None:
    """Why the peers cannot be measured here; None when they can."""
    if not (folder() / "peerlib.py").exists():
        return "the peers' scripts are not here (CAREPOST_PEERS names their folder)"
    if os.geteuid() != 0:
        return "the peers need root"
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [program for program in _NEEDED if shutil.which(program, path=path) is None]
    return f"not installed: {', '.join(missing)} ({folder()}/setup.sh installs them)" if missing else None


@contextlib.contextmanager
def chain(name: str, *, work: Path, dkim_public: str) -> Iterator[Chain]:
    """One of CHAINS, running until the block ends."""
    lib, corpus = scripts(work)
    corpus.EXTERNAL, corpus.SIGNED, corpus.SELECTOR = list(OUTSIDE), list(SIGNING), SELECTOR
    running, milter = [], None
    # Two chains may run beside each other: each has its own ports and folders.
    ports = {key: free_port() for key in lib.P}
    try:
        with on_ports(lib, ports):
            if name != "bare":
                running.append(_own(lib.Unbound(), name).start(dkim_public))
            dovecot = _own(lib.Dovecot("sdbox", crypt=True, tag=f"bench-{name}"), name)
            running.append(dovecot.start(wipe=True))
            if name != "bare":
                running += [_own(lib.Redis(), name).start(), _own(lib.Clamd(), name).start()]
                rspamd = _own(lib.Rspamd(), name)
                rspamd.sock = f"{rspamd.dir}/run/milter.sock"
                running.append(rspamd.start(milter=True, clamav="whole" if name == "fullwhole" else "parts", unix=True))
                rspamd.train()
                milter = f"unix:{rspamd.sock}"
            running.append(_own(lib.Postfix(), name).start(milter=milter, extra="in_flow_delay = 0\n"))
        users = [f"r{n:02d}" for n in range(MAILBOXES)]
        yield Chain(
            name=name,
            port=ports["smtp"],
            addresses=[f"{user}@{lib.DOMAIN}" for user in users],
            logins=[Login(ports["imap"], user, "secret", tls=False) for user in users],
            roots=[pid for one in running for pid in one.pids],
            mail=Path(dovecot.mail),
        )
    finally:
        for one in reversed(running):
            one.stop()


@contextlib.contextmanager
def on_ports(lib: ModuleType, ports: dict[str, int]) -> Iterator[None]:
    before = dict(lib.P)
    lib.P.update(ports)
    try:
        yield
    finally:
        lib.P.update(before)


def _own(peer, name: str):  # type: ignore[no-untyped-def]
    peer.dir = f"{peer.dir}-{name}"
    return peer


def scripts(work: Path) -> tuple[ModuleType, ModuleType]:
    place = work / "peers"
    (place / "run").mkdir(parents=True, exist_ok=True)
    for parent in (place, *place.parents):
        if not parent.stat().st_mode & 0o001:
            raise RuntimeError(
                f"the peers run as their own users and cannot reach {parent}; give --work a folder that everybody may enter"
            )
    os.environ["PEERS_DIR"] = str(place)
    if str(folder()) not in sys.path:
        sys.path.append(str(folder()))
    return importlib.import_module("peerlib"), importlib.import_module("corpus")
