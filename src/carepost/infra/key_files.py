"""The key files: root keys (only for roles that open mail) and the edge key (for the role that faces strangers too).

Promises
    A key file is 32 random bytes, mode 0600, made once, synced to disk before anything is sealed with it.
    A root key that is missing or damaged stops the start with words; it is never silently made anew beside sealed mail.
"""

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from carepost.base.errors import Broken
from carepost.infra.vault import KEY_BYTES, EdgeKey


@dataclass(frozen=True, slots=True)
class RootKeys:
    """Every root key that something may still be wrapped with, by version. New wraps use the newest."""

    by_version: Mapping[int, bytes]
    # Asked for a version that was made since we started, so that a rotation needs no pause in reading.
    made_since: Callable[[int], bytes | None] = field(default=lambda _version: None, repr=False, compare=False)

    @property
    def newest(self) -> int:
        return max(self.by_version)

    def key(self, version: int) -> bytes:
        """Raise Broken with what to do when the file of that version is not there."""
        key = self.by_version.get(version) or self.made_since(version)
        if key is None:
            raise Broken(
                f"Root key {version} is missing. Put root-{version}.key back into the keys folder from its safe copy: "
                "without it, mail sealed under it stays closed."
            )
        return key


@dataclass(frozen=True, slots=True)
class KeyFiles:
    folder: Path

    @property
    def complete(self) -> bool:
        """Whether there is a root key and the edge key."""
        return bool(self._root_files()) and (self.folder / "edge.key").exists()

    def create_missing(self) -> None:
        """Make the folder, the first root key and the edge key where there are none."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._root_files():
            self._write("root-1.key")
        if not (self.folder / "edge.key").exists():
            self._write("edge.key")

    def add_root(self) -> int:
        """Begin a rotation: a new newest root key. Returns its version."""
        version = max(self._root_files(), default=0) + 1
        self._write(f"root-{version}.key")
        return version

    def root(self) -> RootKeys:
        files = self._root_files()
        if not files:
            raise Broken(f"There is no root key in {self.folder}. Restore root-*.key from its safe copy.")
        return RootKeys({version: _read(path) for version, path in files.items()}, self._made_since)

    def edge(self) -> EdgeKey:
        return EdgeKey(_read(self.folder / "edge.key"))

    def _made_since(self, version: int) -> bytes | None:
        path = self._root_files().get(version)
        return None if path is None else _read(path)

    def _root_files(self) -> dict[int, Path]:
        return {int(path.stem.removeprefix("root-")): path for path in self.folder.glob("root-*.key")}

    def _write(self, name: str) -> None:
        # O_EXCL: two starts at once must not each make a key and one of them lose it.
        descriptor = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, secrets.token_bytes(KEY_BYTES))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _read(path: Path) -> bytes:
    try:
        key = path.read_bytes()
    except OSError as error:
        raise Broken(f"The key file {path.name} cannot be read: {error.strerror}.") from error
    if len(key) != KEY_BYTES:
        raise Broken(
            f"The key file {path.name} is damaged: it must be {KEY_BYTES} bytes. Restore it from its safe copy."
        )
    return key
