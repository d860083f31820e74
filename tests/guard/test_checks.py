"""Every check of the gateway is in the registry, and what it finds leads somewhere."""

import ast
from pathlib import Path

from tests.fakes.gateway import checks

import carepost.gateway.checks
from carepost.gateway.checks.outgoing import outgoing_checks
from carepost.gateway.facts import CHECK_FAILED, SOURCES

FOLDER = Path(carepost.gateway.checks.__file__).parent
NOT_CHECKS = {"__init__", "everything", "outgoing", "reports"}
ONLY_OUTGOING = {"disclosure"}


def test_every_check_in_the_folder_is_made_and_nothing_else() -> None:
    inbound = {check.name for check in checks()}
    outgoing = {check.name for check in outgoing_checks(scanner=None)}
    assert {path.stem for path in FOLDER.glob("*.py")} - NOT_CHECKS == inbound | outgoing
    assert outgoing - inbound == ONLY_OUTGOING


def test_every_fact_waits_for_checks_that_exist() -> None:
    names = {check.name for check in checks()}
    assert {check for source in SOURCES.values() for check in source.checks} <= names
    assert CHECK_FAILED not in {code for source in SOURCES.values() for code in source.codes}


# The outbound walk sends: what our own people wrote, to whom they named. Nothing of the inbound walk may know of it.
OUTBOUND = FOLDER.parent / "out"


def test_the_inbound_walk_cannot_write_to_a_sender() -> None:
    """P18: whatever becomes of a message, nothing is sent to the address that a stranger wrote on it."""
    sending = {
        "smtplib",
        "aiosmtplib",
        "carepost.delivery",
        "carepost.message.compose",
        "carepost.wire",
        "carepost.protocols",
        "carepost.gateway.out",
    }
    inbound = [path for path in FOLDER.parent.rglob("*.py") if OUTBOUND not in path.parents]
    assert len(inbound) > 25
    for path in inbound:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                assert not any(name == one or name.startswith(one + ".") for one in sending), f"{path}: {name}"
