"""Somebody who runs code of their own inside the relay.

It runs as the relay does: the same user, after the same `confine_relay`, knowing where everything is and every DSN.
`confined=False` is the control: the same user, with every file.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OTHER_ROLES = ("postgres", "carepost_owner", "carepost_app")

_CODE = """
import json, subprocess, sys
from pathlib import Path
import psycopg
from carepost.app.confinement import confine_relay
from carepost.infra.postgres import EmbeddedPostgres
from carepost.infra.settings import load

config, confined, roles, files = json.loads(sys.argv[1])
settings = load(Path(config))
server = EmbeddedPostgres(settings.data / "database")
server.find()
if confined:
    assert confine_relay(settings)

def attempt(work, *given):
    try:
        return work(*given)
    except (psycopg.OperationalError, OSError, subprocess.CalledProcessError) as error:
        return f"refused: {error}"

def connect(role):
    with psycopg.connect(server.dsn(role), connect_timeout=60) as connection:
        return connection.execute("SELECT current_user").fetchone()[0]

def peek(name):
    with open(name, "rb", buffering=0) as file:
        return len(file.read(1))

def become_nobody():
    return subprocess.check_call([sys.executable, "-c", "import os; os.setuid(65534)"])

print(json.dumps({
    "roles": {role: attempt(connect, role) for role in roles},
    "files": {name: attempt(peek, name) for name in files},
    "nobody": attempt(become_nobody),
}))
"""


@dataclass(frozen=True, slots=True)
class Loot:
    """What it got. An answer that begins with "refused" says why it did not."""

    roles: Mapping[str, str]  # as whom it was connected, by role
    files: Mapping[str, int | str]  # octets read
    nobody: int | str  # 0 when it could become another user


def intrude(
    config: Path,
    *,
    confined: bool,
    files: Sequence[Path] = (),
    python: str = sys.executable,
    prelude: str = "",
    lent: Mapping[str, Any] | None = None,
) -> Loot:
    """Run it on the service of these settings, by `python` after `prelude`; `lent`: as which user, for subprocess."""
    given = json.dumps([str(config), confined, [*OTHER_ROLES, "carepost_relay"], [str(file) for file in files]])
    done = subprocess.run(
        [python, "-c", prelude + _CODE, given],
        capture_output=True, text=True, check=False, timeout=180, cwd="/", **(lent or {}),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Loot(**json.loads(done.stdout.splitlines()[-1]))


def refused(answer: object) -> bool:
    return str(answer).startswith("refused: ")
