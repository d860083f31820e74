"""Errors as replies, and deadlines: what every SMTP door says when something did not work.

Promises
    Broken and everything unforeseen is 451: a bug of ours must not lose their mail.
    The log gets an error's family and place; never its text, which may quote the message.
"""

import asyncio
import re
from collections.abc import Awaitable, Mapping
from typing import TypeVar

from carepost.base.errors import Broken, MailError, Malformed, NotAllowed, NotPossible, TryLater
from carepost.gateway.model import Refused
from carepost.infra.log import get_logger
from carepost.protocols.smtp.spool import NoRoom
from carepost.wire import smtp_replies as replies
from carepost.wire.smtp_replies import Reply

log = get_logger("smtp")

Result = TypeVar("Result")

# RFC 5321 §4.2.1, RFC 3463 §3. The nearest family decides.
SMTP_ANSWER: Mapping[type[BaseException], Reply] = {
    Malformed: replies.MESSAGE_MALFORMED,
    NotAllowed: replies.NOT_ACCEPTED,
    NotPossible: replies.NOT_POSSIBLE,
    TryLater: replies.TRY_LATER,
    NoRoom: replies.NO_ROOM,
    Broken: replies.TRY_LATER,
}
_PERMANENT_STATUS = re.compile(r"5\.\d{1,3}\.\d{1,3}")


async def within(seconds: float, work: Awaitable[Result]) -> Result:
    """Raises TryLater when it takes longer."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError as error:
        raise TryLater("It took too long", seconds=seconds) from error


def answer_to(error: Exception, what: str) -> Reply:
    """The reply for an error; `what` is for the log."""
    if isinstance(error, Refused) and _PERMANENT_STATUS.fullmatch(error.enhanced_status):
        log.info("refused by policy", what=what)
        return Reply(550, error.enhanced_status, error.public)
    if isinstance(error, MailError):
        log.warning(what, error=error)
    else:
        log.error(what, error=error)
    return next((SMTP_ANSWER[kind] for kind in type(error).__mro__ if kind in SMTP_ANSWER), replies.TRY_LATER)


def answer_to_person(error: Exception, what: str) -> Reply:
    """The same for somebody who has signed in: they are told why, in the error's own words."""
    reply = answer_to(error, what)
    if isinstance(error, MailError) and reply.code >= 500:
        return Reply(reply.code, reply.status, error.public)
    return reply
