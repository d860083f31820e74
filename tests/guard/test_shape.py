"""What the code looks like: small modules, small functions, one clock, nothing that turns data into code. STYLE.md."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.guard.tree import functions, modules, texts

MODULE_LINES_MAX = 500
FUNCTION_LINES_MAX = 40
# Longer than forty lines, each with the reason why the reader is better off.
LONG_FUNCTIONS = {
    "app/identity_rooms.py:identity_rooms": "one room after the other; every line hands a setting over",
    "app/pages.py:build_sites": "the composition of the pages: every line hands a room over",
    "infra/postgres_config.py:postgresql_conf": "the text of a configuration file, with the reason beside each line",
    "ops/demo/letters.py:_clinical": "letters: prose",
    "ops/demo/letters.py:_outside": "letters: prose",
    "ops/demo/letters.py:_unwelcome": "letters: prose",
    "web/mail/reading.py:_letter": "what one page shows, a field a line",
}
CLOCK = Path("src/carepost/base/clock.py")
# Elapsed time (time.monotonic, perf_counter) may be measured anywhere; what time it is comes from a Clock.
ASKS_THE_TIME = {
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "date.today",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.date.today",
    "time.time",
    "time.time_ns",
    "time.localtime",
    "time.gmtime",
}
TURNS_DATA_INTO_CODE = {"eval", "exec", "compile", "__import__"}
DANGEROUS_MODULES = {"pickle", "marshal", "shelve", "dill", "yaml", "xml", "telnetlib"}


def _calls() -> Iterator[tuple[Path, int, str]]:
    for path, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                yield path, node.lineno, ast.unparse(node.func)


def test_no_module_is_longer_than_five_hundred_lines() -> None:
    lines = {path: text.count("\n") for path, text in texts().items() if path.suffix == ".py"}
    long = {str(path): count for path, count in lines.items() if path.parts[0] == "src" and count > MODULE_LINES_MAX}
    assert long == {}


def test_no_function_is_longer_than_forty_lines_without_a_reason() -> None:
    long = {}
    for path, name, lines in functions():
        if lines > FUNCTION_LINES_MAX:
            long[f"{path.relative_to('src/carepost')}:{name}"] = lines
    assert {name: lines for name, lines in long.items() if name not in LONG_FUNCTIONS} == {}


def test_every_function_that_is_excused_is_still_long() -> None:
    long = {
        f"{path.relative_to('src/carepost')}:{name}" for path, name, lines in functions() if lines > FUNCTION_LINES_MAX
    }
    assert LONG_FUNCTIONS.keys() - long == set()


def test_only_the_clock_asks_what_time_it_is() -> None:
    asked = [f"{path}:{line} {call}" for path, line, call in _calls() if path != CLOCK and call in ASKS_THE_TIME]
    assert asked == []


def test_nothing_turns_data_into_code() -> None:
    assert [f"{path}:{line} {call}" for path, line, call in _calls() if call in TURNS_DATA_INTO_CODE] == []
    imported = []
    for path, tree in modules().items():
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            imported += [f"{path} {name}" for name in names if name.split(".")[0] in DANGEROUS_MODULES]
    assert imported == []


def test_no_shell_is_ever_started() -> None:
    shells = []
    for path, tree in modules().items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            if any(word.arg == "shell" for word in node.keywords):
                shells.append(f"{path}:{node.lineno}")
            if ast.unparse(node.func) in {"os.system", "os.popen", "asyncio.create_subprocess_shell"}:
                shells.append(f"{path}:{node.lineno}")
    assert shells == []


def test_no_task_is_without_a_parent() -> None:
    """STYLE.md 20: a bare `asyncio.create_task` outlives whoever started it."""
    bare = [f"{path}:{line}" for path, line, call in _calls() if call in {"asyncio.create_task", "loop.create_task"}]
    assert bare == []


def test_every_module_opens_with_what_it_does() -> None:
    """An empty `__init__.py` says nothing because there is nothing to say."""
    silent = [str(path) for path, tree in modules().items() if tree.body and ast.get_docstring(tree) is None]
    assert silent == []


def test_nothing_is_created_at_import_of_a_package() -> None:
    """A package's `__init__.py` may hold words and imports, and names; it opens and starts nothing."""
    busy = []
    for path, tree in modules().items():
        if path.name != "__init__.py":
            continue
        for node in tree.body:
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                busy.append(f"{path}:{node.lineno}")
    assert busy == []


def test_no_statement_of_sql_is_put_together_from_values() -> None:
    """STYLE.md 12: statements are constants; values are parameters."""
    starts = ("SELECT ", "INSERT ", "UPDATE ", "DELETE ", "ALTER ", "CREATE ", "DROP ", "GRANT ")
    built = []
    for path, tree in modules().items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.JoinedStr) or not node.values:
                continue
            first = node.values[0]
            holds = any(isinstance(part, ast.FormattedValue) for part in node.values)
            if holds and isinstance(first, ast.Constant) and str(first.value).lstrip().startswith(starts):
                built.append(f"{path}:{node.lineno}")
    assert built == []
