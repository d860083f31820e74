"""An SMTP load generator: closed loop over many connections, or so many messages a second whatever happens.

One thread a connection, blocking sockets: sending large messages costs the generator next to nothing. It runs in a
process of its own (`spawned`), so that it does not share an interpreter with what it measures.
"""

import contextlib
import multiprocessing
import queue
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

MARK = "X-Bench-Id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to send where. Letter `n` goes to `recipients[n % len]`; the files are the corpus's."""

    port: int
    letters: Sequence[tuple[Path, str]]  # (file, envelope sender)
    recipients: Sequence[str]
    tag: str
    connections: int = 20
    messages_a_connection: int = 10
    rate: float | None = None  # messages a second; None: as fast as the answers come
    xclient: str | None = None  # the address that the server shall believe


@dataclass(frozen=True, slots=True)
class Sent:
    """One message: when it was due, begun and answered (CLOCK_MONOTONIC seconds), and the answer."""

    mark: str
    due: float
    begun: float
    answered: float
    reply: str

    @property
    def accepted(self) -> bool:
        return self.reply.startswith("250")


@dataclass(slots=True)
class Run:
    began: float = 0
    ended: float = 0
    cpu_seconds: float = 0
    octets: int = 0
    sent: list[Sent] = field(default_factory=list)

    @property
    def accepted(self) -> list[Sent]:
        return [one for one in self.sent if one.accepted]

    @property
    def rate(self) -> float:
        return len(self.accepted) / (self.ended - self.began)

    def refusals(self) -> list[str]:
        return sorted({one.reply for one in self.sent if not one.accepted})


def spawned(plan: Plan) -> Run:
    """Carry out the plan in a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(plan, there), daemon=True)
    process.start()
    there.close()
    try:
        run: Run = here.recv()
    finally:
        process.join(10)
        if process.is_alive():
            process.kill()
    return run


def _child(plan: Plan, pipe) -> None:  # type: ignore[no-untyped-def]
    pipe.send(carry_out(plan))


def carry_out(plan: Plan) -> Run:
    jobs: queue.SimpleQueue[tuple[str, str, str, bytes, float] | None] = queue.SimpleQueue()
    payloads = [_payload(path.read_bytes(), f"{plan.tag}-{n}") for n, (path, _) in enumerate(plan.letters)]
    run = Run(octets=sum(map(len, payloads)))
    lock = threading.Lock()

    def work() -> None:
        connection: _Connection | None = None
        while (job := jobs.get()) is not None:
            mark, sender, recipient, payload, due = job
            begun = time.monotonic()
            try:
                if connection is None:
                    connection = _Connection(plan)
                reply = connection.deliver(sender, recipient, payload)
            except OSError as error:
                reply, connection = f"lost: {error}", None
            with lock:
                run.sent.append(Sent(mark, due or begun, begun, time.monotonic(), reply))
            if connection is not None and connection.messages >= plan.messages_a_connection:
                connection.quit()
                connection = None
        if connection is not None:
            connection.quit()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(plan.connections)]
    cpu = time.process_time()
    run.began = time.monotonic()
    for thread in threads:
        thread.start()
    for n, (payload, (_, sender)) in enumerate(zip(payloads, plan.letters, strict=True)):
        due = run.began + n / plan.rate if plan.rate else 0.0
        if due:
            time.sleep(max(0.0, due - time.monotonic()))
        jobs.put((f"{plan.tag}-{n}", sender, plan.recipients[n % len(plan.recipients)], payload, due))
    for _ in threads:
        jobs.put(None)
    for thread in threads:
        thread.join()
    run.ended, run.cpu_seconds = time.monotonic(), time.process_time() - cpu
    return run


def _payload(raw: bytes, mark: str) -> bytes:
    """Marked above the signed fields, dots doubled, with the final dot. RFC 5321 §4.5.2."""
    end = b"" if raw.endswith(b"\r\n") else b"\r\n"
    return f"{MARK}: {mark}\r\n".encode() + raw.replace(b"\r\n.", b"\r\n..") + end + b".\r\n"


class _Connection:
    def __init__(self, plan: Plan) -> None:
        self._socket = socket.create_connection(("127.0.0.1", plan.port), timeout=120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._arrived = b""
        self.messages = 0
        self._reply()
        self._ask("EHLO out.northgate-hospital.example")
        if plan.xclient:
            self._ask(f"XCLIENT ADDR={plan.xclient} NAME=out.northgate-hospital.example")
            self._ask("EHLO out.northgate-hospital.example")

    def deliver(self, sender: str, recipient: str, payload: bytes) -> str:
        """The last reply. The envelope is pipelined, RFC 2920."""
        self.messages += 1
        self._socket.sendall(f"MAIL FROM:<{sender}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode())
        replies = [self._reply() for _ in range(3)]
        if not replies[2].startswith("354"):
            return next(reply for reply in replies if reply[:1] not in "23")
        self._socket.sendall(payload)
        return self._reply()

    def quit(self) -> None:
        with contextlib.suppress(OSError):
            self._ask("QUIT")
        self._socket.close()

    def _ask(self, line: str) -> str:
        self._socket.sendall(f"{line}\r\n".encode())
        return self._reply()

    def _reply(self) -> str:
        while True:
            line, found, rest = self._arrived.partition(b"\r\n")
            if found:
                self._arrived = rest
                if line[3:4] != b"-":
                    return line.decode("utf-8", "replace")
                continue
            more = self._socket.recv(65536)
            if not more:
                raise ConnectionResetError("the server closed the connection")
            self._arrived += more
