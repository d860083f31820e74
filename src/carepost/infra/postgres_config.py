"""What the embedded PostgreSQL is told: its configuration, as text.

Promises
    Nothing here weakens durability: a reply of `250` stands on fsync, full page writes and synchronous commit (C1).
    No statement and no parameter reaches the server's log: they may carry mail (E1).
    Nothing listens on TCP. Who gets in on the Unix socket: `postgres_access`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PORT = 5432  # Only a part of the socket's file name: nothing listens on TCP.
SUPERUSER = "postgres"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedPolicy:
    """How the embedded PostgreSQL is run. The defaults suit a machine with 1 GB of memory."""

    # A folder with `postgres` and `initdb`; None looks for the best that is installed.
    binaries: Path | None = None
    # Mail bodies bypass most of its use; the page cache does the rest. Idle service < 300 MB.
    shared_buffers_mb: int = 96
    # Workers x pool, listeners, an administrator's psql; each idle one costs 2 to 3 MB.
    connections_max: int = 60
    # How long `stop` lets the server finish its shutdown checkpoint before it insists.
    stop_seconds: float = 60.0
    # Further settings, for tests and for sites that know why; the durability watch still judges the result.
    extra: Mapping[str, str] = field(default_factory=dict)


def postgresql_conf(policy: EmbeddedPolicy, *, major: int, socket: Path, log: Path) -> str:
    """The whole of postgresql.conf: written anew at every start."""
    settings: dict[str, str] = {
        "listen_addresses": "",
        "port": str(PORT),
        "unix_socket_directories": str(socket),
        "unix_socket_permissions": "0700",
        "max_connections": str(policy.connections_max),
        # Durability, C1. These are PostgreSQL's defaults; written down so that nobody has to know that.
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "data_sync_retry": "off",
        "wal_level": "replica",
        "wal_compression": "on",
        "max_wal_size": "512MB",
        "min_wal_size": "80MB",
        "max_wal_senders": "3",
        # Small and lean.
        "shared_buffers": f"{policy.shared_buffers_mb}MB",
        "huge_pages": "off",
        "jit": "off",
        "work_mem": "4MB",
        "maintenance_work_mem": "64MB",
        "max_worker_processes": "4",
        "max_parallel_workers_per_gather": "0",
        "max_logical_replication_workers": "0",
        # Tables that are filled and emptied collapse on stale statistics; looking often is cheap.
        "autovacuum": "on",
        "autovacuum_max_workers": "2",
        "autovacuum_naptime": "20s",
        # Logging, without content.
        "logging_collector": "on",
        "log_destination": "stderr",
        "log_directory": str(log),
        "log_filename": "postgres-%a.log",
        "log_file_mode": "0600",
        "log_truncate_on_rotation": "on",
        "log_rotation_age": "1d",
        "log_rotation_size": "0",
        "log_line_prefix": "%m [%p] %q%u@%d ",
        "log_timezone": "UTC",
        "timezone": "UTC",
        "log_statement": "none",
        "log_min_duration_statement": "-1",
        "log_min_error_statement": "panic",
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
        "log_error_verbosity": "terse",
        "log_checkpoints": "off",
        "cluster_name": "carepost",
        "dynamic_shared_memory_type": "posix",
        # The planner's and the server's words are matched by nobody, but read by an operator.
        "lc_messages": "C",
    }
    if major >= 18:
        # Worker processes for reading ahead would cost memory and win nothing at our sizes.
        settings["io_method"] = "sync"
    settings |= policy.extra
    lines = [f"{name} = {_quoted(value)}" for name, value in settings.items()]
    head = "# Written by Carepost at every start; changes here are lost. See `carepost config show`.\n"
    return head + "\n".join(lines) + "\n"


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
