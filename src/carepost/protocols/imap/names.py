"""How a client sees folders: the person's own at the top, shared mailboxes below `Shared/<address>`. PURE.

Promises
    A name leads to one mailbox and one name within it, or nowhere; nobody's own folder can pose as a shared one.
    A pattern takes time in proportion to its length times the name's, whatever is in it (P23).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from carepost.directory.model import MailboxAccess, MailboxKind
from carepost.store.model import FolderView, SpecialUse

SHARED = "Shared"
DELIMITER = "/"
# No name is longer (store.folders.NAME_MAX and what stands before it), so no pattern needs to be.
PATTERN_MAX = 1000
_WILDCARDS = re.compile(r"[*%]+")

# RFC 6154 §2. INBOX has none.
SPECIAL_USES: dict[SpecialUse, str] = {
    SpecialUse.ARCHIVE: "\\Archive",
    SpecialUse.DRAFTS: "\\Drafts",
    SpecialUse.JUNK: "\\Junk",
    SpecialUse.SENT: "\\Sent",
    SpecialUse.TRASH: "\\Trash",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A mailbox, and a name within it as the store knows it (empty: the mailbox itself)."""

    access: MailboxAccess
    name: str

    @property
    def shared(self) -> bool:
        return self.access.mailbox.kind is not MailboxKind.PERSONAL


@dataclass(frozen=True, slots=True)
class Shown:
    """One name of a list. `view` is None for a level that only leads to others."""

    name: str
    view: FolderView | None
    has_children: bool
    shared: bool = False


def place_of(name: str, mailboxes: Sequence[MailboxAccess]) -> Place | None:
    """Where `name` leads, whether or not there is such a folder; None for nowhere."""
    head, _, rest = name.partition(DELIMITER)
    if head.casefold() != SHARED.casefold():
        own = next((access for access in mailboxes if access.mailbox.kind is MailboxKind.PERSONAL), None)
        return Place(own, name) if own is not None and name else None
    address, _, inner = rest.partition(DELIMITER)
    for access in mailboxes:
        if access.mailbox.kind is not MailboxKind.PERSONAL and access.mailbox.address.key == address.lower():
            return Place(access, inner)
    return None


def prefix_of(access: MailboxAccess) -> str:
    """What stands before the names of this mailbox's folders."""
    if access.mailbox.kind is MailboxKind.PERSONAL:
        return ""
    return f"{SHARED}{DELIMITER}{access.mailbox.address.key}{DELIMITER}"


def tree(folders: Iterable[tuple[MailboxAccess, FolderView]]) -> list[Shown]:
    """Every name there is, levels that only lead to others included, in an order that people expect."""
    views: dict[str, tuple[FolderView, bool]] = {}
    parents: dict[str, bool] = {}
    for access, view in folders:
        prefix = prefix_of(access)
        name = prefix + view.name
        views[name] = (view, bool(prefix))
        while DELIMITER in name:
            name = name.rpartition(DELIMITER)[0]
            parents[name] = bool(prefix)
    shown = [Shown(name, view, name in parents, shared) for name, (view, shared) in views.items()]
    shown += [
        Shown(name, None, has_children=True, shared=shared) for name, shared in parents.items() if name not in views
    ]
    return sorted(shown, key=lambda one: (one.shared, one.name != "INBOX", one.name.casefold(), one.name))


def matches(pattern: str, name: str) -> bool:
    """RFC 9051 §6.3.9: `*` is anything, `%` anything within one level."""
    if len(pattern) > PATTERN_MAX:
        return False
    if pattern.upper() == "INBOX":
        pattern = "INBOX"
    # Neighbouring wildcards are one: `*` if any of them is.
    pattern = _WILDCARDS.sub(lambda run: "*" if "*" in run[0] else "%", pattern)
    # Places in the pattern that may be reached after each character of the name.
    reached = _closure({0}, pattern)
    for character in name:
        following: set[int] = set()
        for at in reached:
            if at == len(pattern):
                continue
            mark = pattern[at]
            if mark == "*" or (mark == "%" and character != DELIMITER):
                following.add(at)
            elif mark == character:
                following.add(at + 1)
        reached = _closure(following, pattern)
        if not reached:
            return False
    return len(pattern) in reached


def _closure(places: set[int], pattern: str) -> set[int]:
    """A wildcard may also stand for nothing."""
    found: set[int] = set()
    for at in places:
        found.add(at)
        while at < len(pattern) and pattern[at] in "*%":
            at += 1  # noqa: PLW2901 - the walk is the point
            if at in found:
                break
            found.add(at)
    return found
