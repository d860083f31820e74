"""Mail that somebody's rule sent on to us: by a service that is not secure, a reader has to know. R162.

Promises
    It only notes what the message itself says of its way. A stranger who writes such marks gets a warning put on their
    mail, and one who leaves them out is from outside all the same.
"""

import re
from collections.abc import Iterator
from contextlib import suppress

from carepost.base.address import Domain, EmailAddress
from carepost.base.errors import Malformed
from carepost.gateway.model import Check, Examination, Finding
from carepost.gateway.ports import Register
from carepost.message.addresses import each
from carepost.message.model import Message

NAME = "forwarded"
# What a forwarding service puts before the address that it rewrites: the sender rewriting scheme, and Gmail's own.
_REWRITTEN = re.compile(r"(?:srs[01][=+-].*|.*\+caf_=.*)", re.IGNORECASE)
# Who sent it on by itself; Delivered-To is what mail systems note at the end of a way.
_MARKS = ("x-forwarded-for", "x-forwarded-to", "delivered-to", "resent-from")
_LISTS = ("list-id", "list-post")
_MARKS_MAX = 10  # of one name


def forwarded(known: Register) -> Check:
    async def look(examination: Examination) -> list[Finding]:
        own = await known.own_domains()
        for domain in dict.fromkeys(_senders_on(examination)):
            ours = any(domain.is_within(one) for one in own)
            if not ours and not await known.lists(domain):
                says = f"It was sent on to us by a rule of a mailbox at {domain}, which is not on the secure register."
                return [Finding(code="forwarded-in", weight=1, says=says, check=NAME)]
        return []

    return Check(NAME, look)


def _senders_on(examination: Examination) -> Iterator[Domain]:
    """The domains of the mailboxes that sent it on, as the message tells."""
    path, message = examination.envelope.reverse_path, examination.message
    if path is not None and _REWRITTEN.fullmatch(path.local):
        yield path.domain
    # A list notes its own way; whoever reads it has asked for it.
    if any(message.first(name) for name in _LISTS):
        return
    for name in _MARKS:
        yield from _domains(message, name)


def _domains(message: Message, name: str) -> Iterator[Domain]:
    for one in list(each(message.addresses(name, _MARKS_MAX)))[:_MARKS_MAX]:
        with suppress(Malformed):
            yield EmailAddress.parse(one.address).domain
