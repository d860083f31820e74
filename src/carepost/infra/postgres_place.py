"""Where an embedded cluster lives and who runs it.

Promises
    PostgreSQL never runs as root: as root we lend it a system user, otherwise it runs as ourselves.
    No parent folder's mode is ever changed. When the system user can't reach the data folder (a clone under
    /root, say), the cluster lives under /var/lib/carepost, and `postgres.location` in the data folder says so.
    The socket's folder is 0700 and its path fits the 107 bytes a Unix socket has.
"""

import hashlib
import itertools
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from carepost.base.errors import NotPossible
from carepost.infra.postgres_binaries import Binaries
from carepost.infra.postgres_config import PORT

SYSTEM_STATE = Path("/var/lib/carepost")
LOCATION_FILE = "postgres.location"
_SOCKET_PATH_MAX = 107  # sockaddr_un.sun_path on Linux is 108 bytes with its final NUL.
_SERVICE_USERS = ("postgres", "carepost")


@dataclass(frozen=True, slots=True)
class Owner:
    """The operating-system user whom the server runs as; `lent` when we are root and it is not us."""

    name: str
    uid: int
    gid: int
    lent: bool


@dataclass(frozen=True, slots=True)
class Place:
    cluster: Path
    socket: Path
    log: Path
    owner: Owner


def find_owner() -> Owner:
    """Ourselves; or, as root, the system user postgres, else carepost, made when it is missing."""
    if os.geteuid() != 0:
        try:
            us = pwd.getpwuid(os.geteuid())
        except KeyError:
            raise NotPossible(
                f"User number {os.geteuid()} has no name on this machine, and PostgreSQL needs one. "
                "Add it to /etc/passwd, or give database.dsn."
            ) from None
        return Owner(us.pw_name, us.pw_uid, us.pw_gid, lent=False)
    for name in _SERVICE_USERS:
        if (entry := _user(name)) is not None:
            return Owner(name, entry.pw_uid, entry.pw_gid, lent=True)
    return _make_service_user()


def ourselves() -> Owner:
    """Whoever this process is, as the owner of a file that is not the server's."""
    return Owner("", os.geteuid(), os.getegid(), lent=False)


def find_place(folder: Path, owner: Owner) -> Place:
    """Where the cluster of the data folder `folder` is, or will be. Makes the folders around it."""
    folder.mkdir(mode=0o711 if owner.lent else 0o700, parents=True, exist_ok=True)
    known = _read_location(folder)
    base = Path(known["base"]) if "base" in known else _choose_base(folder, owner)
    base.mkdir(mode=0o711 if owner.lent else 0o700, parents=True, exist_ok=True)
    log = base / "log"
    own_folder(log, owner)
    socket = _socket_folder(base, owner, known.get("socket"))
    place = Place(base / "cluster", socket, log, owner)
    _write_location(folder, base, socket, owner)
    return place


def erase_place(folder: Path, place: Place) -> None:
    """Delete the cluster and everything that was made around it. It must not be running."""
    base = place.cluster.parent
    place.cluster.with_name("carepost.pgpass").unlink(missing_ok=True)
    for part in (place.cluster, place.cluster.with_name("cluster.new"), place.log, place.socket):
        shutil.rmtree(part, ignore_errors=True)
    if base != folder:
        shutil.rmtree(base, ignore_errors=True)
    (folder / LOCATION_FILE).unlink(missing_ok=True)


def reachable_binaries(binaries: Binaries, owner: Owner) -> Binaries:
    """The same programs, copied under /var/lib/carepost when the server's user can't run them where they are."""
    if not owner.lent or _can_run(binaries.folder, owner):
        return binaries
    installation = binaries.folder.parent
    copy = SYSTEM_STATE / f"postgres-{binaries.version}"
    programs = copy / installation.parent.name / installation.name / "bin"
    if not _can_run(programs, owner):
        _copy_installation(installation, copy)
    if not _can_run(programs, owner):
        raise NotPossible(f"User {owner.name} cannot run PostgreSQL from {copy}. Is /var mounted noexec?")
    return Binaries(programs, binaries.major, binaries.version)


def own_folder(folder: Path, owner: Owner) -> None:
    """Make `folder`, 0700, the owner's. One that is somebody else's is refused: it may be a trap."""
    folder.mkdir(mode=0o700, exist_ok=True)
    seen = folder.lstat()
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid not in (owner.uid, os.geteuid()):
        raise NotPossible(f"{folder} belongs to somebody else. Remove it, or choose another data folder.")
    if owner.lent:
        os.chown(folder, owner.uid, owner.gid, follow_symlinks=False)
    folder.chmod(0o700)


def write_owned(path: Path, text: str, owner: Owner) -> None:
    """Replace a file in one step. Never follows a link that the server's user might have laid."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        if owner.lent:
            os.fchown(handle, owner.uid, owner.gid)
        file.write(text)
        file.flush()
        os.fsync(handle)
    fresh.replace(path)


def _user(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _make_service_user() -> Owner:
    name = _SERVICE_USERS[-1]
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd is None:
        raise NotPossible(f"PostgreSQL does not run as root. Make a system user called {name}, or run as another user.")
    subprocess.run(  # noqa: S603 (fixed arguments)
        [
            useradd,
            "--system",
            "--no-create-home",
            "--home-dir",
            str(SYSTEM_STATE),
            "--shell",
            "/usr/sbin/nologin",
            name,
        ],
        check=True,
        capture_output=True,
    )
    entry = pwd.getpwnam(name)
    return Owner(name, entry.pw_uid, entry.pw_gid, lent=True)


def _choose_base(folder: Path, owner: Owner) -> Path:
    if not owner.lent or _can_enter(folder, owner):
        return folder
    digest = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:12]
    SYSTEM_STATE.mkdir(mode=0o755, parents=True, exist_ok=True)
    # A cluster of that name belongs to a data folder that was here before and is gone, keys and all: leave it alone.
    names = (digest if number == 1 else f"{digest}-{number}" for number in itertools.count(1))
    return next(base for name in names if not (base := SYSTEM_STATE / name).exists())


def _can_enter(folder: Path, owner: Owner) -> bool:
    return _probe(["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)], owner)


def _can_run(folder: Path, owner: Owner) -> bool:
    return _probe([str(folder / "postgres"), "--version"], owner) and _probe(
        [str(folder / "initdb"), "--version"], owner
    )


def _probe(command: list[str], owner: Owner) -> bool:
    """Whether it works for that user: asked of the kernel, which knows about ACLs, mounts and links."""
    try:
        done = subprocess.run(  # noqa: S603 (our own commands)
            command, user=owner.uid, group=owner.gid, extra_groups=[], capture_output=True, check=False, cwd="/"
        )
    except OSError:
        return False
    return done.returncode == 0


def _copy_installation(source: Path, target: Path) -> None:
    SYSTEM_STATE.mkdir(mode=0o755, parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=SYSTEM_STATE))
    # The layout of the wheel is kept: its programs look for libpq three folders up, in `<package>.libs`.
    package = source.parent
    for part in ("bin", "lib", "share"):
        shutil.copytree(source / part, fresh / package.name / source.name / part, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
    _let_everybody_read(fresh)
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)


def _let_everybody_read(root: Path) -> None:
    """It is published software; the umask under which it was installed or copied must not hide it."""
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)


def _socket_folder(base: Path, owner: Owner, known: str | None) -> Path:
    """`socket` beside the cluster when its path is short enough, else a private folder of its own."""
    beside = base / "socket"
    if len(os.fsencode(beside)) + len(f"/.s.PGSQL.{PORT}.lock") <= _SOCKET_PATH_MAX:
        own_folder(beside, owner)
        return beside
    if known is not None and _is_private(Path(known), owner):
        return Path(known)
    short = Path(tempfile.mkdtemp(prefix="carepost-", dir=_short_parent()))
    own_folder(short, owner)
    return short


def _short_parent() -> str:
    for parent in ("/run", f"/run/user/{os.geteuid()}", "/tmp"):  # noqa: S108 (mkdtemp makes a private folder in it)
        if os.access(parent, os.W_OK | os.X_OK) and len(parent) < 40:
            return parent
    return tempfile.gettempdir()


def _is_private(folder: Path, owner: Owner) -> bool:
    try:
        seen = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(seen.st_mode) and stat.S_IMODE(seen.st_mode) == 0o700 and seen.st_uid == owner.uid


def _read_location(folder: Path) -> dict[str, str]:
    try:
        return {key: str(value) for key, value in tomllib.loads((folder / LOCATION_FILE).read_text("utf-8")).items()}
    except (FileNotFoundError, tomllib.TOMLDecodeError):
        return {}


def _write_location(folder: Path, base: Path, socket: Path, owner: Owner) -> None:
    lines = [
        "# Where the embedded PostgreSQL of this data folder lives. Written by Carepost at every start.",
        f"socket = {_toml(socket)}",
        f"user = {_toml(owner.name)}",
    ]
    if base != folder:
        lines.insert(1, "# User " + owner.name + " cannot reach this folder, so the database is elsewhere:")
        lines.insert(2, f"base = {_toml(base)}")
    text = "\n".join(lines) + "\n"
    write_owned(folder / LOCATION_FILE, text, ourselves())


def _toml(value: object) -> str:
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
