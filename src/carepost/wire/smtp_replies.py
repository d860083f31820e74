"""Every sentence that the SMTP and LMTP server says, and how a reply is written.

Promises
    A reply cannot be split: line endings and control characters in its text become spaces, and it is ASCII.
    No reply tells a stranger which check stopped a message (RFC 5321 §7.3; one generic 550 for policy).

Codes are those of RFC 5321 §4.2 and RFC 3463; where the choice is not obvious the paragraph is named.
"""

from dataclasses import dataclass
from functools import lru_cache

# RFC 5321 §4.5.3.1.5: a reply line has at most 512 octets with the code and the CR LF.
_TEXT_MAX = 480


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. `status` is the enhanced code of RFC 2034, empty where the RFCs want none."""

    code: int
    status: str
    text: str

    @property
    def is_positive(self) -> bool:
        return self.code < 400

    def encode(self) -> bytes:
        """As it goes over the wire; a long text becomes several lines."""
        return _encoded(self)


# The same few dozen sentences are most of what is said.
@lru_cache(maxsize=256)
def _encoded(reply: Reply) -> bytes:
    lead = f"{reply.status} " if reply.status else ""
    pieces = _pieces(_one_line(reply.text))
    last = len(pieces) - 1
    if reply.code == 334 and not reply.text:
        return b"334 \r\n"  # RFC 4954 §4: an empty challenge keeps its space
    return b"".join(
        f"{reply.code}{'-' if number < last else ' '}{lead}{piece}".rstrip(" ").encode("ascii") + b"\r\n"
        for number, piece in enumerate(pieces)
    )


def _one_line(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if " " <= c <= "~" else "?" if ord(c) > 0x9F else " " for c in text)


def _pieces(text: str) -> list[str]:
    return [text[at : at + _TEXT_MAX] for at in range(0, len(text), _TEXT_MAX)] or [""]


def keywords(hostname: str, lines: list[str]) -> bytes:
    """The answer to EHLO and LHLO. RFC 5321 §4.1.1.1: no enhanced code in it."""
    said = [f"{_one_line(hostname)} at your service", *lines]
    last = len(said) - 1
    return b"".join(f"250{'-' if n < last else ' '}{line}\r\n".encode("ascii") for n, line in enumerate(said))


def greeting(hostname: str, protocol: str) -> Reply:
    return Reply(220, "", f"{hostname} {protocol} Carepost is ready")


def hello(hostname: str) -> Reply:
    return Reply(250, "", f"{hostname} at your service")


def chunk_taken(octets: int) -> Reply:
    return Reply(250, "2.0.0", f"{octets} octets received")


def with_us(trace: str) -> Reply:
    """The message is ours now: it has been committed. The words that `carepost trace` finds again."""
    return Reply(250, "2.0.0", f"{trace} is now with us")


# Success and intermediate replies.
OK = Reply(250, "2.0.0", "OK")
SENDER_OK = Reply(250, "2.1.0", "Sender OK")
RECIPIENT_OK = Reply(250, "2.1.5", "Recipient OK")
GO_AHEAD = Reply(354, "", "Send the message; end with a full stop on a line of its own")
TLS_READY = Reply(220, "2.0.0", "Ready to start TLS")
GOODBYE = Reply(221, "2.0.0", "Goodbye")
HELP = Reply(214, "2.0.0", "This server receives mail as RFC 5321 says. For help, write to postmaster here")
# RFC 5321 §3.5.3: neither yes nor no. An address book is not for strangers (P19).
VERIFY = Reply(252, "2.5.2", "Addresses are not verified here; send the message and we will try to deliver it")

# Their protocol was wrong.
NOT_UNDERSTOOD = Reply(500, "5.5.2", "Command not understood")
NOT_OFFERED = Reply(502, "5.5.1", "Command not offered")
BAD_ARGUMENT = Reply(501, "5.5.4", "The argument of this command is not as it should be")
BAD_SENDER = Reply(501, "5.1.7", "The sender's address is not as it should be")
BAD_RECIPIENT = Reply(501, "5.1.3", "The recipient's address is not as it should be")
NEEDS_SMTPUTF8 = Reply(553, "5.6.7", "An address with letters beyond ASCII needs the SMTPUTF8 parameter")
PARAMETER_UNKNOWN = Reply(555, "5.5.4", "A parameter of this command is not offered here")
LINE_TOO_LONG = Reply(500, "5.5.2", "Line too long")
BARE_LINE_END_IN_COMMAND = Reply(500, "5.5.2", "Lines end with CR LF, and a CR or LF may not stand alone")
BARE_LINE_END_IN_MESSAGE = Reply(550, "5.6.11", "A bare CR or LF in the message is not allowed; lines end with CR LF")
HELLO_FIRST = Reply(503, "5.5.1", "Say hello first")
SENDER_FIRST = Reply(503, "5.5.1", "Give the sender first")
RECIPIENT_FIRST = Reply(503, "5.5.1", "Give a recipient first")
NO_RECIPIENTS = Reply(554, "5.5.1", "No valid recipients")
OUT_OF_ORDER = Reply(503, "5.5.1", "This command is out of order")
TLS_ALREADY = Reply(503, "5.5.1", "TLS is in use already")
TLS_NOT_OFFERED = Reply(502, "5.5.1", "TLS is not offered here")
# RFC 3207 §4.2 and CVE-2011-0411: what was sent in clear may not be acted on inside TLS.
NOTHING_AFTER_STARTTLS = Reply(501, "5.5.1", "Nothing may be sent between STARTTLS and the start of TLS")
NOT_A_MAIL_COMMAND = Reply(221, "2.7.0", "This is a mail server")
XCLIENT_NOT_ALLOWED = Reply(550, "5.7.0", "XCLIENT is not allowed from here")
USE_LHLO = Reply(500, "5.5.1", "This is LMTP; say LHLO")
USE_EHLO = Reply(500, "5.5.1", "This is SMTP; say EHLO")

# Signing in, on the submission ports only. RFC 4954 §6.
SIGNED_IN = Reply(235, "2.7.0", "You are signed in")
SIGN_IN_FIRST = Reply(530, "5.7.0", "Sign in first, with an app password")
SIGN_IN_FAILED = Reply(535, "5.7.8", "This address and app password do not open this door")
SIGN_IN_MALFORMED = Reply(501, "5.5.2", "The answer is not as it should be")
SIGN_IN_CANCELLED = Reply(501, "5.0.0", "Signing in was cancelled")
SIGNED_IN_ALREADY = Reply(503, "5.5.1", "You are signed in already")
MECHANISM_UNKNOWN = Reply(504, "5.5.4", "This way of signing in is not offered; PLAIN and LOGIN are")
TLS_BEFORE_SIGN_IN = Reply(538, "5.7.11", "Signing in needs TLS: say STARTTLS first")
TLS_FIRST = Reply(530, "5.7.0", "Say STARTTLS first")
SIGNED_OUT = Reply(421, "4.7.0", "You have been signed out; sign in again")
NOT_YOURS = Reply(553, "5.7.1", "This sender is not yours to write as")

# Limits.
TOO_LARGE = Reply(552, "5.3.4", "The message is larger than we accept; our people send large files from the web pages")
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3", "Too many recipients; send the rest in another message")
TOO_MANY_ERRORS = Reply(421, "4.7.0", "Too many errors; goodbye")
TOO_MANY_CONNECTIONS = Reply(421, "4.7.0", "Too many connections from your address; try again later")
TOO_MANY_FAILURES = Reply(421, "4.7.0", "Too many failed attempts to sign in; goodbye")
TOO_FAST = Reply(450, "4.7.1", "Too much in too short a time from your address; try again later")
TOO_MANY_UNKNOWN = Reply(421, "4.7.1", "Too many unknown recipients from your address; try again later")
TOO_SLOW = Reply(421, "4.4.2", "We have waited long enough; goodbye")
BUSY = Reply(421, "4.3.2", "We are busy; try again later")
SHUTTING_DOWN = Reply(421, "4.3.2", "We are shutting down; try again in a minute")
NO_ROOM = Reply(452, "4.3.1", "No room for the message just now; try again later")
TRY_LATER = Reply(451, "4.3.0", "We cannot take this just now; try again later")

# About recipients and messages.
# One reply for every recipient that is not ours, does not exist or may not be written to from outside (P17, P19).
NO_SUCH_RECIPIENT = Reply(550, "5.1.1", "No such recipient here, or not in use")
MAILBOX_FULL = Reply(452, "4.2.2", "The mailbox is full; try again later")
NOT_ACCEPTED = Reply(550, "5.7.1", "The message was not accepted. Write to postmaster here if it should have been")
NOT_POSSIBLE = Reply(550, "5.2.0", "The message could not be delivered to this mailbox")
MESSAGE_MALFORMED = Reply(550, "5.6.0", "The message is not as it should be")
