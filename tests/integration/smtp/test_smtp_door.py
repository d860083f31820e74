"""The door of port 25: whoever is let in is either served or hung up on, at whatever moment the door is closed."""

import asyncio
import gc
import socket

import pytest

from carepost.protocols.smtp.door import let_in


class Guest(asyncio.Protocol):
    """Hangs up at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


@pytest.mark.parametrize("steps", range(6))
async def test_a_door_that_closes_loses_nobody_who_was_just_let_in(steps: int) -> None:
    """A connection that was accepted and forgotten is one of the descriptors, and a sender who waits for nothing."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    door = asyncio.create_task(let_in(listening, Guest, lambda: 0))
    await asyncio.sleep(0)
    with socket.create_connection(listening.getsockname(), timeout=30) as client:
        for _ in range(steps):
            await asyncio.sleep(0)
        door.cancel()
        await asyncio.wait([door], timeout=30)
        assert door.cancelled()
        await asyncio.sleep(0)
        gc.collect()  # a socket that nobody has closed says so now, and that fails the test
        assert await asyncio.wait_for(asyncio.to_thread(_last_word, client), 30) == b""


def _last_word(client: socket.socket) -> bytes:
    try:
        return client.recv(1)
    except ConnectionResetError:  # still in the kernel's queue when the door was closed
        return b""
