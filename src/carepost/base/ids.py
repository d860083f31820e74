"""Typed identifiers. A MailboxId is not a PersonId is not an int.

Numbers come from the database's identity columns; the random ones are minted here.
"""

import secrets
from base64 import b32encode
from typing import NewType

OrganisationId = NewType("OrganisationId", int)
PersonId = NewType("PersonId", int)
MailboxId = NewType("MailboxId", int)
FolderId = NewType("FolderId", int)
SessionId = NewType("SessionId", int)
AppPasswordId = NewType("AppPasswordId", int)
HeldId = NewType("HeldId", int)
OutgoingId = NewType("OutgoingId", int)
DeliveryId = NewType("DeliveryId", int)  # a message, or a share of one, in the delivery queue
Uid = NewType("Uid", int)

# One stored message body of one organisation, however many mailboxes hold it. 16 random bytes.
ObjectId = NewType("ObjectId", bytes)

# What a sender is told in the 250, and what `carepost why` and `carepost trace` find again: 20 characters of
# Crockford's base 32.
TraceId = NewType("TraceId", str)

_CROCKFORD = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TO_CROCKFORD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", _CROCKFORD)
TRACE_ID_LENGTH = 20


def new_object_id() -> ObjectId:
    return ObjectId(secrets.token_bytes(16))


def new_trace_id() -> TraceId:
    """100 random bits in an alphabet that can be read out over the telephone."""
    # 100 bits are a little less than 13 octets; base64's module does the same in C, in RFC 4648's alphabet.
    return TraceId(b32encode(secrets.token_bytes(13)).translate(_TO_CROCKFORD)[:TRACE_ID_LENGTH].decode())
