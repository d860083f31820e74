import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from carepost.ops.health import Health


async def well() -> None:
    return None


async def ill() -> str:
    return "The disk is full."


async def broken() -> None:
    raise OSError("private words")


@asynccontextmanager
async def served(health: Health) -> AsyncIterator[int]:
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    port = listening.getsockname()[1]
    task = asyncio.create_task(health.serve([listening]))
    await asyncio.sleep(0)
    try:
        yield port
    finally:
        task.cancel()
        await asyncio.wait([task])
        listening.close()


async def ask(port: int, request: bytes) -> tuple[bytes, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return head.split(b"\r\n")[0], body


async def test_a_role_is_ready_only_while_all_it_needs_is_well() -> None:
    async with served(Health(role="relay", looks={"database": well}, metrics=lambda: b"x 1\n")) as port:
        assert (await ask(port, b"GET /readyz HTTP/1.1\r\n\r\n"))[0] == b"HTTP/1.1 200 OK"
        assert (await ask(port, b"GET /metrics HTTP/1.1\r\n\r\n"))[1] == b"x 1\n"
    async with served(
        Health(role="relay", looks={"a": well, "disk": ill, "scanner": broken}, metrics=lambda: b"")
    ) as port:
        status, body = await ask(port, b"GET /readyz HTTP/1.1\r\n\r\n")
        assert status == b"HTTP/1.1 503 Service Unavailable"
        assert json.loads(body)["wrong"] == {"disk": "The disk is full.", "scanner": "It cannot be asked (OSError)."}
        assert (await ask(port, b"GET /livez HTTP/1.1\r\n\r\n"))[0] == b"HTTP/1.1 200 OK"
        assert (await ask(port, b"POST / HTTP/1.1\r\n\r\n"))[0] == b"HTTP/1.1 400 Bad Request"
        assert (await ask(port, b"GET /secrets HTTP/1.1\r\n\r\n"))[0] == b"HTTP/1.1 404 Not Found"
        assert (await ask(port, b"\xff\r\n"))[0] == b"HTTP/1.1 400 Bad Request"
