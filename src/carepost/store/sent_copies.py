"""Mail programs that keep a copy of what they send: it is the message that the walk has laid into Sent already.

Promises
    One of the two is kept, the one that can be undone, traced and recalled; its UID is what the program is told.
    A copy that says anything the kept one does not (another text, a Bcc, a field of its own) is kept as well: nothing
    is lost by this. Only fields that programs write for themselves do not count.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from carepost.base.clock import Clock
from carepost.base.ids import Uid
from carepost.message.parse import parse
from carepost.store.messages import MessageStore
from carepost.store.model import FolderView, Laid, MailboxLike

# What Thunderbird, mutt and others note for themselves in the copy they keep, and never send.
_OWN_FIELDS = re.compile(
    rb"(x-mozilla-\S+|x-identity-key|x-account-key|x-mutt-\S+|x-evolution-\S+|fcc|status|x-status|x-uid|x-keywords"
    rb"|content-length|lines)"
)
_FIELD = re.compile(rb"([^\s:]+)[ \t]*:(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentCopiesPolicy:
    # A program keeps its copy after the message was taken: at once, or when it is online again.
    within: timedelta = timedelta(minutes=15)
    looked_through: int = 20  # the newest in Sent


@dataclass(frozen=True, slots=True, kw_only=True)
class SentCopies:
    messages: MessageStore
    clock: Clock
    policy: SentCopiesPolicy = field(default_factory=SentCopiesPolicy)

    async def kept(self, mailbox: MailboxLike, folder: FolderView, raw: bytes) -> Laid | None:
        """Where the message lies of which `raw` is a copy; None when there is none or it says more. `folder`: Sent."""
        wanted = parse(raw).message_id
        if not wanted:
            return None
        since = self.clock.now() - self.policy.within
        page = await self.messages.page(mailbox, folder.id, limit=self.policy.looked_through)
        for line in page.lines:
            row = line.row
            if row.trace is None or row.internal_date < since or line.summary.message_id != wanted:
                continue
            known = await self.messages.body(mailbox, folder.id, int(row.uid))
            if known is not None and says_no_more(raw, known):
                return Laid(mailbox.id, folder.id, folder.uidvalidity, Uid(int(row.uid)), row.modseq)
        return None


def says_no_more(copy: bytes, known: bytes) -> bool:
    """PURE. Whether everything in `copy` stands in `known` too: every field with its value, and the whole body."""
    head, body = _parted(copy)
    known_head, known_body = _parted(known)
    if body.rstrip(b"\n") != known_body.rstrip(b"\n"):
        return False
    mine = Counter(one for one in _fields(head) if not _OWN_FIELDS.fullmatch(one[0]))
    return not mine - Counter(_fields(known_head))


def _parted(raw: bytes) -> tuple[bytes, bytes]:
    head, _, body = raw.replace(b"\r\n", b"\n").partition(b"\n\n")
    return head, body


def _fields(head: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and value, folding aside. A line that is no field counts as it stands."""
    for line in re.sub(rb"\n[ \t]+", b" ", head).split(b"\n"):
        found = _FIELD.fullmatch(line)
        if found is None:
            yield b"", line
        else:
            yield found[1].lower(), b" ".join(found[2].split())
