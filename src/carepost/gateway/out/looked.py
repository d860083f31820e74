"""What the checks have seen in a message, remembered for some seconds: a page shows what would happen, then it happens.

Promises
    The same bytes of the same sender, within seconds and in the same process: anything else is looked at anew.
    It is used once. What a check could not find out is not remembered: the next look may find it out.
    Only what is in the message is remembered. Rules, directory, register and questions are asked again every time.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from carepost.gateway.contents import Contents
from carepost.gateway.facts import CHECK_FAILED, must_wait
from carepost.gateway.model import Finding
from carepost.gateway.out.outgoing import OutDoor, Submission
from carepost.message.model import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedPolicy:
    # From the preview to the send of one press of a button: mostly milliseconds.
    lasts: timedelta = timedelta(seconds=10)
    # In one process; a message and what was read out of it take some three times its octets.
    octets_max: int = 32 << 20


@dataclass(frozen=True, slots=True)
class Seen:
    message: Message
    contents: Contents
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Looked:
    """By digest, oldest first."""

    policy: LookedPolicy = field(default_factory=LookedPolicy)
    _seen: dict[bytes, tuple[datetime, int, Seen]] = field(default_factory=dict, repr=False)

    def take(self, submission: Submission, now: datetime) -> Seen | None:
        """What was seen in it a moment ago, if it was. It is forgotten with that."""
        if submission.door is not OutDoor.WEB:
            return None
        found = self._seen.pop(_key(submission), None)
        fresh = found is not None and timedelta() <= now - found[0] <= self.policy.lasts
        return found[2] if found is not None and fresh else None

    def keep(self, submission: Submission, seen: Seen, now: datetime) -> None:
        """For the send that follows the preview."""
        if submission.door is not OutDoor.WEB or not _all_known(seen.findings):
            return
        size, most = len(submission.raw), self.policy.octets_max
        for key in [key for key, (at, _, _) in self._seen.items() if now - at > self.policy.lasts]:
            del self._seen[key]
        while self._seen and size + sum(octets for _, octets, _ in self._seen.values()) > most:
            del self._seen[next(iter(self._seen))]
        if size <= most:
            self._seen[_key(submission)] = (now, size, seen)


def _all_known(findings: Sequence[Finding]) -> bool:
    return must_wait(findings) is None and all(finding.code != CHECK_FAILED for finding in findings)


def _key(submission: Submission) -> bytes:
    who = f"{submission.organisation} {submission.person} {submission.mailbox} {submission.reverse_path}"
    return hashlib.sha256(hashlib.sha256(who.encode()).digest() + submission.raw).digest()
