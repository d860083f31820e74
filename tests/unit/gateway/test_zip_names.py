"""The names in a zip file, told from its end alone; and never told wrongly."""

import io
import random
import zipfile

import pytest

from carepost.gateway.files.zip_names import names_in_tail

NAMES = ["scan.dcm", "ward/märz.txt", "viewer.exe"]


def packed(*names: str, comment: bytes = b"") -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name in names:
            archive.writestr(name, b"x" * 5_000)
        archive.comment = comment
    return held.getvalue()


@pytest.mark.parametrize("comment", [b"", b"made by a scanner " * 50])
def test_names_are_found_in_the_whole_file_and_in_its_end(comment: bytes) -> None:
    whole = packed(*NAMES, comment=comment)
    assert names_in_tail(whole) == NAMES
    assert names_in_tail(whole[-(300 + len(comment)) :]) == NAMES


def test_a_file_with_zip64_records_is_read_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    assert names_in_tail(packed(*NAMES)) == NAMES


def test_a_list_that_is_cut_off_is_not_known() -> None:
    whole = packed(*NAMES)
    assert names_in_tail(whole[-60:]) is None
    assert names_in_tail(whole[:-30]) is None
    assert names_in_tail(b"") is None
    assert names_in_tail(b"PK\x05\x06") is None


def test_whatever_is_changed_in_it_nothing_is_raised() -> None:
    whole, chance = packed(*NAMES), random.Random(7)
    for _ in range(2_000):
        changed = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            changed[-chance.randint(1, 400)] = chance.randint(0, 255)
        found = names_in_tail(bytes(changed))
        assert found is None or len(found) <= 50_000
