"""Reading and sanitising without holding up others: long messages are read, long bodies cleaned, in a thread."""

import asyncio

from carepost.message.model import Message
from carepost.message.parse import parse
from carepost.message.sanitise import ImageAddress, SafeHtml, no_images, safe_html

IN_THREAD_CHARACTERS = 20_000  # about 10 ms of work
LONG_OCTETS = 128 << 10  # about as much, when the message was made to take long


async def clean(html: str, *, image_at: ImageAddress = no_images) -> SafeHtml:
    """What `safe_html` makes of it."""
    if len(html) > IN_THREAD_CHARACTERS:
        return await asyncio.to_thread(safe_html, html, image_at=image_at)
    return safe_html(html, image_at=image_at)


async def read(raw: bytes) -> Message:
    """A stored message. A long one is read in a thread: everybody else's pages wait for what is done here."""
    return await asyncio.to_thread(parse, raw) if len(raw) > LONG_OCTETS else parse(raw)
