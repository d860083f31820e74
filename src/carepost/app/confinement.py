"""What the process that faces strangers keeps. All other files are closed to it: the root keys above all, and the
secrets with which others connect to the database.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import carepost
from carepost.app.areas import key_files
from carepost.infra.confine import CAP_DAC_OVERRIDE, confine, give_up_capabilities
from carepost.infra.log import get_logger
from carepost.infra.settings import Settings

log = get_logger("relay")

# What a Python program, its libraries and name look-ups read. /etc as a whole may hold keys: file by file.
# Of /dev and /proc only what says nothing of others: as root, disks and memory stand there too.
_SYSTEM = ("/usr", "/lib", "/lib64", "/sys/devices/system/cpu")
_DEV = ("null", "zero", "full", "random", "urandom")
_PROC = ("self", "cpuinfo", "meminfo", "stat", "version", "filesystems", "sys/kernel", "sys/net", "sys/vm")
_ETC = (
    *("hosts", "resolv.conf", "nsswitch.conf", "host.conf", "gai.conf", "services", "localtime", "ld.so.cache"),
    *("passwd", "group", "ssl/openssl.cnf", "ssl/certs"),
)


def confine_relay(settings: Settings) -> bool:
    """Give up every file but these; whether the kernel could. Call once, before the first stranger is heard."""
    if not settings.workers.confine:
        return False
    readable = readable_by_relay(settings)
    writable = [settings.path(settings.smtp.spool), settings.path("metrics")]
    for folder in writable:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for secret in secret_folders(settings):
        if _within(secret, [*readable, *writable]):
            log.warning("a folder of secrets lies among files that the relay must read; move it", folder=str(secret))
    done = confine(readable=readable, writable=writable)
    if not done:
        log.warning("this kernel has no Landlock: the relay could read the secrets of its own user")
    # Where we are root, the database's socket and some certificates are others' files.
    give_up_capabilities(keep=CAP_DAC_OVERRIDE)
    return done


def secret_folders(settings: Settings) -> list[Path]:
    """What the relay must never read, whatever the settings name: keys, and all that is around the database."""
    return [key_files(settings).folder.resolve(), (settings.data / "database").resolve()]


def readable_by_relay(settings: Settings) -> list[Path]:
    """Programs, certificates, the table of names, and the one key it has."""
    # Libraries may lie outside the interpreter's own folders (PYTHONPATH, `pip install --user`): some load late.
    libraries = [Path(entry) for entry in sys.path if entry]
    mine = [Path(sys.prefix), Path(sys.base_prefix), Path(carepost.__file__).parent, *libraries]
    system = [Path(path) for path in _SYSTEM]
    for parent, names in (("/etc", _ETC), ("/dev", _DEV), ("/proc", _PROC)):
        system += [Path(parent) / name for name in names]
    certificates = [settings.path(name) for name in (settings.smtp.certificate_file, settings.smtp.key_file) if name]
    zone = [settings.path(settings.gateway.dns_zone)] if settings.gateway.dns_zone else []
    # The folders of certificates, so that a renewed file under the same name can be read; unless they hold secrets.
    secrets = secret_folders(settings)
    folders = [path.parent for path in certificates if not any(_within(secret, [path.parent]) for secret in secrets)]
    return [*mine, *system, *certificates, *zone, *folders, key_files(settings).folder / "edge.key"]


def _within(secret: Path, folders: Sequence[Path]) -> bool:
    return any(secret.is_relative_to(folder.resolve()) for folder in folders if folder.is_dir())
