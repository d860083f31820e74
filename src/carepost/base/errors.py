"""The five families of error: what a stranger may be told, and what only the log may say.

Promises
    `public` may be shown to anyone; `private` goes to the log and nowhere else.
    Errors know no protocol: each door has one table from family to reply.
"""


class MailError(Exception):
    """Something that we expected might go wrong. `public` may be shown to anyone."""

    def __init__(self, public: str, **private: object) -> None:
        super().__init__(public)
        self.public = public
        self.private = private


class Malformed(MailError):
    """They broke the format or the protocol."""


class NotAllowed(MailError):
    """They may not."""


class NotPossible(MailError):
    """They may, but it is gone, full, or already so."""


class TryLater(MailError):
    """Not now; nothing is lost."""


class Broken(MailError):
    """Our fault: somebody is told."""
