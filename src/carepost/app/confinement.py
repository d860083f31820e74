"""Which files the process that faces strangers keeps. All others are closed to it: the root keys above all."""

import sys
from pathlib import Path

import carepost
from carepost.app.areas import key_files
from carepost.infra.confine import confine
from carepost.infra.log import get_logger
from carepost.infra.settings import Settings

log = get_logger("relay")

# What a Python program, its libraries and name look-ups read. /etc as a whole may hold keys: file by file.
_SYSTEM = ("/usr", "/lib", "/lib64", "/proc", "/dev", "/sys/devices/system/cpu")
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
    keys = key_files(settings).folder.resolve()
    if any(keys.is_relative_to(path.resolve()) for path in [*readable, *writable] if path.is_dir()):
        log.warning("the keys folder lies among files that the relay must read; move it", folder=str(keys))
    done = confine(readable=readable, writable=writable)
    if not done:
        log.warning("this kernel has no Landlock: the relay could read the root key of its own user")
    return done


def readable_by_relay(settings: Settings) -> list[Path]:
    """Programs, certificates, the table of names, and the one key it has."""
    # Libraries may lie outside the interpreter's own folders (PYTHONPATH, `pip install --user`): some load late.
    libraries = [Path(entry) for entry in sys.path if entry]
    mine = [Path(sys.prefix), Path(sys.base_prefix), Path(carepost.__file__).parent, *libraries]
    system = [Path(path) for path in _SYSTEM] + [Path("/etc") / name for name in _ETC]
    named = [settings.smtp.certificate_file, settings.smtp.key_file, settings.gateway.dns_zone]
    # The folders of certificates, so that a renewed file under the same name can be read.
    files = [settings.path(name) for name in named if name]
    folders = [path.parent for path in files if path.parent != settings.data]
    return [*mine, *system, *files, *folders, key_files(settings).folder / "edge.key"]
