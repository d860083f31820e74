"""What a message is after: phishing and spam, by what it says and shows. R135.

Promises
    Offline, modest and explainable: each finding names the observations it was made of.
    Never refuses anything by itself, and never sees who the recipient is: the cards decide.

Two judgements over one reading. Phishing is set so that it rarely errs (such mail is held); spam may err more often
(such mail lies in the junk folder, which a shared mailbox shows among its work, R137).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from carepost.gateway.examine import aside
from carepost.gateway.model import Check, Examination, Finding
from carepost.gateway.reading import read
from carepost.gateway.signals import LURES, Signal, signals_of
from carepost.message.model import Message

NAME = "content"
_PAGE_COSTS = 3  # reading a page costs as much as inspecting three times as many octets of attachments


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Points from which a message counts as such. Measured: see docs/performance.md."""

    phishing: int = 8
    spam: int = 7


def content(thresholds: Thresholds) -> Check:
    async def look(examination: Examination) -> list[Finding]:
        text = sum(len(file.data) for file in examination.contents.files if not file.is_attachment)
        seen = await aside(text * _PAGE_COSTS, partial(_signals, examination.message))
        judged = (
            _judged("phishing", "phishing", [(signal, signal.phishing) for signal in seen], thresholds.phishing)
            if any(signal.name in LURES for signal in seen)
            else None,
            _judged("spam", "spam", [(signal, signal.spam) for signal in seen], thresholds.spam),
        )
        return [finding for finding in judged if finding is not None]

    return Check(NAME, look)


def _judged(code: str, called: str, points: Sequence[tuple[Signal, int]], enough: int) -> Finding | None:
    total = sum(number for _, number in points)
    if total < enough:
        return None
    reasons = "; ".join(f"it {signal.says}" for signal, number in points if number > 0)
    says = f"The message looks like {called} ({total} points, {enough} are enough): {reasons}."
    return Finding(code=code, weight=2, says=says, check=NAME)


def _signals(message: Message) -> list[Signal]:
    return list(signals_of(read(message)))
