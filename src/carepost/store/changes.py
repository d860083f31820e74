"""Who is looking is told: the change feed of folders, over LISTEN 'mail'.

Promises
    A watcher is called soon after every COMMIT that changed its mailbox; it gets numbers, never content.
    When the feed's connection was lost, every watcher is called once it is back: something may have been missed.
    A watcher that raises is dropped from nobody else's way.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from carepost.base.ids import FolderId, MailboxId
from carepost.infra.db import Database

# Called with the folder and its MODSEQ, or (None, 0) for "look for yourself". Must not block: set an event, no more.
Watcher = Callable[[FolderId | None, int], None]


@dataclass(frozen=True, slots=True)
class Changes:
    db: Database
    _watchers: dict[MailboxId, set[Watcher]] = field(default_factory=lambda: defaultdict(set))

    async def run(self) -> None:
        """Pass on changes for ever. One task a process."""
        async for payload in self.db.listen("mail"):
            if not payload:
                self._everyone()
                continue
            mailbox, folder, modseq = (int(part) for part in payload.split(":"))
            for watcher in tuple(self._watchers.get(MailboxId(mailbox), ())):
                watcher(FolderId(folder), modseq)

    @contextmanager
    def watch(self, mailbox: MailboxId, watcher: Watcher) -> Iterator[None]:
        """Call `watcher` at every change of the mailbox while the block lasts."""
        self._watchers[mailbox].add(watcher)
        try:
            yield
        finally:
            self._watchers[mailbox].discard(watcher)
            if not self._watchers[mailbox]:
                del self._watchers[mailbox]

    def _everyone(self) -> None:
        for watchers in tuple(self._watchers.values()):
            for watcher in tuple(watchers):
                watcher(None, 0)
