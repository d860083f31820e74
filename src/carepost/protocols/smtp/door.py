"""Letting connections in, one at a time: so that workers who share a port share the work.

Promises
    A worker takes one connection from the kernel's queue, then looks at everything else it has to do. One that has
    more conversations than another waits a moment longer, so the other comes first.
    Out of descriptors or memory it pauses and goes on; nothing in the queue is lost by that.
    Whoever has been accepted is served or hung up on, also when the door is closed in that moment.

An event loop's own server takes all that wait at once: of two workers one got twenty senders and the other none.
"""

import asyncio
import errno
import socket
from collections.abc import Callable

from carepost.infra.log import get_logger

log = get_logger("smtp")

# A worker waits this long for each of its conversations before it takes another, and never longer than the second
# number: 500 connections a second for each worker are more than any site's mail brings.
_SECONDS_EACH = 0.0002
_SECONDS_MOST = 0.002
# What is short now (descriptors, memory) is so for a while.
_SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_SECONDS_SHORT = 1.0


async def let_in(
    listening: socket.socket, protocol: Callable[[], asyncio.Protocol], conversations: Callable[[], int]
) -> None:
    """Accept until cancelled, then close the door. `conversations` says how many this worker has now."""
    loop = asyncio.get_running_loop()
    try:
        while True:
            if await _let_one_in(loop, listening, protocol):
                await asyncio.sleep(min(conversations() * _SECONDS_EACH, _SECONDS_MOST))
    finally:
        listening.close()


async def _let_one_in(
    loop: asyncio.AbstractEventLoop, listening: socket.socket, protocol: Callable[[], asyncio.Protocol]
) -> bool:
    try:
        connection, _ = listening.accept()
    except BlockingIOError:
        await _knock(loop, listening)
        return False
    except OSError as error:
        if error.errno in _SHORT:
            log.error("no room for connections", error=error)
        # Otherwise the stranger has left again.
        await asyncio.sleep(_SECONDS_SHORT if error.errno in _SHORT else 0)
        return False
    try:
        connection.setblocking(False)
        await loop.connect_accepted_socket(protocol, connection)
    except BaseException as error:
        connection.close()
        if isinstance(error, OSError):
            return False
        raise
    return True


async def _knock(loop: asyncio.AbstractEventLoop, listening: socket.socket) -> None:
    """Until somebody waits. Not `sock_accept`: cancelled in the wrong moment, it drops whom it has just let in."""
    knocked = loop.create_future()
    loop.add_reader(listening, _tell, knocked)
    try:
        await knocked
    finally:
        loop.remove_reader(listening)


def _tell(knocked: "asyncio.Future[None]") -> None:
    if not knocked.done():
        knocked.set_result(None)
