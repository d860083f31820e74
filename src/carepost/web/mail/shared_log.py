"""Who was in a shared mailbox: written down once for each session and mailbox (R51, NTA 7516).

Each worker remembers for itself, so a session that is served by several may be written down by each of them once.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from carepost.audit.events_mail import SharedMailboxOpened
from carepost.base.ids import MailboxId
from carepost.directory.model import MailboxKind
from carepost.store.filing import Filing
from carepost.web.shell import Visit

REMEMBERED_MAX = 20_000  # sessions and mailboxes: a day of a trust; the oldest are forgotten and written down again


@dataclass(frozen=True, slots=True)
class SharedLog:
    filing: Filing  # whose database and audit trail it is
    _seen: OrderedDict[tuple[int, MailboxId], None] = field(default_factory=OrderedDict)

    async def note(self, visit: Visit) -> None:
        """Before the page is made: whoever sees it has been written down."""
        mailbox = visit.mailbox().mailbox
        key = (visit.me.session, mailbox.id)
        if mailbox.kind is not MailboxKind.SHARED or key in self._seen:
            return
        async with self.filing.db.transaction(mailbox.organisation) as tx:
            await self.filing.audit.record(tx, visit.me.actor, SharedMailboxOpened(mailbox=mailbox.id, door="web"))
        self._seen[key] = None
        if len(self._seen) > REMEMBERED_MAX:
            self._seen.popitem(last=False)
