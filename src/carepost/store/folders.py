"""Folders of a mailbox: make, name, subscribe, remove. Their names are sealed; their purposes are not.

Promises
    Every mailbox has an INBOX and the five special folders from its first hour.
    A folder that holds mail is not deleted here: its messages are moved or expunged first, by somebody's decision.
    A name once deleted comes back with a higher UIDVALIDITY. RFC 9051 §2.3.1.1.
"""

import hmac
import re
import unicodedata
from dataclasses import dataclass

from carepost.base.clock import Clock
from carepost.base.errors import Malformed, NotPossible
from carepost.base.ids import FolderId
from carepost.infra import vault
from carepost.infra.db import Database, Transaction
from carepost.store import repo
from carepost.store.keys import Keystore, MailboxKeys
from carepost.store.model import FolderView, MailboxLike, SpecialUse

INBOX = "INBOX"
NAME_MAX = 500  # characters of a whole name, levels included
LEVELS_MAX = 10

# What a new mailbox starts with; the names people see. RFC 6154.
FIRST_FOLDERS: tuple[tuple[str, SpecialUse], ...] = (
    (INBOX, SpecialUse.INBOX),
    ("Archive", SpecialUse.ARCHIVE),
    ("Drafts", SpecialUse.DRAFTS),
    ("Junk", SpecialUse.JUNK),
    ("Sent", SpecialUse.SENT),
    ("Bin", SpecialUse.TRASH),
)

_FOLDER_NAME = b"carepost folder name"
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff%*\\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Read and change the folders of a mailbox. The caller has asked `authorize()` already."""

    db: Database
    keys: Keystore
    clock: Clock

    async def furnish(self, tx: Transaction, mailbox: MailboxLike) -> None:
        """Give a new mailbox its first folders; harmless when it has them."""
        held = await self.keys.mailbox(tx, mailbox)
        for name, special_use in FIRST_FOLDERS:
            await self._insert(tx, mailbox, held, name, special_use)

    async def all(self, mailbox: MailboxLike) -> list[FolderView]:
        """Every folder: INBOX first, then special ones, then by name."""
        async with self.db.transaction(mailbox.organisation) as tx:
            held = await self.keys.mailbox(tx, mailbox)
            views = [self._view(mailbox, held, row) for row in await repo.folders(tx, mailbox.id)]
        return sorted(views, key=_place)

    async def by_id(self, mailbox: MailboxLike, folder: FolderId) -> FolderView | None:
        async with self.db.transaction(mailbox.organisation) as tx:
            row = await repo.folder(tx, mailbox.id, folder)
            return None if row is None else self._view(mailbox, await self.keys.mailbox(tx, mailbox), row)

    async def named(self, mailbox: MailboxLike, name: str) -> FolderView | None:
        """The folder of that name; INBOX in any case. RFC 9051 §5.1."""
        wanted = _same(name)
        return next((view for view in await self.all(mailbox) if _same(view.name) == wanted), None)

    async def create(self, mailbox: MailboxLike, name: str) -> FolderId:
        """Raise Malformed for a name that can't be one, NotPossible when there is one of that name."""
        name = checked_name(name)
        async with self.db.transaction(mailbox.organisation) as tx:
            held = await self.keys.mailbox(tx, mailbox)
            made = await self._insert(tx, mailbox, held, name, None)
        if made is None:
            raise NotPossible("There is a folder of that name already.", code="ALREADYEXISTS")
        return made

    async def rename(self, mailbox: MailboxLike, folder: FolderId, to: str) -> None:
        """Rename a folder and those below it; special ones keep their names. Raise NotPossible if the name is taken."""
        to = checked_name(to)
        views = {view.id: view for view in await self.all(mailbox)}
        if folder not in views:
            raise NotPossible("That folder no longer exists.", code="NONEXISTENT")
        if views[folder].special_use is not None:
            raise NotPossible("This folder has a fixed purpose and keeps its name.", code="CANNOT")
        if any(_same(view.name) == _same(to) and view.id != folder for view in views.values()):
            raise NotPossible("There is a folder of that name already.", code="ALREADYEXISTS")
        before = views[folder].name
        async with self.db.transaction(mailbox.organisation) as tx:
            held = await self.keys.mailbox(tx, mailbox)
            for view in views.values():
                if view.id == folder or view.name.startswith(before + "/"):
                    name = checked_name(to + view.name[len(before) :])
                    sealed, token = self._sealed_name(mailbox, held, name)
                    await repo.rename_folder(tx, mailbox.id, view.id, name=sealed, name_token=token)

    async def delete(self, mailbox: MailboxLike, folder: FolderId) -> None:
        """Raise NotPossible while it holds messages, or when it has a fixed purpose."""
        view = await self.by_id(mailbox, folder)
        if view is None:
            raise NotPossible("That folder no longer exists.", code="NONEXISTENT")
        if view.special_use is not None:
            raise NotPossible("This folder has a fixed purpose and cannot be deleted.", code="CANNOT")
        async with self.db.transaction(mailbox.organisation) as tx:
            await repo.lock_folder(tx, mailbox.id, folder)
            if not await repo.delete_folder(tx, mailbox.id, folder):
                raise NotPossible("This folder still holds messages. Move or delete them first.", code="INUSE")

    async def subscribe(self, mailbox: MailboxLike, folder: FolderId, *, subscribed: bool) -> None:
        async with self.db.transaction(mailbox.organisation) as tx:
            await repo.subscribe_folder(tx, mailbox.id, folder, subscribed=subscribed)

    async def _insert(
        self, tx: Transaction, mailbox: MailboxLike, held: MailboxKeys, name: str, special_use: SpecialUse | None
    ) -> FolderId | None:
        sealed, token = self._sealed_name(mailbox, held, name)
        return await repo.insert_folder(
            tx,
            mailbox=mailbox.id,
            organisation=mailbox.organisation,
            name=sealed,
            name_token=token,
            special_use=special_use.value if special_use else None,
            at=self.clock.now(),
        )

    def _sealed_name(self, mailbox: MailboxLike, held: MailboxKeys, name: str) -> tuple[bytes, bytes]:
        token = hmac.digest(vault.subkey(held.key, b"carepost folder token"), _same(name).encode(), "sha256")[:16]
        return vault.seal_small(held.key, _FOLDER_NAME, _name_aad(mailbox), name.encode()), token

    def _view(self, mailbox: MailboxLike, held: MailboxKeys, row: repo.FolderRow) -> FolderView:
        return FolderView(
            id=row.id,
            mailbox=mailbox.id,
            name=vault.open_small(held.key, _FOLDER_NAME, _name_aad(mailbox), row.name).decode(),
            special_use=row.special_use,
            uidvalidity=row.uidvalidity,
            uidnext=row.uidnext,
            highest_modseq=row.highest_modseq,
            messages=row.messages,
            unseen=row.unseen,
            octets=row.octets,
            subscribed=row.subscribed,
        )


def checked_name(name: str) -> str:
    """A folder name as we keep it: NFC, levels divided by "/". Raise Malformed otherwise."""
    name = unicodedata.normalize("NFC", name.removesuffix("/"))
    levels = name.split("/")
    if _FORBIDDEN.search(name) or not all(level.strip() == level and level for level in levels):
        raise Malformed(
            "A folder's name cannot be empty, begin or end with a space, or contain control characters, *, % or \\."
        )
    if len(name) > NAME_MAX or len(levels) > LEVELS_MAX:
        raise Malformed(f"A folder's name can have {NAME_MAX} characters and {LEVELS_MAX} levels at most.")
    if levels[0].upper() == INBOX:
        levels[0] = INBOX
    return "/".join(levels)


def _same(name: str) -> str:
    return INBOX if name.upper() == INBOX else name


def _name_aad(mailbox: MailboxLike) -> bytes:
    return vault.bound("folder name", mailbox.organisation, mailbox.id)


def _place(view: FolderView) -> tuple[int, str]:
    order = [use for _, use in FIRST_FOLDERS]
    return (order.index(view.special_use) if view.special_use else len(order), view.name.casefold())
