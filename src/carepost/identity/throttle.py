"""How many failures, how long a wait. PURE. R86, P20.

Promises
    Nobody can lock a person out of a device that they have used before: its tries are counted apart from strangers'.
    A telephone that keeps trying one stale password counts as one failure, however often it tries.
    From devices we do not know, an account is tried at most `failures_max` times in `window`, then not for `lock`.
    What is refused here is not checked at all, so a lock costs no Argon2 and tells nothing about the password.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from carepost.identity.model import Attempt, Outcome

_FAILURES = frozenset({Outcome.WRONG_PASSWORD, Outcome.WRONG_CODE, Outcome.NOT_ALLOWED})


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottlePolicy:
    # R86: ten failures in fifteen minutes lock for thirty, and it lets go by itself.
    failures_max: int = 10
    window: timedelta = timedelta(minutes=15)
    lock: timedelta = timedelta(minutes=30)
    # People mistype: the first few cost no wait, then 1, 2, 4 … seconds.
    free_failures: int = 4
    first_wait: timedelta = timedelta(seconds=1)
    longest_wait: timedelta = timedelta(seconds=60)
    # One network may fail this often at once, and this often again each hour. A hospital stands behind one address:
    # known devices are not counted here.
    source_burst: float = 200.0
    source_per_hour: float = 200.0
    # What counts as one network.
    source_v4_prefix: int = 24
    source_v6_prefix: int = 48

    @property
    def looks_back(self) -> timedelta:
        """How old a try can be and still matter."""
        return self.window + self.lock


@dataclass(frozen=True, slots=True)
class Go:
    """Check the password."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Do not check anything until then."""

    until: datetime
    locked: bool
    failures: int


Verdict = Go | Wait


def judge(attempts: Sequence[Attempt], *, device: bytes | None, now: datetime, policy: ThrottlePolicy) -> Verdict:
    """Whether the next try from `device` (None: not one we know) is looked at.

    `attempts` are the account's own of the last `policy.looks_back`, in order of time.
    """
    counted = _failures(attempts, device)
    locked_at = _locked_at(counted, policy)
    if locked_at is not None and now < locked_at + policy.lock:
        return Wait(locked_at + policy.lock, locked=True, failures=policy.failures_max)
    if locked_at is not None:
        counted = [at for at in counted if at > locked_at]
    recent = [at for at in counted if at > now - policy.window]
    over = len(recent) - policy.free_failures
    if over > 0:
        until = recent[-1] + min(policy.first_wait * 2 ** min(over - 1, 30), policy.longest_wait)
        if now < until:
            return Wait(until, locked=False, failures=len(recent))
    return Go()


def _failures(attempts: Iterable[Attempt], device: bytes | None) -> list[datetime]:
    """When this device (or all unknown ones together) failed, since it last succeeded or was unlocked."""
    counted: list[datetime] = []
    marks: set[bytes] = set()
    for attempt in attempts:
        if attempt.outcome is Outcome.UNLOCKED:
            counted, marks = [], set()
        elif attempt.device != device:
            continue
        elif attempt.outcome is Outcome.ACCEPTED:
            counted, marks = [], set()
        elif attempt.outcome in _FAILURES:
            if device is not None and attempt.password_mark is not None:
                if attempt.password_mark in marks:
                    continue
                marks.add(attempt.password_mark)
            counted.append(attempt.at)
    return counted


def _locked_at(failures: Sequence[datetime], policy: ThrottlePolicy) -> datetime | None:
    """The last time that the failures of one window reached the limit."""
    span = policy.failures_max - 1
    for last in range(len(failures) - 1, span - 1, -1):
        if failures[last] - failures[last - span] < policy.window:
            return failures[last]
    return None


def leaked(failures: float, *, since: timedelta, policy: ThrottlePolicy) -> float:
    """What is left of a network's failures after `since`: the same sum as in `queries.sql`."""
    return max(0.0, failures - policy.source_per_hour * since.total_seconds() / 3600)
