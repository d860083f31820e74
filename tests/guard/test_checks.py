"""Every check of the gateway is in the registry, and what it finds leads somewhere."""

from pathlib import Path

from tests.fakes.gateway import checks

import carepost.gateway.checks
from carepost.gateway.facts import CHECK_FAILED, SOURCES

FOLDER = Path(carepost.gateway.checks.__file__).parent
NOT_CHECKS = {"__init__", "everything", "reports"}


def test_every_check_in_the_folder_is_made_and_nothing_else() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} - NOT_CHECKS == {check.name for check in checks()}


def test_every_fact_waits_for_checks_that_exist() -> None:
    names = {check.name for check in checks()}
    assert {check for source in SOURCES.values() for check in source.checks} <= names
    assert CHECK_FAILED not in {code for source in SOURCES.values() for code in source.codes}
