"""Letting connections in, one at a time: so that workers who share a port share the work.

Promises
    A worker takes one connection from the kernel's queue, then looks at everything else it has to do. One that has
    more conversations than another waits a moment longer, so the other comes first.
    Out of descriptors or memory it pauses and goes on; nothing in the queue is lost by that.

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
        loop.remove_reader(listening)
        listening.close()


async def _let_one_in(
    loop: asyncio.AbstractEventLoop, listening: socket.socket, protocol: Callable[[], asyncio.Protocol]
) -> bool:
    try:
        connection, _ = await loop.sock_accept(listening)
    except OSError as error:
        if error.errno in _SHORT:
            log.error("no room for connections", error=error)
            await asyncio.sleep(_SECONDS_SHORT)
        return False  # otherwise the stranger has left again
    try:
        connection.setblocking(False)
        await loop.connect_accepted_socket(protocol, connection)
    except BaseException as error:
        connection.close()
        if isinstance(error, OSError):
            return False
        raise
    return True
