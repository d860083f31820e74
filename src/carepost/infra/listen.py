"""NOTIFY, received: one connection that only listens, and comes back when it is lost.

Promises
    After every connection, the first and each later one, "" is yielded: notifications may have been missed.
    A server that vanished without a word is noticed within a minute.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import LiteralString

import psycopg
from psycopg import sql

_QUIET_SECONDS = 30.0  # After so long without a word we ask whether anybody is there.
_RETRY_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0)
_ANSWER_SECONDS = 15.0


async def listen(dsn: str, channel: LiteralString) -> AsyncIterator[str]:
    """Payloads notified on `channel`, and "" whenever some may have been missed. Ends only when closed."""
    failures = 0
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                failures = 0
                yield ""
                while True:
                    async for notice in connection.notifies(timeout=_QUIET_SECONDS):
                        yield notice.payload
                    async with asyncio.timeout(_ANSWER_SECONDS):
                        await connection.execute("SELECT 1")
        except (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError):
            await asyncio.sleep(_RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)])
            failures += 1
