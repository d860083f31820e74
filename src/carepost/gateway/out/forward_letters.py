"""Letters of the service to a mailbox's people about its forwarding. PURE.

Promises
    Says what happened, why, and what to do next. Holds nothing of any message. Marked as automatic (RFC 3834 §5).
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime

from carepost.directory.forwarding import Forwarding
from carepost.directory.model import MailboxRecord
from carepost.gateway.out.letters import Letterhead
from carepost.message.compose import compose
from carepost.message.showing import clean


def is_over(head: Letterhead, mailbox: MailboxRecord, rule: Forwarding, why: str, *, at: datetime) -> bytes:
    lines = [
        f"Mail of {mailbox.display_name} is not forwarded to {rule.address} any more.",
        "",
        clean(why),
        "",
        "Nothing is lost: every message is in this mailbox, as before. Please read it here from now on.",
        "If it has to be forwarded, ask for it anew:",
        _page(head, mailbox),
    ]
    return _letter(head, mailbox, "Forwarding has stopped", lines, at=at, salt=f"over {rule.id}")


def could_not_be_sent_on(
    head: Letterhead, mailbox: MailboxRecord, rule: Forwarding, why: str, *, at: datetime
) -> bytes:
    lines = [
        f"A message to {mailbox.display_name} could not be forwarded to {rule.address}.",
        "",
        clean(why),
        "",
        "It is in this mailbox: please read it here, and look whether there are others. You are told once a day.",
        "To see or end the forwarding:",
        _page(head, mailbox),
    ]
    return _letter(head, mailbox, "A message could not be forwarded", lines, at=at, salt=f"failed {rule.id} {at}")


def _page(head: Letterhead, mailbox: MailboxRecord) -> str:
    return f"{head.pages}/mailbox/{int(mailbox.id)}/forwarding"


def _letter(
    head: Letterhead, mailbox: MailboxRecord, subject: str, lines: Sequence[str], *, at: datetime, salt: str
) -> bytes:
    name = hashlib.sha256(f"forwarding {int(mailbox.organisation)} {salt}".encode()).hexdigest()[:32]
    return compose(
        f'"{head.service}" <{head.postmaster}>',
        [mailbox.address],
        subject,
        "\n".join(lines) + "\n",
        date=at,
        message_id=f"{name}@{head.postmaster.domain}",
        extra_headers=[("Auto-Submitted", "auto-generated"), ("X-Carepost-Letter", "forwarding")],
    )
