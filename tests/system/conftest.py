"""The service as an operator runs it. CAREPOST_LONG=1 runs the same tests for longer.

template     a furnished service that has been stopped: others begin as copies of it
service      one running service that several tests share; they do it no harm
spawn        services of a test's own, to be harmed
"""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.running_service import RunningService, copied, forget, short_home

LONG = os.environ.get("CAREPOST_LONG", "") not in ("", "0")

# The last two are signed out by a test; the two before them each have one test's mail alone.
PEOPLE = ("ann.lee", "jo.ray", "kim.ode", "lou.fry", "tom.bird", "bea.off", "max.out", "nan.out")

Spawn = Callable[..., RunningService]


@pytest.fixture(scope="session")
def template() -> Iterator[RunningService]:
    made = RunningService(short_home())
    try:
        made.settle()
        made.start()
        made.furnish(*PEOPLE, shared=("clinic",))
        code, _ = made.stop()
        assert code == 0
        yield made
    finally:
        made.close()
        forget(made.home)


@pytest.fixture(scope="session")
def service(template: RunningService) -> Iterator[RunningService]:
    made = copied(template, short_home())
    try:
        made.start()
        yield made
    finally:
        made.close()
        forget(made.home)


@pytest.fixture
def spawn(template: RunningService) -> Iterator[Spawn]:
    """`spawn(further settings, home=)`: settled and not started."""
    made: list[RunningService] = []

    def one(further: Mapping[str, Mapping[str, Any]] | None = None, *, home: Path | None = None) -> RunningService:
        made.append(copied(template, home or short_home(), further))
        return made[-1]

    yield one
    for each in made:
        each.close()
        forget(each.home)
