"""How much one client, and all of them together, may ask of port 25.

Promises
    Every number here is a setting with the reason beside it. The defaults are Postfix's where it has one: what other
    mail systems are used to meet.
"""

from dataclasses import dataclass

_MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpLimits:
    """Times are in seconds, sizes in octets unless the name says otherwise."""

    # What people think of as the size of a message: its attachments. National services accept 35 MB.
    message_max_mb: float = 35
    # base64 in lines of 76 makes 3 octets into 4.11; parts, headers and the text round it up.
    encoding_allowance: float = 1.38
    # RFC 5321 §4.5.3.1.8 wants at least 100; Postfix's smtpd_recipient_limit.
    recipients_max: int = 1000
    # Postfix's smtpd_hard_error_limit: errors before a message has been taken.
    errors_max: int = 20
    # Postfix's smtpd_junk_command_limit: NOOP, VRFY, RSET … before a message has been taken.
    idle_commands_max: int = 100
    # RFC 5321 §4.5.3.1.6, without the CR LF. Longer lines are accepted and noted.
    content_line_max: int = 998

    # RFC 5321 §4.5.3.2.7: five minutes for a command.
    command_timeout: float = 300
    # The same when connections run short, as Postfix's smtpd_timeout under stress.
    command_timeout_stressed: float = 10
    # Below this a message is not arriving but being held open. Postfix's smtpd_min_data_rate, octets a second.
    data_rate_min: int = 500
    # Whoever has sent a bare LF may believe that the message has ended and be waiting for our answer.
    flawed_timeout: float = 10
    # A handshake takes two round trips.
    tls_timeout: float = 30
    # To take our replies off our hands.
    write_timeout: float = 60
    # One indexed look-up. Beyond it the database is not well: 451.
    routing_timeout: float = 10
    # A sender waits ten minutes after the last dot (RFC 5321 §4.5.3.2.6); our answer must come well before.
    receive_timeout: float = 300
    # How long a message on its way in may still take when we shut down.
    shutdown_grace: float = 30

    # Postfix's smtpd_client_connection_count_limit.
    connections_per_client: int = 50
    connections_total: int = 1000
    # From this share of connections_total on, patience is short.
    stress_share: float = 0.75
    # For each client address, a minute. A national relay sends some thousands at its busiest.
    recipients_per_minute: int = 6000
    # P19: this many unknown recipients are typing errors; after them each answer takes longer.
    unknown_before_tarpit: int = 5
    tarpit_step: float = 1
    tarpit_max: float = 15
    # P19: and this many in an hour, without messages that we took in between, are a harvest.
    unknown_per_hour: int = 100
    # How many clients we remember for the three lines above.
    clients_remembered: int = 20_000

    @property
    def message_max(self) -> int:
        """The largest message on the wire, in octets: what SIZE says."""
        return int(self.message_max_mb * self.encoding_allowance * _MEGABYTE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolLimits:
    """Where messages are while they arrive, and how much of them at once. In octets."""

    # Nearly all mail is smaller and never leaves memory: sealing a message to a file and reading it back costs a tenth
    # of what all else does with it. What all of them hold together is bounded by memory_total.
    memory_each: int = 8 * 1024 * 1024
    # Above it every message goes to its file at once: a thousand slow senders must not fill our memory.
    memory_total: int = 64 * 1024 * 1024
    # Messages that are being examined are in memory whole (twice, for a moment, if they were on disk). The rest wait
    # their turn, up to budget_timeout.
    examined_total: int = 256 * 1024 * 1024
    budget_timeout: float = 120
    # Postfix's queue_minfree: a disk this full takes no message that it might not hold.
    disk_free_min: int = 100 * 1024 * 1024
