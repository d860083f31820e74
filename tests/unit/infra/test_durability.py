"""What PostgreSQL must be set to before we may say 250."""

import pytest

from carepost.infra.durability import judge

SOUND = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "synchronous_standby_names": "",
    "data_sync_retry": "off",
    "ignore_checksum_failure": "off",
    "zero_damaged_pages": "off",
}


def test_the_defaults_are_sound() -> None:
    assert judge(SOUND) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fsync", "off"),
        ("full_page_writes", "off"),
        ("synchronous_commit", "off"),
        ("data_sync_retry", "on"),
        ("ignore_checksum_failure", "on"),
        ("zero_damaged_pages", "on"),
    ],
)
def test_each_weak_setting_is_found_and_explained(name: str, value: str) -> None:
    (finding,) = judge(SOUND | {name: value})
    assert (finding.setting, finding.value) == (name, value)
    assert len(finding.says.split()) > 3


def test_waiting_for_our_own_disk_is_enough_unless_a_second_copy_was_asked_for() -> None:
    assert judge(SOUND | {"synchronous_commit": "local"}) == []
    second = SOUND | {"synchronous_standby_names": "ANY 1 (a, b)"}
    assert judge(second) == []
    assert judge(second | {"synchronous_commit": "remote_write"}) == []
    assert [finding.setting for finding in judge(second | {"synchronous_commit": "local"})] == ["synchronous_commit"]


def test_a_server_that_does_not_say_is_not_trusted() -> None:
    assert [finding.setting for finding in judge({})] == ["synchronous_commit"]
