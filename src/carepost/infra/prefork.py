"""Worker processes that share listening sockets, under one parent that does nothing else.

Promises
    A worker that ends unasked is started again, after a pause that grows while it keeps ending.
    Asked to stop (SIGTERM, SIGINT), the parent asks every worker, waits, and ends by force those that will not;
    the sockets stay open meanwhile, so a client is never refused by a restart of one worker.
    A parent that is killed takes its workers with it.
    A worker that says it can't run here (NotPossible: a wrong schema, a weak database) stops the whole service:
    starting it again would change nothing.

The parent has no event loop: it forks, and forking a running loop is asking for trouble. What is imported before
`serve_processes` is shared memory.
"""

import asyncio
import ctypes
import errno
import gc
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import uvloop

from carepost.base.errors import NotPossible
from carepost.infra.log import get_logger

log = get_logger("serve")

# sysexits.h EX_CONFIG: systemd's RestartPreventExitStatus knows it too.
CANNOT_RUN_HERE = 78
_BACKLOG = 512
_LOOK_SECONDS = 0.1
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerGroup:
    """`count` processes that each run `run()` in an event loop of their own until it is cancelled."""

    name: str
    count: int
    run: Callable[[], Awaitable[None]]
    # Ports of other roles, which this one must not be able to answer.
    closes: Sequence[socket.socket] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PreforkPolicy:
    # How long work in hand may take to end. Docker and systemd give ten seconds and more.
    stop_seconds: float = 10.0
    # A worker that crashes at once is not started in a tight circle.
    first_pause_seconds: float = 0.5
    longest_pause_seconds: float = 30.0
    # After so long it counts as having been well.
    well_seconds: float = 60.0


@dataclass(slots=True)
class _Post:
    """One worker's place in the service, whoever fills it at the moment."""

    group: WorkerGroup
    number: int
    pid: int = 0
    began: float = 0.0
    pause: float = 0.0
    start_at: float = 0.0


@dataclass(slots=True)
class _Service:
    posts: list[_Post]
    policy: PreforkPolicy
    started: Callable[[str, int], None]
    ended: Callable[[str, int], None]
    asked_to_stop: bool = False
    exit_code: int = 0
    by_pid: dict[int, _Post] = field(default_factory=dict)


def listen_on(
    addresses: Sequence[str], *, backlog: int = _BACKLOG, patience_seconds: float = 10.0
) -> list[socket.socket]:
    """Open listening sockets for `host:port` and `[v6]:port`; workers inherit them. Call before there is a loop.

    Raises NotPossible, saying which and why, with none left open. A port in use is waited for a little: workers of a
    parent that was killed take a moment to end.
    """
    deadline = time.monotonic() + patience_seconds
    opened: list[socket.socket] = []
    try:
        for address in addresses:
            opened.append(_open_patiently(address, backlog, deadline))
    except (OSError, ValueError) as error:
        for one in opened:
            one.close()
        why = error.strerror if isinstance(error, OSError) else "it is not host:port"
        raise NotPossible(
            f"Cannot listen on {address}: {why}. Is another program using it, or is root needed?"
        ) from error
    return opened


def serve_processes(
    groups: Sequence[WorkerGroup],
    policy: PreforkPolicy | None = None,
    *,
    tend: Sequence[Callable[[], None]] = (),
    started: Callable[[str, int], None] = lambda _name, _pid: None,
    ended: Callable[[str, int], None] = lambda _name, _pid: None,
) -> int:
    """Run until asked to stop; the exit code. `tend` is called ten times a second: keep it quick.

    `started` and `ended` are told the group's name and the process number, for metrics. Call from the main thread,
    with no event loop running.
    """
    posts = [_Post(group, number) for group in groups for number in range(group.count)]
    service = _Service(posts, policy or PreforkPolicy(), started, ended)

    def stop(_number: int, _frame: object) -> None:
        service.asked_to_stop = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    gc.collect()
    gc.freeze()  # Collecting would touch, and so copy, every page that workers share.
    try:
        while not service.asked_to_stop:
            _fill_posts(service)
            _look_for_ended(service)
            for each in tend:
                each()
            if not service.asked_to_stop:
                time.sleep(_LOOK_SECONDS)
    finally:
        _stop_all(service)
        for number, handler in before.items():
            signal.signal(number, handler)
        gc.unfreeze()
    return service.exit_code


def _open_patiently(address: str, backlog: int, deadline: float) -> socket.socket:
    while True:
        try:
            return _open(address, backlog)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= deadline:
                raise
            time.sleep(_LOOK_SECONDS)


def _open(address: str, backlog: int) -> socket.socket:
    host, colon, port = address.rpartition(":")
    if not colon:
        raise ValueError(address)
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((host.strip("[]") or "0.0.0.0", int(port)))  # noqa: S104 (":25" means every interface)
        listening.listen(backlog)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening


def _fill_posts(service: _Service) -> None:
    now = time.monotonic()
    for post in service.posts:
        if post.pid == 0 and now >= post.start_at and not service.asked_to_stop:
            post.began = now
            post.pid = _fork(post)
            service.by_pid[post.pid] = post
            service.started(post.group.name, post.pid)


def _fork(post: _Post) -> int:
    parent = os.getpid()
    # Blocked until the child has handlers of its own, so that a stop in between is not lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        pid = os.fork()
        if pid == 0:
            _live_as_worker(post, parent)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
    return pid


def _live_as_worker(post: _Post, parent: int) -> None:
    """In the child. Never returns."""
    code = 1
    try:
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        libc.prctl(_PR_SET_NAME, f"carepost {post.group.name}"[:15].encode(), 0, 0, 0)  # what `ps` and `top` show
        for listening in post.group.closes:
            listening.close()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # Ctrl-C reaches the whole group of a terminal: the parent decides who stops when.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if os.getppid() == parent:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_until_asked_to_stop(post.group.run))
        code = 0
    except NotPossible as error:
        log.error("cannot run here", group=post.group.name, error=error)
        code = CANNOT_RUN_HERE
    except BaseException as error:  # noqa: BLE001 (the last line of a process: told, and turned into its exit code)
        log.error("worker failed", group=post.group.name, error=_innermost(error))
    finally:
        # Not sys.exit: the parent's cleanup handlers are not ours to run.
        os._exit(code)


async def _until_asked_to_stop(run: Callable[[], Awaitable[None]]) -> None:
    work = asyncio.ensure_future(run())
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, work.cancel)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        await work
    except asyncio.CancelledError:
        # Ours: the runner's own cancellation would arrive at this await, not at the work.
        if not work.cancelled():
            raise
    except BaseExceptionGroup as group:
        if refusal := _refusal(group):
            raise refusal from group
        raise


def _refusal(group: BaseExceptionGroup[BaseException]) -> NotPossible | None:
    found, _ = group.split(NotPossible)
    error: BaseException | None = found
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, NotPossible) else None


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _look_for_ended(service: _Service) -> None:
    # Only our workers, by number: the embedded database is somebody else's child to wait for.
    for pid in list(service.by_pid):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended == 0:
            continue
        post = service.by_pid.pop(pid)
        service.ended(post.group.name, pid)
        code = os.waitstatus_to_exitcode(status)
        post.pid = 0
        if code == CANNOT_RUN_HERE:
            service.exit_code = code
            service.asked_to_stop = True
            continue
        _plan_restart(service, post)
        log.warning("worker ended", group=post.group.name, pid=pid, code=code, pause=post.pause)


def _plan_restart(service: _Service, post: _Post) -> None:
    now, policy = time.monotonic(), service.policy
    well = now - post.began >= policy.well_seconds
    post.pause = (
        policy.first_pause_seconds if well or not post.pause else min(post.pause * 2, policy.longest_pause_seconds)
    )
    post.start_at = now + post.pause


def _stop_all(service: _Service) -> None:
    for pid in service.by_pid:
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + service.policy.stop_seconds
    while service.by_pid and time.monotonic() < deadline:
        _reap(service)
        time.sleep(0.02)
    for pid, post in service.by_pid.items():
        log.warning("worker does not stop, ended by force", group=post.group.name, pid=pid)
        os.kill(pid, signal.SIGKILL)
    while service.by_pid:
        _reap(service)
        time.sleep(0.02)


def _reap(service: _Service) -> None:
    for pid in list(service.by_pid):
        if os.waitpid(pid, os.WNOHANG)[0]:
            service.ended(service.by_pid.pop(pid).group.name, pid)
