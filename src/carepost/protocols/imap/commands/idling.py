"""IDLE: the client waits, and is told when something changes. RFC 9051 §6.3.13."""

import asyncio

from carepost.base.errors import MailError, NotAllowed
from carepost.directory.access import Verb
from carepost.protocols.imap.conversation import Answer, Conversation
from carepost.wire import imap_replies as replies

# The database is restarting, or busy: it is asked again so often while the client waits.
_ASK_AGAIN_S = 1.0


async def idle(talk: Conversation, _command: object) -> Answer:
    """Until DONE, or half an hour. Rights that were withdrawn end it."""
    limits = talk.services.limits
    loop = asyncio.get_running_loop()
    ends = loop.time() + limits.idle_s
    talk.engine.await_line()
    await talk.say(replies.go_on("Waiting."))
    while (left := ends - loop.time()) > 0:
        # News first: what changed before IDLE began is told as well.
        line = await _told_or_line(talk, min(left, limits.idle_still_here_s))
        if line is None:
            await talk.say(replies.untagged("OK", "Still here."))
        elif line.upper() == b"DONE":
            return Answer.ok("Done waiting.")
        elif line:
            return Answer.bad("Only DONE ends IDLE.")
    await talk.say(replies.untagged("BYE", "You have been waiting for half an hour. Please connect again."))
    raise ConnectionAbortedError("idle for too long")


async def _told_or_line(talk: Conversation, wait_s: float) -> bytes | None:
    """What the client wrote; b"" when it was told something instead; None when nothing happened for `wait_s`."""
    if talk.selected is not None and talk.changed:
        await _tell(talk)
        return b""
    return await talk.line.read_line(wait_s=wait_s, or_changed=True)


async def _tell(talk: Conversation) -> None:
    selected = talk.folder
    try:
        async with asyncio.timeout(talk.services.limits.command_s):
            await talk.ask(Verb.MAILBOX_READ, selected.mailbox)
            await talk.look()
    except NotAllowed:
        await talk.say(replies.untagged("BYE", "You no longer have access to this mailbox."))
        raise ConnectionAbortedError("rights were withdrawn") from None
    except (MailError, TimeoutError):
        talk.changed = True  # the store can't be asked just now: it will be, before the client hears anything else
        await asyncio.sleep(_ASK_AGAIN_S)
        return
    await talk.tell(expunges=True)
