"""A small IMAP client for measuring: it keeps octets, not objects, so that the client costs next to nothing."""

import contextlib
import multiprocessing
import re
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.load import MARK

_LOOK_EVERY = 0.02  # a watcher asks each mailbox for news fifty times a second


@dataclass(frozen=True, slots=True)
class Login:
    """How to reach one mailbox."""

    port: int
    user: str
    password: str
    tls: bool


class Mailbox:
    """One IMAP connection, signed in."""

    def __init__(self, login: Login, *, timeout: float = 300) -> None:
        raw = socket.create_connection(("127.0.0.1", login.port), timeout=timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket: socket.socket = _trusting().wrap_socket(raw) if login.tls else raw
        self._number = 0
        self._line()
        self.ask(f'LOGIN "{login.user}" "{login.password}"')

    def ask(self, command: str | bytes, *, keep: bool = True) -> bytes:
        """Everything that was answered. Raises RuntimeError unless the server said OK."""
        return self.answer(self.send(command), keep=keep)

    def send(self, command: str | bytes) -> bytes:
        self._number += 1
        tag = b"B%d" % self._number
        self._socket.sendall(tag + b" " + (command.encode() if isinstance(command, str) else command) + b"\r\n")
        return tag

    def answer(self, tag: bytes, *, keep: bool = True) -> bytes:
        pieces, tail = [], b""
        while True:
            more = self._socket.recv(1 << 20)
            if not more:
                raise ConnectionResetError("the server closed the connection")
            if keep:
                pieces.append(more)
            tail = (tail + more)[-2048:]
            if tail.endswith(b"\r\n"):
                last = tail[tail.rfind(b"\r\n", 0, -2) + 2 :] if b"\r\n" in tail[:-2] else tail
                if last.startswith(tag + b" "):
                    if not last[len(tag) + 1 :].upper().startswith(b"OK"):
                        raise RuntimeError(last.decode("utf-8", "replace"))
                    return b"".join(pieces)

    def select(self, name: str = "INBOX") -> int:
        """How many messages there are."""
        return max(int(n) for n in re.findall(rb"\* (\d+) EXISTS", self.ask(f"SELECT {name}")))

    def count(self) -> int:
        found = re.search(rb"MESSAGES (\d+)", self.ask("STATUS INBOX (MESSAGES)"))
        if found is None:
            raise RuntimeError("STATUS did not say how many messages there are")
        return int(found[1])

    def idle(self) -> None:
        self.send("IDLE")
        self._line()

    def wait(self) -> bytes:
        """The next octets, whatever they are: what IDLE tells."""
        return self._socket.recv(65536)

    def close(self) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            self.ask("LOGOUT")
        self._socket.close()

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            more = self._socket.recv(4096)
            if not more:
                raise ConnectionResetError("the server closed the connection")
            line += more
        return line


def _trusting() -> ssl.SSLContext:
    """Of a server on loopback that we have just started ourselves."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Watcher:
    """Notes, in a process of its own, when each marked message can be seen in the mailboxes (CLOCK_MONOTONIC)."""

    def __init__(self, logins: Sequence[Login]) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_watch, args=(list(logins), there), daemon=True)
        self._process.start()
        there.close()
        self._here.recv()

    def finish(self) -> dict[str, float]:
        self._here.send("enough")
        seen: dict[str, float] = self._here.recv()
        self._process.join(10)
        return seen


def _watch(logins: list[Login], pipe) -> None:  # type: ignore[no-untyped-def]
    boxes = [Mailbox(login) for login in logins]
    known = [box.select() for box in boxes]
    pipe.send("ready")
    seen: dict[str, float] = {}
    enough = False
    while True:
        began = time.monotonic()
        for n, box in enumerate(boxes):
            found = re.findall(rb"\* (\d+) EXISTS", box.ask("NOOP"))
            if found and (now := int(found[-1])) > known[n]:
                at = time.monotonic()
                answer = box.ask(f"FETCH {known[n] + 1}:{now} (BODY.PEEK[HEADER.FIELDS ({MARK})])")
                for mark in re.findall(MARK.encode() + rb": (\S+)", answer, re.IGNORECASE):
                    seen.setdefault(mark.decode(), at)
                known[n] = now
        if enough:
            break
        enough = pipe.poll(max(0.0, _LOOK_EVERY - (time.monotonic() - began)))
    pipe.send(seen)
    for box in boxes:
        box.close()
