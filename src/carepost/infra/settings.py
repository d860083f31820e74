"""Everything an operator may set, with its default and its reason.

Promises
    An empty file is a working configuration for one machine. No secret has a default, and none stands in the file:
    a setting that ends in `_file` names the file that holds it.
    Only `app` and `cli` read this; every other room is handed its own limits.

Numbers of the national requirements carry their R-number.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from carepost.base.errors import NotPossible
from carepost.infra import settings_file
from carepost.infra.settings_file import Table as _Section
from carepost.infra.settings_file import says
from carepost.infra.settings_files import Files

Strings = tuple[str, ...]
_PORTS = r"^(\[[0-9A-Fa-f:]+\]|[^:\s]*):\d{1,5}$"
Listen = tuple[Annotated[str, msgspec.Meta(pattern=_PORTS)], ...]


class Service(_Section, frozen=True, kw_only=True):
    """What the service is called, and where it keeps its things."""

    name: Annotated[str, says("What people know the service by. Shown on every page.")] = "Carepost"
    hostname: Annotated[str, says("The name we give in greetings. It must have a matching PTR record.")] = "localhost"
    help_desk: Annotated[str, says("Whom people turn to: shown wherever something did not work.")] = (
        "your local administrator"
    )
    data: Annotated[str, says("The folder for the database, spool and logs. Other paths are relative to it.")] = (
        "/var/lib/carepost/data"
    )


class Database(_Section, frozen=True, kw_only=True):
    """PostgreSQL: our own embedded one, or yours."""

    dsn: Annotated[
        str, says("How to reach your PostgreSQL (15 or later) as carepost_app. Empty: we run one ourselves.")
    ] = ""
    relay_dsn: Annotated[str, says("The same as carepost_relay, for the role that faces port 25.")] = ""
    owner_dsn: Annotated[str, says("The same as carepost_owner, for `carepost migrate` only.")] = ""
    password_file: Annotated[str, says("A file with the password for these, when they need one.")] = ""
    bin: Annotated[
        str, says("The folder with the programs of the embedded PostgreSQL. Empty: the best that is installed.")
    ] = ""
    shared_buffers_mb: Annotated[int, says("Memory the embedded PostgreSQL keeps pages in.", ge=16)] = 96
    connections_max: Annotated[int, says("Connections the embedded PostgreSQL takes.", ge=10, le=1000)] = 60
    pool_min: Annotated[int, says("Connections each worker keeps open.", ge=0)] = 1
    pool_max: Annotated[int, says("Connections each worker may have open.", ge=1)] = 8
    acquire_seconds: Annotated[
        float, says("How long a caller waits for a connection before it is told to try later.", ge=0.1)
    ] = 10.0
    statement_seconds: Annotated[float, says("The longest a statement may run.", ge=0.1)] = 30.0
    durability_seconds: Annotated[
        float,
        says("How often we look whether the database still keeps what it commits. At most a minute.", ge=1, le=60),
    ] = 60.0


class Keys(_Section, frozen=True, kw_only=True):
    """The keys that seal everything. Keep a copy of the folder somewhere else, locked away."""

    folder: Annotated[
        str, says("Where the key files are. Outside the database and its backups: without it, stolen disks are noise.")
    ] = "keys"


class Smtp(_Section, frozen=True, kw_only=True):
    """Mail from other systems."""

    listen: Annotated[Listen, says("Addresses and ports for mail from the world.")] = ("0.0.0.0:25", "[::]:25")
    lmtp: Annotated[
        Listen, says("Addresses and ports for LMTP, when a mail system of yours stands in front. Never public.")
    ] = ()
    message_max_mb: Annotated[
        float, says("Largest message by its attachments, in megabytes; the encoded limit is 1.38 times that.", ge=1)
    ] = 35
    recipients_max: Annotated[int, says("Recipients of one message. RFC 5321 asks for at least 100.", ge=100)] = 1000
    connections_max: Annotated[int, says("Conversations at once in each worker; more get 421.", ge=1)] = 1000
    connections_per_client: Annotated[int, says("Conversations at once with one address.", ge=1)] = 50
    command_seconds: Annotated[float, says("How long we wait for a command. RFC 5321 §4.5.3.2.7.", ge=1)] = 300
    trusted_xclient: Annotated[
        Strings, says("Networks that may tell us the real client by XCLIENT: your own mail systems in front.")
    ] = ()
    postmaster: Annotated[
        str, says("Who reads mail to postmaster and abuse: an address of ours. Empty: an administrator.")
    ] = ""
    spool: Annotated[str, says("Where large messages wait, sealed, while they arrive.")] = "spool"
    certificate_file: Annotated[str, says("The TLS certificate chain, PEM. Read again when it changes.")] = ""
    key_file: Annotated[str, says("The certificate's private key, PEM.")] = ""


class Submission(_Section, frozen=True, kw_only=True):
    """Mail that people's own programs hand in. They sign in with app passwords; the certificate is that of IMAP."""

    listen: Annotated[Listen, says("Addresses and ports with STARTTLS (RFC 6409).")] = ("0.0.0.0:587", "[::]:587")
    listen_tls: Annotated[Listen, says("Addresses and ports in TLS from the start (RFC 8314).")] = (
        "0.0.0.0:465",
        "[::]:465",
    )
    connections_max: Annotated[int, says("Conversations at once in each worker; more get 421.", ge=1)] = 500
    connections_per_client: Annotated[
        int, says("Conversations at once with one address: a whole surgery may share one.", ge=1)
    ] = 100
    spool: Annotated[str, says("Where large messages wait, sealed, while they arrive.")] = "spool-out"


class Imap(_Section, frozen=True, kw_only=True):
    """Mail programs."""

    listen: Annotated[Listen, says("Addresses and ports for IMAP with STARTTLS.")] = ("0.0.0.0:143", "[::]:143")
    listen_tls: Annotated[Listen, says("Addresses and ports for IMAP in TLS from the start.")] = (
        "0.0.0.0:993",
        "[::]:993",
    )
    connections_a_person: Annotated[int, says("Connections of one person: devices times folders.", ge=1)] = 20
    idle_seconds: Annotated[int, says("Silence before we end a connection. RFC 9051 §5.4: 30 minutes.", ge=1800)] = 1800
    certificate_file: Annotated[str, says("The TLS certificate chain, PEM. Empty: the one of SMTP.")] = ""
    key_file: Annotated[str, says("The certificate's private key, PEM. Empty: the one of SMTP.")] = ""


class Web(_Section, frozen=True, kw_only=True):
    """Pages for people."""

    listen: Annotated[
        Listen, says("Addresses and ports of the pages. Put a TLS proxy in front, or give keys here.")
    ] = ("127.0.0.1:8080",)
    content_listen: Annotated[Listen, says("The same for the origin that shows what strangers wrote.")] = (
        "127.0.0.1:8082",
    )
    trusted_proxies: Annotated[
        Strings, says("Networks of the TLS proxy in front: whose X-Forwarded-For is believed.")
    ] = ("127.0.0.0/8", "::1/128")
    url: Annotated[str, says("The public address of the pages.", pattern=r"^https?://[^\s/]+$")] = (
        "http://127.0.0.1:8080"
    )
    content_url: Annotated[
        str,
        says(
            "The public address for hostile content: another host, never the pages' own.", pattern=r"^https?://[^\s/]+$"
        ),
    ] = "http://127.0.0.1:8082"
    certificate_file: Annotated[str, says("The TLS certificate chain, PEM, when no proxy stands in front.")] = ""
    key_file: Annotated[str, says("The certificate's private key, PEM.")] = ""


class Portal(_Section, frozen=True, kw_only=True):
    """Secure messages: what people outside read by a link."""

    listen: Annotated[Listen, says("Addresses and ports of the portal. Put a TLS proxy in front.")] = (
        "127.0.0.1:8081",
    )
    url: Annotated[
        str,
        says(
            "The public address of the portal: a host of its own, which patients can learn.",
            pattern=r"^https?://[^\s/]+$",
        ),
    ] = "http://127.0.0.1:8081"
    expires_days: Annotated[int, says("How long a secure message can be read (R122).", ge=1, le=365)] = 28
    patient_level: Annotated[
        Literal["L1", "L2"],
        says("The least proof for patient details: L1 a code by email, L2 also words agreed by voice (ADR-0017)."),
    ] = "L1"
    answers_max: Annotated[int, says("Answers that one secure message takes.", ge=0, le=100)] = 10
    answers_mb: Annotated[int, says("Megabytes that all answers to one secure message may have.", ge=1, le=35)] = 25
    idle_minutes: Annotated[int, says("Silence after which an open message shuts.", ge=1, le=60)] = 15
    session_hours: Annotated[int, says("The longest that a message stays open in a browser.", ge=1, le=24)] = 12
    texts_url: Annotated[str, says("The address of a text message provider (https). Empty: no codes by telephone.")] = (
        ""
    )
    texts_token_file: Annotated[str, says("The file with the provider's token.")] = ""
    texts_file: Annotated[str, says("A file that text messages are written to. For demonstrations and tests only.")] = (
        ""
    )


class Smime(_Section, frozen=True, kw_only=True):
    """S/MIME: whom to believe about whose certificate is whose."""

    authorities_file: Annotated[
        str, says("The authorities trusted to vouch for people (PEM). Empty: no signature is shown as valid.")
    ] = ""
    withdrawn_file: Annotated[
        str, says("Certificates no longer believed: SHA-256 in hexadecimal, one a line. Nothing is fetched.")
    ] = ""


class Gateway(_Section, frozen=True, kw_only=True):
    """What happens to every message between the door and the mailbox."""

    clamd: Annotated[
        str, says("Where clamd listens: a socket's path, or host:port. Empty: the built-in checks only.")
    ] = ""
    scanner_seconds: Annotated[
        float, says("How long a scan may take. After that the sender is asked to try again (R131).", ge=1)
    ] = 45
    scans_at_once: Annotated[
        int,
        says(
            "How many scans each process begins at once; one that takes longer than a second lets the next begin. "
            "0: all processes that face port 25 together one for each core.",
            ge=0,
        ),
    ] = 0
    blocked_extensions: Annotated[
        Strings, says("Further file endings to block, beside programs and macro documents (R133).")
    ] = ()
    archive_depth: Annotated[int, says("How many archives inside each other are opened (R133).", ge=1, le=20)] = 5
    unpacked_max_mb: Annotated[int, says("How much one message may unpack to.", ge=1)] = 100
    quarantine_days: Annotated[int, says("How long a held message waits for a person before it is deleted.", ge=1)] = 30
    dns_servers: Annotated[Strings, says("Resolvers to ask. Empty: those of this machine.")] = ()
    dns_validates: Annotated[
        bool,
        says(
            "These resolvers check DNSSEC and nobody can speak in their place (an unbound on this machine): their word "
            "on it is believed, and DANE is used (R108)."
        ),
    ] = False
    dns_zone: Annotated[
        str, says("A file with a table of names that answers instead of DNS. For demonstrations and tests only.")
    ] = ""
    dns_seconds: Annotated[float, says("How long one look-up may take.", ge=0.5)] = 10


class MailOut(_Section, frozen=True, kw_only=True):
    """What our own people send, until it leaves."""

    undo_seconds: Annotated[int, says("How long a message to colleagues can be undone (R148).", ge=0, le=600)] = 10
    undo_seconds_outside: Annotated[int, says("The same when somebody outside is to get it (R148).", ge=0, le=600)] = 30
    undo_most_minutes: Annotated[int, says("The longest delay that people may choose (R148).", ge=0, le=60)] = 10
    recipients_a_message: Annotated[int, says("Recipients of one message (R158).", ge=1, le=10_000)] = 500
    recipients_a_day: Annotated[int, says("Recipients of one person in a day (R158).", ge=1)] = 10_000
    messages_a_minute: Annotated[int, says("Messages of one person in a minute (R158).", ge=1)] = 30
    visible_outsiders: Annotated[
        int, says("So many people outside may see each other's addresses unasked (R151).", ge=1)
    ] = 5
    visible_outsiders_stop: Annotated[
        int, says("From so many on, Bcc or one message each is the only way (R151).", ge=2)
    ] = 50
    visible_private: Annotated[
        int, says("More private mailboxes than this in one header: each gets a message of its own (R151).", ge=1)
    ] = 5
    personal_least: Annotated[
        Literal["advise", "reason", "encrypt", "block"],
        says("What is done at least about numbers of persons who are no patients (R159). Organisations may ask more."),
    ] = "encrypt"
    subject_least: Annotated[
        Literal["advise", "reason", "encrypt", "block"],
        says("What is done at least where a subject or a file's name tells who it is about (R113)."),
    ] = "advise"
    reply_all: Annotated[int, says("A reply to more people than this is asked about (R72).", ge=1)] = 20
    organisations: Annotated[
        int, says("More organisations outside than this in one message are asked about (R149).", ge=1)
    ] = 4
    remind_minutes: Annotated[
        int, says("Who has not answered a question about a message is reminded after so long (R145).", ge=1)
    ] = 30
    disclaimer_file: Annotated[
        str,
        says("A text put under what leaves, once a thread, where organisations have none of their own (R146)."),
    ] = ""
    disclaimer_mark: Annotated[
        str,
        says(
            "What disclaimers are recognised by: capital letters, digits, hyphens; the organisation's code is added.",
            pattern=r"^[A-Z0-9][A-Z0-9-]{4,27}$",
        ),
    ] = "CAREPOST-NOTE"
    undelivered_days: Annotated[
        int, says("How long what did not arrive is kept, sealed, so that it can be sent again.", ge=1)
    ] = 30


class Automatic(_Section, frozen=True, kw_only=True):
    """What mailboxes do by themselves: automatic replies and forwarding."""

    reply_again_hours: Annotated[
        int, says("Nobody gets a second automatic reply of a mailbox within so long (R60).", ge=1, le=720)
    ] = 24
    replies_an_hour: Annotated[
        int, says("So many senders an hour get a mailbox's automatic reply; more is no ordinary day.", ge=1)
    ] = 500
    forwarding_days: Annotated[
        int, says("How long a forwarding lasts before it has to be asked for anew (R162).", ge=1, le=1830)
    ] = 365
    forwarding_hops: Annotated[
        int, says("So many mailboxes may have sent a message on before us; more is a circle.", ge=1, le=20)
    ] = 4


class Delivery(_Section, frozen=True, kw_only=True):
    """Mail to other systems."""

    conversations: Annotated[int, says("Conversations at once in each worker.", ge=1)] = 200
    conversations_per_destination: Annotated[
        int, says("Conversations at once with one domain, of all workers together.", ge=1)
    ] = 20
    retry_minutes: Annotated[
        tuple[int, ...],
        says("How long we wait after the first attempt, the second and so on; each gap after is longer."),
    ] = (1, 2, 5, 10, 20, 30)
    retry_most_minutes: Annotated[int, says("The longest we wait between two attempts.", ge=1)] = 66
    expire_days: Annotated[
        float, says("How many days we try. RFC 5321 §4.5.4.1 asks for four to five at least.", ge=1)
    ] = 5
    delay_notice_minutes: Annotated[
        tuple[int, ...],
        says("Ages at which a sender is told that a message is delayed: R145 wants the first within an hour."),
    ] = (60, 240, 1440)
    lease_minutes: Annotated[
        int, says("After so long without a word from a worker others take over its work.", ge=1)
    ] = 10
    kept_hours: Annotated[
        int, says("How long bodies of delivered messages are kept, sealed, as a safety net.", ge=0)
    ] = 48
    alarm_minutes: Annotated[int, says("What is queued or held for longer is told to operators (R145).", ge=1)] = 30
    dkim_bits: Annotated[int, says("Length of new RSA signing keys. RFC 8301 asks for 2048.", ge=1024, le=4096)] = 2048
    dkim_ed25519: Annotated[bool, says("Sign with Ed25519 too (RFC 8463), for those who check it.")] = True


class Transport(_Section, frozen=True, kw_only=True):
    """How mail crosses to other systems, and how that is protected."""

    authorities_file: Annotated[
        str, says("Certificate authorities that other mail systems are checked by, PEM. Empty: this machine's.")
    ] = ""
    routes: Annotated[
        Strings, says('Where mail for a domain goes instead of its MX hosts: "domain=host:port"; "*=host:port": all.')
    ] = ()
    source_ipv4: Annotated[str, says("The IPv4 address that mail leaves from. Empty: the machine's choice.")] = ""
    source_ipv6: Annotated[str, says("The same for IPv6.")] = ""
    ipv6: Annotated[bool, says("Use IPv6. Off where this machine cannot reach the world by it.")] = True
    own_addresses: Annotated[
        Strings, says("Public addresses of this installation: mail that leads there leads back to us.")
    ] = ()
    attempt_seconds: Annotated[
        float, says("The longest one attempt with one domain may take. RFC 5321 §4.5.3.2.", ge=60, le=1500)
    ] = 1500
    chunking: Annotated[
        bool, says("Send by BDAT where it is offered (RFC 3030): nothing in it can pass for an end.")
    ] = True
    policy_seconds: Annotated[
        float, says("How long the fetching of another domain's MTA-STS policy may take (RFC 8461 §3.3).", ge=1, le=60)
    ] = 60
    tls_reports: Annotated[bool, says("Tell other domains daily how TLS with them went, if they ask (RFC 8460).")] = (
        True
    )
    mta_sts: Annotated[
        Literal["none", "testing", "enforce"],
        says("Our own MTA-STS policy (R108). Begin with testing; enforce once reports show no failures."),
    ] = "testing"
    mta_sts_days: Annotated[int, says("How long others remember our policy.", ge=1, le=365)] = 7
    connect_to: Annotated[
        str, says("host:port that every connection goes to instead. For demonstrations and tests only.")
    ] = ""


class Identity(_Section, frozen=True, kw_only=True):
    """How people prove who they are."""

    password_min: Annotated[int, says("Shortest password.", ge=8)] = 10
    password_history: Annotated[int, says("How many earlier passwords may not come back.", ge=0)] = 4
    failures_max: Annotated[int, says("Failed sign-ins of one account before it is locked (R86).", ge=3)] = 10
    failures_minutes: Annotated[int, says("... counted over so many minutes (R86).", ge=1)] = 15
    lock_minutes: Annotated[int, says("How long a lock lasts before it opens by itself (R86).", ge=1)] = 30
    idle_minutes_shared: Annotated[int, says("Silence that ends a session on a shared computer (R99).", ge=1)] = 15
    idle_minutes: Annotated[int, says("Silence that ends a session on one's own device.", ge=1)] = 240
    session_hours: Annotated[int, says("The longest a session lasts, whatever happens in it (R99).", ge=1)] = 12
    app_password_days: Annotated[int, says("How long an app password works.", ge=1)] = 365
    argon2_memory_mb: Annotated[int, says("Memory one password check costs; so much costs a thief too.", ge=19)] = 19
    argon2_passes: Annotated[int, says("Passes over that memory. 19 MB twice is OWASP's floor: 24 ms.", ge=1)] = 2
    aup_file: Annotated[str, says("Your acceptable use policy, as text. Empty: the one we ship (R74).")] = ""


class Audit(_Section, frozen=True, kw_only=True):
    """The record of what was done."""

    checkpoint_minutes: Annotated[int, says("How often the heads of all chains are signed.", ge=1)] = 5
    checkpoint_folder: Annotated[str, says("Where signed checkpoints go: best on another machine's disk.")] = (
        "checkpoints"
    )


class Limits(_Section, frozen=True, kw_only=True):
    """Bounds on mailboxes and disks."""

    mailbox_gb: Annotated[
        int, says("What a mailbox holds. Not enforced in this release: mailboxes have no bound.", ge=1)
    ] = 4
    disk_free_mb: Annotated[int, says("Below so much free disk no message is accepted: senders try again.", ge=10)] = (
        500
    )
    search_cache_mb: Annotated[int, says("Memory each worker keeps opened search indexes in.", ge=8)] = 64


class Observe(_Section, frozen=True, kw_only=True):
    """Logs, metrics and health."""

    listen: Annotated[Listen, says("Where /metrics, /livez and /readyz answer. Never public.")] = ("127.0.0.1:9464",)
    log: Annotated[Literal["auto", "json", "text"], says("How log lines look. auto: text on a terminal.")] = "auto"
    log_level: Annotated[Literal["debug", "info", "warning", "error"], says("The least that is logged.")] = "info"


class Workers(_Section, frozen=True, kw_only=True):
    """How many processes of each kind. 0 of one: it does not run on this machine."""

    relay: Annotated[int, says("Processes that face port 25. They hold no key that opens mail.", ge=0)] = 1
    access: Annotated[int, says("Processes for mail programs and pages.", ge=0)] = 1
    worker: Annotated[int, says("Processes that deliver, retry and release what waits.", ge=0)] = 1
    confine: Annotated[
        bool, says("Close every file to the relay that it does not need (Landlock): it then cannot read the root key.")
    ] = True
    stop_seconds: Annotated[float, says("How long work in hand may take to end when we are asked to stop.", ge=1)] = 10


class Settings(_Section, frozen=True, kw_only=True):
    service: Service = Service()
    database: Database = Database()
    keys: Keys = Keys()
    smtp: Smtp = Smtp()
    submission: Submission = Submission()
    imap: Imap = Imap()
    web: Web = Web()
    portal: Portal = Portal()
    smime: Smime = Smime()
    gateway: Gateway = Gateway()
    mail_out: MailOut = MailOut()
    automatic: Automatic = Automatic()
    files: Files = Files()
    delivery: Delivery = Delivery()
    transport: Transport = Transport()
    identity: Identity = Identity()
    audit: Audit = Audit()
    limits: Limits = Limits()
    observe: Observe = Observe()
    workers: Workers = Workers()

    @property
    def data(self) -> Path:
        return Path(self.service.data)

    def path(self, named: str) -> Path:
        """A path of the settings: itself when absolute, else inside the data folder."""
        return self.data / named


def load(path: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """The file (None: no file), then CAREPOST__SECTION__KEY from the environment.

    Raises NotPossible, in words, when either breaks the rules or the file is not there.
    """
    environment = os.environ if environment is None else environment
    if path is None:
        return settings_file.read(Settings, "", environment, where="The environment")
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise NotPossible(f"The settings file {path} could not be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise NotPossible(f"The settings file {path} is not UTF-8 text.") from None
    return settings_file.read(Settings, text, environment, where=str(path))


def describe(shown: Settings | None = None) -> str:
    """The defaults, or `shown`, as TOML with a sentence above each: `config show`, and docs/reference."""
    return settings_file.describe(Settings, shown)


def read_secret(path: Path) -> str:
    """A secret that a setting points to. Raises NotPossible when it is missing, empty, or open to others."""
    try:
        mode = path.stat().st_mode
        text = path.read_text("utf-8").strip()
    except OSError as error:
        raise NotPossible(f"The secret file {path} could not be read: {error.strerror}.") from error
    if mode & 0o007:
        raise NotPossible(f"The secret file {path} can be read by everybody. Make it private: chmod 600 {path}.")
    if not text:
        raise NotPossible(f"The secret file {path} is empty.")
    return text
