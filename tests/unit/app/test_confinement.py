"""Which files the relay asks to keep."""

from pathlib import Path

import pytest

from carepost.app.confinement import readable_by_relay, secret_folders
from carepost.infra.settings import Settings, load


def _settings(data: Path, certificate: str) -> Settings:
    return load(
        None,
        {
            "CAREPOST__SERVICE__DATA": str(data),
            "CAREPOST__SMTP__CERTIFICATE_FILE": certificate,
            "CAREPOST__SMTP__KEY_FILE": certificate,
            "CAREPOST__GATEWAY__DNS_ZONE": str(data.parent / "zone.toml"),
        },
    )


@pytest.mark.parametrize("certificate", ["mail.pem", "keys/mail.pem", "../mail.pem", "database/mail.pem"])
def test_no_folder_that_holds_secrets_is_kept_because_a_certificate_or_a_zone_is_in_it(
    tmp_path: Path, certificate: str
) -> None:
    data = tmp_path / "home" / "data"
    for folder in (data / "keys", data / "database"):
        folder.mkdir(parents=True)
    settings = _settings(data, certificate)
    kept = [path.resolve() for path in readable_by_relay(settings)]
    assert settings.path(certificate).resolve() in kept
    assert [path for path in kept if path.is_dir() and path.is_relative_to(tmp_path)] == []
    assert secret_folders(settings) == [data / "keys", data / "database"]


def test_the_folder_of_a_certificate_is_kept_so_that_a_renewed_one_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    settings = _settings(tmp_path / "data", str(tmp_path / "tls" / "mail.pem"))
    assert tmp_path / "tls" in readable_by_relay(settings)
