"""Looking: every check at once, each with a deadline.

Promises
    A check that raises or takes too long becomes a finding; the facts it would have given are then unknown, and an
    unknown fact holds the message. Never an exception, never a silent pass.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from carepost.gateway.contents import ContentLimits, Contents, read_contents
from carepost.gateway.facts import CHECK_FAILED
from carepost.gateway.model import Check, Examination, Finding
from carepost.message.model import Message
from carepost.message.parse import parse

T = TypeVar("T")

# Reading and looking at this much takes a millisecond, and 20 ms when it was made to take long; with more, the work
# goes to a thread and other sessions go on.
IN_LINE_BYTES = 32_768


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamineLimits:
    """How long the examination of one message may take."""

    # The sender waits for our answer after the final dot: RFC 5321 §4.5.3.2.6 lets it wait ten minutes, many wait less.
    check_seconds: float = 45.0
    contents: ContentLimits = field(default_factory=ContentLimits)


async def read(raw: bytes, limits: ExamineLimits) -> tuple[Message, Contents]:
    """The message and everything that might be in it. A large one is read in a thread."""
    if len(raw) <= IN_LINE_BYTES:
        return _read(raw, limits.contents)
    return await asyncio.to_thread(_read, raw, limits.contents)


def _read(raw: bytes, limits: ContentLimits) -> tuple[Message, Contents]:
    message = parse(raw)
    return message, read_contents(message, limits)


async def examine(examination: Examination, checks: Sequence[Check], limits: ExamineLimits) -> list[Finding]:
    """Run every check at once. One that fails says so as a finding."""
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(_guarded(check, examination, limits.check_seconds)) for check in checks]
    return [finding for task in running for finding in task.result()]


async def _guarded(check: Check, examination: Examination, seconds: float) -> list[Finding]:
    try:
        async with asyncio.timeout(seconds):
            return await check.look(examination)
    except Exception as error:  # noqa: BLE001 - rule 9: what a check cannot do is a finding
        return [failed(check.name, type(error).__name__)]


def failed(check: str, kind: str) -> Finding:
    """`kind` is the name of an error's class: never its text, which may quote the message."""
    return Finding(
        code=CHECK_FAILED,
        weight=3,
        says=f"The check “{check}” could not be done ({kind}).",
        check=check,
        facts={"check": check},
    )


async def aside(size: int, work: Callable[[], T]) -> T:
    """Do pure work that may be long: here when `size` bytes are few, else in a thread."""
    if size <= IN_LINE_BYTES:
        return work()
    return await asyncio.to_thread(work)
