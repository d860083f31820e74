"""Which octets of a file a browser asks for."""

import pytest

from carepost.web.downloads import wanted


@pytest.mark.parametrize(
    ("header", "place"),
    [
        (None, (0, 1_000)),
        ("bytes=0-", (0, 1_000)),
        ("bytes=0-0", (0, 1)),
        ("bytes=999-", (999, 1_000)),
        ("bytes=500-2000", (500, 1_000)),
        ("bytes=-10", (990, 1_000)),
        ("bytes=-5000", (0, 1_000)),
        ("bytes=1000-", None),
        ("bytes=-0", None),
        ("bytes=9-3", None),
        # What is not one plain range asks for all of it.
        ("bytes=-", (0, 1_000)),
        ("bytes=0-1,5-6", (0, 1_000)),
        ("lines=1-2", (0, 1_000)),
        ("bytes=" + "9" * 40 + "-", (0, 1_000)),
    ],
)
def test_a_range_is_understood_or_all_is_given(header: str | None, place: tuple[int, int] | None) -> None:
    assert wanted(header, 1_000) == place
