"""What work costs: processor time of this process, so that a busy machine does not decide, on a machine of usual speed.

A search that has become quadratic costs many times its bound, at every try and on every machine. A cold cache, a
neighbour on the same core or a processor that is throttled costs two or three times the usual, and not always.
"""

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

_TRIES = 5
# Of the piece of work below, on the machine whose figures the bounds were made for, at rest.
_USUAL = 0.010


def costs_less_than(seconds: float, work: Callable[[], Result]) -> Result:
    """What the work returned. Raises AssertionError when it costs more, at every try and for this machine's speed."""
    costs = []
    for _ in range(_TRIES):
        began = time.process_time()
        result = work()
        costs.append(time.process_time() - began)
        if costs[-1] < seconds:
            return result
    slower = max(1.0, _a_known_piece_of_work() / _USUAL)
    assert min(costs) < seconds * slower, f"{min(costs):.3f} s, {slower:.1f} times the usual being allowed for"
    return result


def _a_known_piece_of_work() -> float:
    began = time.process_time()
    total = 0
    for number in range(200_000):
        total += number % 7
    assert total > 0
    return time.process_time() - began
