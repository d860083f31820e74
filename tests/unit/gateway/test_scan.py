"""`carepost scan`: one result a file, whatever it is."""

import json
import os
from pathlib import Path

import pytest
from tests.fakes.gateway import DOMAINS, FakeScanner, letter, with_files

from carepost.gateway.checks.malware import EICAR
from carepost.gateway.scan import ScanSettings, scan_paths
from carepost.infra.clamd import ScannerUnavailable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a-letter.eml").write_bytes(letter())
    (tmp_path / "b-eicar.eml").write_bytes(with_files(("a.txt", EICAR)))
    (tmp_path / "c-unix.eml").write_bytes(with_files(("a.txt", EICAR)).replace(b"\r\n", b"\n"))
    (tmp_path / "d-empty.eml").write_bytes(b"")
    (tmp_path / "e-noise.eml").write_bytes(os.urandom(50_000))
    (tmp_path / "f-nothing-but-nul.eml").write_bytes(bytes(100_000))
    (tmp_path / "g-below").mkdir()
    (tmp_path / "g-below" / "deep.eml").write_bytes(letter(author="ward@trust.example"))
    (tmp_path / "h-nowhere").symlink_to(tmp_path / "none")
    (tmp_path / "i-circle").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "j-pipe")
    return tmp_path


def test_every_file_gets_one_result_in_the_agreed_form(folder: Path) -> None:
    results = {Path(result["path"]).name: result for result in scan_paths([folder, folder / "missing"], "in")}
    assert set(results) >= {
        "a-letter.eml",
        "b-eicar.eml",
        "c-unix.eml",
        "d-empty.eml",
        "e-noise.eml",
        "deep.eml",
        "missing",
    }
    for result in results.values():
        assert set(result) == {"path", "action", "card", "findings"}
        assert all(set(found) == {"code", "weight", "says"} for found in result["findings"])
        json.dumps(result)
    assert results["a-letter.eml"]["action"] == "deliver it with a warning"
    assert results["deep.eml"]["card"] == "from-outside"
    for name in ("b-eicar.eml", "c-unix.eml"):
        assert (results[name]["action"], results[name]["card"]) == ("hold it for a person to look at", "malware")
    for name in ("missing", "j-pipe", "h-nowhere"):
        assert (results[name]["action"], results[name]["findings"][0]["code"]) == (
            "hold it for a person to look at",
            "check-failed",
        )


def test_a_scan_holds_nothing_merely_because_nobody_knows_who_sent_it(folder: Path) -> None:
    (result,) = scan_paths([folder / "a-letter.eml"], "in")
    assert "authentication-not-checked" in {found["code"] for found in result["findings"]}
    settings = ScanSettings(domains=DOMAINS)
    (known,) = scan_paths([folder / "g-below" / "deep.eml"], "in", settings)
    assert known["action"] == "deliver it with a warning"


def test_what_claims_to_be_ours_can_only_be_held_because_nothing_can_be_proved(tmp_path: Path) -> None:
    (tmp_path / "x.eml").write_bytes(letter(author="boss@riverside.example"))
    (result,) = scan_paths([tmp_path / "x.eml"], "in", ScanSettings(domains=DOMAINS))
    assert (result["action"], result["card"]) == ("hold it for a person to look at", "own-domain-spoof")


def test_outgoing_files_are_looked_at_for_what_is_in_them(tmp_path: Path) -> None:
    (tmp_path / "x.eml").write_bytes(letter(author="jo@riverside.example"))
    (tmp_path / "y.eml").write_bytes(with_files(("a.txt", EICAR), author="jo@riverside.example"))
    plain, bad = scan_paths([tmp_path], "out", ScanSettings(domains=DOMAINS))
    assert plain["action"] == "deliver it"
    assert bad["card"] == "malware"


def test_a_silent_scanner_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "x.eml").write_bytes(letter())
    settings = ScanSettings(scanner=FakeScanner(fails=ScannerUnavailable("no")))
    (result,) = scan_paths([tmp_path / "x.eml"], "in", settings)
    assert "scanner-unavailable" in {found["code"] for found in result["findings"]}
    assert result["action"] == "hold it for a person to look at"
