"""Tests wait long for what must happen: a slow and busy machine is no fault of the program.

A short deadline is right where it is meant to run out, and a short time where it is no deadline. Its line, or the
next, says which: `# meant to run out`, or `# no deadline`.
"""

import ast
import re
from collections.abc import Iterator

import pytest
from tests.guard.tree import texts

LEAST = 20  # seconds
SAID = ("# meant to run out", "# no deadline")
# A number of this name is a time that somebody waits.
_A_TIME = re.compile(r"(^|_)(timeout|seconds|deadline|patience|grace)$", re.IGNORECASE)
# `asyncio.timeout(5)`, `socket.settimeout(5)`, `thread.join(5)`, `process.wait(5)`, `asyncio.wait_for(it, 5)`.
_TAKES_A_TIME = {"timeout": 0, "settimeout": 0, "join": 0, "wait": 0, "wait_for": 1}
_TAKES_MILLISECONDS = {"set_default_timeout": 0, "set_default_navigation_timeout": 0}
# How far a clock of ours is put on, or how long something lasts: nobody waits.
_NOBODY_WAITS = {"timedelta", "advance", "replace"}


def _times(node: ast.AST) -> Iterator[tuple[ast.expr, float]]:
    """(the number, seconds in one of it) of each time that the node names."""
    match node:
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name), args=args, keywords=keywords):
            for takes, each in ((_TAKES_A_TIME, 1), (_TAKES_MILLISECONDS, 0.001)):
                if len(args) > takes.get(name, len(args)):
                    yield args[takes[name]], each
            if name not in _NOBODY_WAITS:
                yield from ((one.value, 1) for one in keywords if one.arg and _A_TIME.search(one.arg))
        case ast.arguments(args=args, defaults=defaults, kwonlyargs=named, kw_defaults=named_defaults):
            pairs = [*zip(reversed(args), reversed(defaults), strict=False), *zip(named, named_defaults, strict=True)]
            yield from ((value, 1) for arg, value in pairs if value is not None and _A_TIME.search(arg.arg))
        case ast.Dict(keys=keys, values=values):
            for key, value in zip(keys, values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str) and _A_TIME.search(key.value):
                    yield value, 1
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if _A_TIME.search(name):
            yield value, 1


def short_times(source: str) -> list[int]:
    """The lines that wait for less than LEAST and do not say that they may."""
    lines, found = source.splitlines(), []
    for node in ast.walk(ast.parse(source)):
        for value, each in _times(node):
            if (
                isinstance(value, ast.Constant)
                and isinstance(value.value, int | float)
                and 0 < value.value * each < LEAST
                and not any(said in "".join(lines[value.lineno - 1 : value.lineno + 1]) for said in SAID)
            ):
                found.append(value.lineno)
    return sorted(found)


def test_no_test_gives_up_soon_on_what_must_happen() -> None:
    found = [
        f"{path}:{line}"
        for path, text in texts().items()
        if path.parts[0] == "tests" and path.suffix == ".py" and "guard" not in path.parts
        for line in short_times(text)
    ]
    assert found == [], f"wait {LEAST} s or longer, or say {' or '.join(SAID)}"


@pytest.mark.parametrize(
    "short",
    [
        "async with asyncio.timeout(5): pass",
        "process.wait(3)",
        "asyncio.wait_for(thing, 2)",
        "smtplib.SMTP('localhost', timeout=10)",
        "spawn({'gateway': {'scanner_seconds': 1}})",
        "def until(holds, seconds: float = 2): pass",
        "def until(holds, *, patience=2): pass",
        "PATIENCE = 19",
        "context.set_default_timeout(15_000)",
    ],
)
def test_a_short_one_is_found_and_one_that_says_why_is_not(short: str) -> None:
    assert short_times(short) == [1]
    assert short_times(f"{short}  # meant to run out") == []
    assert short_times(re.sub(r"\d+(?=\W*(?:pass)?\W*$)", "60_000", short)) == []


@pytest.mark.parametrize("long", ["timedelta(seconds=5)", "','.join(words)", "asyncio.timeout(180)", "seconds = 0"])
def test_what_is_long_or_no_wait_is_left_alone(long: str) -> None:
    assert short_times(long) == []
