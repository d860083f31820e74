"""The process in which the demo's world outside lives, and ends with the demo.

Promises
    It goes when its parent does, however that ends: nobody is left to answer on a port.
"""

import asyncio
import os
import signal
import socket
from pathlib import Path

from carepost.base.clock import SystemClock
from carepost.infra.prefork import listen_on
from carepost.infra.tls import DemoAuthority
from carepost.ops.demo.outside import Letterbox, OutsideTls, Sink
from carepost.ops.demo.outside_pages import OutsidePages

_LOOK_SECONDS = 0.5


def start_outside(authority: DemoAuthority, *, smtp_port: int, page_port: int) -> int:
    """Fork it, with its ports open already; the id of the process. Raises NotPossible when a port is taken.

    Call it before threads and event loops are begun.
    """
    sockets = listen_on([f"127.0.0.1:{port}" for port in (smtp_port, page_port)])
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            asyncio.run(_live(authority.folder, sockets[0], sockets[1], parent))
            code = 0
        finally:
            os._exit(code)
    for one in sockets:
        one.close()
    return child


async def _live(folder: Path, smtp: socket.socket, pages: socket.socket, parent: int) -> None:
    clock, letterbox = SystemClock(), Letterbox()
    sink = Sink(letterbox, OutsideTls(DemoAuthority(folder), clock.now()), clock)
    server = await asyncio.start_server(sink.converse, sock=smtp)
    async with asyncio.TaskGroup() as group:
        group.create_task(OutsidePages(letterbox).serve([pages]))
        while os.getppid() == parent:  # noqa: ASYNC110 - the system tells nobody that their parent has gone
            await asyncio.sleep(_LOOK_SECONDS)
        server.close()
        os._exit(0)  # conversations that hang are meant to; nobody waits for them
