"""What the portal speaks of: how surely we know who is reading. PURE."""

from enum import StrEnum


class Level(StrEnum):
    """Proof of the reader, weakest first. A failure never leads to a weaker one."""

    MAILBOX = "L1"  # a code sent to the address: proves that they read that mailbox
    AGREED = "L2"  # and a phrase agreed by voice, or a fact on record, which no one who only reads the mailbox knows
    STRONG = "L3"  # and a passkey, or a code to a telephone that the sender named
