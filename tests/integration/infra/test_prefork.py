"""The parent of the workers: shared sockets, restarts, and an orderly end."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from carepost.base.errors import NotPossible
from carepost.infra.prefork import CANNOT_RUN_HERE, listen_on

SERVICE = """
    import asyncio, os, sys
    from carepost.base.errors import NotPossible
    from carepost.infra.log import configure
    from carepost.infra.prefork import PreforkPolicy, WorkerGroup, listen_on, serve_processes

    configure()
    (door,) = listen_on(["127.0.0.1:0"])
    print(door.getsockname()[1], flush=True)

    async def answer(reader, writer):
        word = (await reader.readline()).strip()
        if word == b"crash":
            os._exit(9)
        writer.write(b"%d\\n" % os.getpid())
        await writer.drain()
        writer.close()

    async def run():
        server = await asyncio.start_server(answer, sock=door)
        try:
            await server.serve_forever()
        finally:
            os.write(1, b"worker ended well\\n")  # One write: two workers end at once, and print writes twice.

    async def refuse():
        async with asyncio.TaskGroup() as group:
            group.create_task(give_up())

    async def give_up():
        raise NotPossible("The database schema is at step 1.")

    async def deaf():
        asyncio.get_running_loop().call_soon(os.write, 1, b"deaf\\n")
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass

    kinds = {"run": run, "refuse": refuse, "deaf": deaf}
    groups = [WorkerGroup(name=kind, count=int(count), run=kinds[kind]) for kind, count in
              (word.split("=") for word in sys.argv[1:])]
    policy = PreforkPolicy(stop_seconds=1 if "deaf=1" in sys.argv else 60, first_pause_seconds=0.05)
    sys.exit(serve_processes(groups, policy, started=lambda name, pid: os.write(1, f"started {name} {pid}\\n".encode())))
"""


@contextmanager
def service(*groups: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SERVICE), *groups],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def read(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def ask(port: int, word: str = "hello") -> str:
    """One question to whichever worker takes it; tried again while none is there."""
    with socket.create_connection(("127.0.0.1", port), timeout=180) as connection:
        connection.sendall(word.encode() + b"\n")
        return connection.makefile().readline().strip()


def worker_pids(process: subprocess.Popen[str], number: int) -> list[int]:
    return [int(read(process).split()[-1]) for _ in range(number)]


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123 - a zombie whose parent is init is as good as gone
        return file.read().rsplit(")", 1)[1].split()[0] == "Z"


def test_workers_share_a_port_and_end_well_when_asked() -> None:
    with service("run=2") as process:
        port = int(read(process))
        pids = worker_pids(process, 2)
        assert {ask(port) for _ in range(20)} <= {str(pid) for pid in pids}
        process.send_signal(signal.SIGTERM)
        assert [read(process), read(process)] == ["worker ended well"] * 2
        assert process.wait(180) == 0
        assert all(gone(pid) for pid in pids)


def test_a_worker_that_crashes_is_started_again_and_the_door_stays_open() -> None:
    with service("run=1") as process:
        port = int(read(process))
        (first,) = worker_pids(process, 1)
        assert ask(port) == str(first)
        assert ask(port, "crash") == ""
        (second,) = worker_pids(process, 1)
        assert ask(port) == str(second) != str(first)
        process.send_signal(signal.SIGINT)
        assert process.wait(180) == 0


def test_a_worker_that_cannot_run_here_stops_the_service() -> None:
    with service("run=1", "refuse=1") as process:
        assert process.wait(180) == CANNOT_RUN_HERE


def test_a_deaf_worker_is_ended_by_force() -> None:
    with service("deaf=1") as process:
        read(process)
        # The worker and its parent write in either order: it is deaf when both have.
        said = {line.split()[0]: line.split()[-1] for line in (read(process), read(process))}
        assert said.keys() == {"deaf", "started"}
        pid = int(said["started"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(180) == 0
        assert gone(pid)


def test_a_killed_parent_takes_its_workers_with_it() -> None:
    with service("run=2") as process:
        port = int(read(process))
        pids = worker_pids(process, 2)
        ask(port)
        process.kill()
        process.wait()
        for _ in range(3000):
            if all(gone(pid) for pid in pids):
                break
            time.sleep(0.02)
        assert all(gone(pid) for pid in pids)


def test_a_port_in_use_is_an_error_in_words_and_leaves_nothing_open() -> None:
    (taken,) = listen_on(["127.0.0.1:0"])
    with taken:
        port = taken.getsockname()[1]
        with pytest.raises(NotPossible, match=f"127.0.0.1:{port}"):
            listen_on(["[::1]:0", f"127.0.0.1:{port}"], patience_seconds=0.1)  # meant to run out
    with pytest.raises(NotPossible, match="nonsense"):
        listen_on(["nonsense"])
