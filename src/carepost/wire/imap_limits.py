"""The limits of one IMAP conversation. Every number is a setting; the sentence beside it is its reason."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ImapLimits:
    """What one client may cost us. Octets, seconds and counts, as the names say."""

    # RFC 9051 §2.2 sets no length; RFC 7162 §4 asks for 8192 at least; long UID sets of phones need more.
    line_octets: int = 64 * 1024
    # Before sign-in nothing longer than an address and a password is needed: all literals of a command together.
    literal_before_login_octets: int = 4096
    # After it, names, search words and flags: all literals of one command together, APPEND's message aside.
    literal_octets: int = 64 * 1024
    # RFC 7888 §5 (LITERAL-): a client may not send more than this without being invited.
    literal_uninvited_octets: int = 4096
    # The largest message APPEND takes; the same as the largest that port 25 takes.
    message_octets: int = 50 * 1024 * 1024
    # P23: parentheses, OR and NOT inside each other. People write five; programs that write more attack.
    search_depth: int = 50
    # P23: keys of one search. Each may cost an octet or two for every message of the folder while it is answered.
    search_keys: int = 300
    # P23: items, keys and ranges of one command together.
    arguments: int = 10_000
    # P24: connections that one process holds at once, and how many of them may not have signed in yet.
    connections: int = 5_000
    strangers: int = 500
    # What a client may send ahead of the answer before we stop reading from its socket.
    read_ahead_octets: int = 128 * 1024
    # P24: a phone, a tablet, two computers, each with several folders open.
    connections_a_person: int = 20
    # A client that is wrong this often is not a mail client; one that probes extensions is wrong ten times.
    bad_commands: int = 50
    # R86: the wait before each wrong answer doubles from this; the account is never locked by it.
    wrong_password_wait_s: float = 1.0
    # After this many wrong passwords the connection ends; a person types wrongly twice.
    wrong_passwords: int = 4
    # Before sign-in: long enough for a slow phone's TLS and a typed password (P25).
    sign_in_s: float = 60.0
    # RFC 9051 §5.4: autologout may not come before 30 minutes once signed in.
    autologout_s: float = 31 * 60.0
    # RFC 9051 §6.3.13 tells clients to renew IDLE every 29 minutes; those that don't have gone.
    idle_s: float = 30 * 60.0
    # A sleeping IDLE is spoken to this often, so that address translators keep the way open.
    idle_still_here_s: float = 4 * 60.0
    # A literal that stops half-way holds memory: the rest must come within this.
    literal_s: float = 300.0
    # A client that takes nothing for this long while we write has gone.
    write_s: float = 120.0
    # Any command but SEARCH, IDLE and the sending of answers: the store's own deadlines are shorter.
    command_s: float = 120.0
    # P23: a search that has not ended by now answers with NO and says so.
    search_s: float = 10.0
    # Messages asked of the store at once: bounds memory, and each answer is one query.
    fetch_chunk: int = 500
    # Octets of bodies held at once while answering; a single larger message is held alone.
    fetch_octets: int = 8 * 1024 * 1024
    # Rights are asked again at most this often; withdrawn rights bite within this time.
    rights_s: float = 5.0
