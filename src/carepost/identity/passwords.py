"""Passwords at rest: Argon2id, off the loop, a few at a time.

Promises
    An unknown account costs the same Argon2 run as a known one (ASVS 6.3.8, P21).
    At most `concurrent` runs at once (64 MiB each) and `waiting_max` waiting; more are told to try later.
    What is hashed is a keyed digest of the password: nothing is cut off, and the table alone cannot be tried off line.
"""

import asyncio
import base64
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import argon2
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from carepost.base.errors import Broken, TryLater
from carepost.identity.password_rules import normalise


class Pepper(Protocol):
    """The edge key, as passwords need it."""

    def pepper(self, purpose: str, value: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HashingPolicy:
    # RFC 9106 §4, second recommended option (64 MiB, three passes) with one lane: some 0.17 s on a small server.
    memory_kib: int = 64 * 1024
    passes: int = 3
    lanes: int = 1
    # Runs at once. Each takes `memory_kib` and one core. 0: as many as there are cores.
    concurrent: int = 0
    # Sign-ins that may wait for a run; beyond that people wait longer than a page may take.
    waiting_max: int = 50


@dataclass(frozen=True, slots=True)
class Checked:
    """`stale` is True when a right password is stored under weaker settings than today's: hash it again."""

    right: bool
    stale: bool = False


class PasswordHashing:
    """Hashes and checks passwords. One for a process: it is what bounds the memory."""

    def __init__(self, pepper: Pepper, policy: HashingPolicy | None = None) -> None:
        self._pepper = pepper
        self._policy = policy or HashingPolicy()
        self._argon2 = argon2.PasswordHasher(
            time_cost=self._policy.passes,
            memory_cost=self._policy.memory_kib,
            parallelism=self._policy.lanes,
            type=argon2.Type.ID,
        )
        self._slots = asyncio.Semaphore(self._policy.concurrent or os.cpu_count() or 1)
        self._waiting = 0
        self._nobody: str | None = None
        self.runs = 0  # Argon2 runs so far, for metrics and tests

    async def hash(self, password: str) -> str:
        """The text to store. Raises TryLater when too many wait."""
        secret = self._secret(password)
        async with self._slot():
            return await asyncio.to_thread(self._argon2.hash, secret)

    async def check(self, stored: str | None, password: str) -> Checked:
        """Whether it is the password. `stored` is None for somebody who does not exist: never right, same cost."""
        secret = self._secret(password)
        async with self._slot():
            right = await asyncio.to_thread(self._verify, stored or self._hash_of_nobody(), secret)
        if stored is None or not right:
            return Checked(right=False)
        return Checked(right=True, stale=self._argon2.check_needs_rehash(stored))

    def _secret(self, password: str) -> bytes:
        return self._pepper.pepper("password", normalise(password).encode("utf-8", "surrogatepass"))

    def _verify(self, stored: str, secret: bytes) -> bool:
        try:
            return self._argon2.verify(stored, secret)
        except VerifyMismatchError:
            return False
        except InvalidHashError as error:
            raise Broken("A stored password cannot be read.") from error

    def _hash_of_nobody(self) -> str:
        # A hash in form, of nothing in particular: random salt, random tag, today's settings and so today's cost.
        if self._nobody is None:
            settings = f"m={self._policy.memory_kib},t={self._policy.passes},p={self._policy.lanes}"
            self._nobody = f"$argon2id$v=19${settings}${_random_base64(16)}${_random_base64(32)}"
        return self._nobody

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        if self._waiting >= self._policy.waiting_max:
            raise TryLater("Too many people are signing in at this moment. Please try again in a minute.")
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            self.runs += 1
            yield
        finally:
            self._slots.release()


def _random_base64(octets: int) -> str:
    return base64.b64encode(secrets.token_bytes(octets)).decode().rstrip("=")
