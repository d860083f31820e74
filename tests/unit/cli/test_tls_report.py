"""`carepost tls-report` reads what others report about us, as a file and as the message that brought it."""

import json
import sys
from datetime import date
from pathlib import Path

import pytest

from carepost.base.address import EmailAddress
from carepost.base.clock import FixedClock
from carepost.cli import main
from carepost.delivery.tls_results import ReportPolicy, report_mail
from carepost.mailauth.tls_report import FailureKind, PolicyKind, Reporter, Tally, report

DAY = date(2026, 11, 21)
THEM = ReportPolicy(
    reporter=Reporter("Trust mail", "postmaster@trust.example", "mx.trust.example"),
    sender=EmailAddress.parse("postmaster@trust.example"),
)
TALLIES = [
    Tally("care.example", PolicyKind.NONE, (), (), "", "", None, successes=7),
    Tally(
        "care.example", PolicyKind.NONE, (), (), "mail.care.example", "", FailureKind.CERTIFICATE_EXPIRED, failures=2
    ),
]
REPORT = report(THEM.reporter, "care.example", DAY, TALLIES)


def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["carepost", "tls-report", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0), capsys.readouterr().out


def test_a_report_is_told_in_words_from_its_file_and_from_its_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    to = [EmailAddress.parse("postmaster@care.example")]
    (tmp_path / "report.json.gz").write_bytes(REPORT)
    (tmp_path / "report.eml").write_bytes(
        report_mail(THEM, "care.example", DAY, to=to, octets=REPORT, clock=FixedClock())
    )
    for name in ("report.json.gz", "report.eml"):
        code, out = told(monkeypatch, capsys, str(tmp_path / name))
        assert code == 0
        assert "Trust mail, 2026-11-21 to 2026-11-21, with 2 failures" in out
        assert "care.example (no-policy-found): 7 well, 2 failed" in out
        assert "2 times certificate-expired mail.care.example" in out
    _, out = told(monkeypatch, capsys, "--json", str(tmp_path / "report.json.gz"))
    assert json.loads(out)["policies"][0]["failures"] == 2


def test_what_is_no_report_is_said_and_the_others_are_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "good").write_bytes(REPORT)
    (tmp_path / "bad").write_bytes(b"From: x\r\n\r\nhello\r\n")
    (tmp_path / "large").write_bytes(b" " * 5_000_000)
    names = [str(tmp_path / name) for name in ("bad", "large", "missing", "good")]
    code, out = told(monkeypatch, capsys, *names)
    assert code == 1
    assert "bad: It is no TLS report." in out
    assert "large: It is larger than reports are." in out
    assert "missing: It could not be read" in out
    assert "Trust mail" in out
