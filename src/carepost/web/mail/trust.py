"""PURE. One sentence on where a message came from, out of what our own gateway wrote above it.

Promises
    Only fields that the gateway put above everything else count; what a sender wrote about himself never does.
    A message that did not come through the gateway is not vouched for, whatever it holds.
    "Securely" is said only when it travelled encrypted and the sender's domain was proved.
"""

import re

from carepost.message.model import Message
from carepost.store.model import MessageRow
from carepost.web.mail.pages import Trust

WARNED = "$CarepostWarning"  # set by the gateway where a card wants the reader warned (R139)
JUNKED = "$Junk"
NOTICE = "x-carepost-notice"

# The cards that warn, and what their readers are told. A card of a site's own gets the general sentence.
_CARDS = {
    "from-outside": "The sender is not on the register of secure domains. Take care with links and attachments,"
    " and do not reply with a patient's details.",
    "colleague-lookalike": "The sender uses the name of somebody who works here, and writes from elsewhere."
    " Check with them in another way before you do what it asks.",
    "domain-lookalike": "The sender's domain looks like one we know, and is not. Read the address letter by letter.",
    "forwarded-in": "A rule of a mailbox at another service sent it on to here. It lies there too, and that service is"
    " not secure: do not answer with a patient's details before you have looked where the answer goes.",
    "locked-archive-secure": "An attachment is locked with a password, so it could not be scanned inside.",
}
_GENERAL = "A policy of this service asks you to take care with it."

NOT_THROUGH_GATEWAY = Trust(
    kind="plain",
    icon="info",
    title="Put here by a person.",
    says="It did not come in from outside: somebody saved it with a mail program.",
)


def trust_of(message: Message, row: MessageRow) -> Trust:
    if row.trace is None:
        return NOT_THROUGH_GATEWAY
    domain = _proved_domain(message)
    if cards := _notice(message):
        says = " ".join(dict.fromkeys(_CARDS.get(card, _GENERAL) for card in cards))
        title = "From outside." if cards == ["from-outside"] else "Take care."
        return Trust(kind="outside", icon="outside" if title == "From outside." else "warning", title=title, says=says)
    if JUNKED in row.keywords:
        says = "It was put in junk on arrival. Do not open its links or attachments unless you expected it."
        return Trust(kind="bad", icon="warning", title="Probably unwanted.", says=says)
    if domain and _came_encrypted(message):
        says = f"It travelled encrypted, and {domain} proved that it sent it."
        return Trust(kind="good", icon="shield-tick", title="Received securely.", says=says)
    if domain:
        return Trust(kind="good", icon="shield", title="Sender proved.", says=f"{domain} proved that it sent this.")
    says = "Nothing about it asked for a warning. Who sent it could not be proved by their domain."
    return Trust(kind="plain", icon="info", title="Received.", says=says)


def scanned_words(row: MessageRow) -> str:
    """What may be said of its attachments: nothing with a finding is delivered (R133)."""
    return "scanned, nothing found" if row.trace is not None else "not scanned"


def _notice(message: Message) -> list[str]:
    # Ours is the only one: the gateway removes any that a sender wrote.
    text = message.first(NOTICE).decode("ascii", "replace")
    return [card.strip() for card in text.split(";") if card.strip()][:10]


def _proved_domain(message: Message) -> str:
    """The author's domain, when DMARC proved it; from the first Authentication-Results, which is ours. RFC 8601."""
    if not _is_above_senders(message, "authentication-results"):
        return ""
    text = message.first("authentication-results").decode("ascii", "replace")
    match = re.search(r"\bdmarc=pass\b[^;]{0,500}?\bheader\.from=([A-Za-z0-9._-]{1,253})", text)
    return match[1].lower() if match else ""


def _came_encrypted(message: Message) -> bool:
    """The first Received is ours; `ESMTPS` and its kin, or `HTTPS` of the portal, say that TLS was used. RFC 3848."""
    text = message.first("received").decode("ascii", "replace")
    return re.search(r"\(Carepost\) with (?:(?:UTF8)?(?:E?SMTP|LMTP)SA?|HTTPS)\b", text) is not None


def _is_above_senders(message: Message, name: str) -> bool:
    """Whether the field stands among the trace fields that we wrote, before anything else."""
    for header in message.root.headers[:8]:
        if header.name == name:
            return True
        if header.name not in {"return-path", "received"}:
            return False
    return False
