"""Who gets into the embedded cluster, and as which role.

Promises
    The relay's role is told by its operating-system user and needs no secret. Every other role needs one.
    The secrets stand in one file beside the cluster, which only we may read and the relay has given up (Landlock). They
    are made, and given to the cluster, by a process of their own: never in memory that relays are forked from.
    A cluster that does not have the secrets of that file (a new one, one of an earlier release, one whose file was
    lost) is given new ones before it takes its first connection; there is no moment at which it asks for none.
"""

import base64
import hashlib
import hmac
import os
import secrets
import subprocess
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from psycopg import sql

from carepost.base.errors import Broken
from carepost.infra.postgres_config import SUPERUSER
from carepost.infra.postgres_place import Place, find_owner, find_place, ourselves, write_owned
from carepost.infra.postgres_process import run_as

RELAY = "carepost_relay"
# Who must show a secret.
SECRETIVE = (SUPERUSER, "carepost_owner", "carepost_app")

_ROUNDS = 4096  # PostgreSQL's own; a secret of 256 bits is not guessed however few there are
_NAME_OCTETS = 34  # "# ", and the name of this set of secrets: 32 hexadecimal digits


def pg_hba_conf() -> str:
    return (
        "# Written by Carepost at every start.\n"
        f"local all {RELAY} peer map=carepost\n"
        "local all all scram-sha-256\n"
    )  # fmt: skip


def pg_ident_conf(users: Sequence[str]) -> str:
    """Which operating-system users may be the relay's role."""
    lines = [f'carepost "{user}" {RELAY}' for user in dict.fromkeys(users)]
    return "# Written by Carepost at every start.\n" + "\n".join(lines) + "\n"


def secrets_file(place: Place) -> Path:
    """In libpq's own form (`passfile`), so that each connection reads it for itself."""
    return place.cluster.with_name("carepost.pgpass")


def give_secrets(folder: Path, place: Place, postgres: str) -> None:
    """See that the cluster, which must not be running, asks for the secrets of the file. Raises Broken.

    Takes a moment once in a cluster's life, and nothing after that.
    """
    if (known := _name_of(secrets_file(place))) and known == _read(_mark(place)):
        return
    command = [sys.executable, "-P", "-m", "carepost.infra.postgres_access", str(folder), postgres]
    # Wherever we were found, so is it.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(  # noqa: S603 (our own program)
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=environment, cwd="/"
    )
    if done.returncode != 0:
        raise Broken("the roles of the database could not be given their secrets", log=done.stderr.strip()[-500:])


def main(folder: Path, postgres: str) -> None:
    """The process of its own. The mark is written last: whatever ends it before that, the next start begins anew."""
    place = find_place(folder, find_owner())
    name = secrets.token_hex(16)
    each = {role: secrets.token_hex(32) for role in SECRETIVE}
    lines = [f"# {name}", *(f"*:*:*:{role}:{secret}" for role, secret in each.items())]
    _mark(place).unlink(missing_ok=True)
    write_owned(secrets_file(place), "\n".join(lines) + "\n", ourselves())
    _tell_cluster(place, postgres, each)
    write_owned(_mark(place), name, place.owner)


def _tell_cluster(place: Place, postgres: str, each: dict[str, str]) -> None:
    """In single-user mode: there is no socket, and nobody else."""
    roles = files("carepost.infra").joinpath("bootstrap.sql").read_text("utf-8")
    statements = [roles.strip().removesuffix(";")]
    give = sql.SQL("ALTER ROLE {} PASSWORD {}")
    statements += [
        give.format(sql.Identifier(role), sql.Literal(_verifier(secret))).as_string(None)
        for role, secret in each.items()
    ]
    # -j: a statement ends with a semicolon and two newlines.
    command = [postgres, "--single", "-j", "-D", str(place.cluster), "-c", "exit_on_error=on", SUPERUSER]
    done = run_as(command, place.owner, said="".join(f"{statement};\n\n" for statement in statements))
    if done.returncode != 0:
        raise SystemExit(done.stderr.strip()[-500:] or f"postgres --single ended with {done.returncode}")


def _verifier(secret: str) -> str:
    """What PostgreSQL keeps instead of the secret (RFC 5803): from it nobody can sign in."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", secret.encode(), salt, _ROUNDS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    texts = [base64.b64encode(octets).decode() for octets in (salt, stored, server)]
    return f"SCRAM-SHA-256${_ROUNDS}:{texts[0]}${texts[1]}:{texts[2]}"


def _mark(place: Place) -> Path:
    """In the cluster, so that it goes wherever the cluster does: which set of secrets it was given."""
    return place.cluster / "carepost.secrets"


def _name_of(file: Path) -> str:
    """The first line, which is no secret, and no octet more."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(descriptor, _NAME_OCTETS).decode("ascii", "replace").removeprefix("# ")
    finally:
        os.close(descriptor)


def _read(file: Path) -> str:
    try:
        return file.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return ""


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
