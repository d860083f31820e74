"""Settings: strict, described, and overridden from the environment."""

import tomllib
from pathlib import Path

import msgspec
import pytest

from carepost.base.errors import NotPossible
from carepost.infra.settings import Settings, describe, load, read_secret
from carepost.infra.settings_file import sections, sentences


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "carepost.toml"
    path.write_text(text)
    return path


def test_an_empty_file_is_a_working_configuration(tmp_path: Path) -> None:
    assert load(write(tmp_path, ""), {}) == Settings() == load(None, {})


def test_the_description_is_a_settings_file_that_changes_nothing(tmp_path: Path) -> None:
    assert load(write(tmp_path, describe()), {}) == Settings()
    changed = msgspec.structs.replace(Settings(), smtp=msgspec.structs.replace(Settings().smtp, message_max_mb=50))
    assert tomllib.loads(describe(changed))["smtp"]["message_max_mb"] == 50


def test_every_setting_says_what_it_is_for() -> None:
    for section, kind in sections(Settings).items():
        assert kind.__doc__, section
        for field, sentence in sentences(kind).items():
            assert sentence.endswith("."), f"{section}.{field}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[smtp]\nmesage_max_mb = 50", r"no setting smtp\.mesage_max_mb\. Did you mean message_max_mb\?"),
        ("[smpt]\n", r"no setting smpt\. Did you mean smtp\?"),
        ("[smtp]\nmessage_max_mb = 'much'", r"smtp\.message_max_mb"),
        ("[smtp]\nmessage_max_mb = -1", r"smtp\.message_max_mb"),
        ("[smtp]\nlisten = ['25']", r"smtp\.listen"),
        ("[observe]\nlog = 'loud'", r"observe\.log"),
        ("[smtp\n", "not readable"),
        ("smtp = 5", "smtp"),
    ],
)
def test_a_mistake_is_refused_in_words(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(NotPossible, match=says):
        load(write(tmp_path, text), {})


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "[smtp]\nmessage_max_mb = 50\n")
    environment = {
        "CAREPOST__SMTP__MESSAGE_MAX_MB": "20",
        "CAREPOST__SERVICE__NAME": "North Mail",
        "CAREPOST__SMTP__LISTEN": '["127.0.0.1:2525"]',
        "CAREPOST_CORPORA": "/not/ours",
        "HOME": "/root",
    }
    settings = load(path, environment)
    assert (settings.smtp.message_max_mb, settings.service.name) == (20, "North Mail")
    assert settings.smtp.listen == ("127.0.0.1:2525",)
    with pytest.raises(NotPossible, match="Did you mean hostname"):
        load(path, {"CAREPOST__SERVICE__HOSTNAM": "x"})
    with pytest.raises(NotPossible, match="no section smpt"):
        load(path, {"CAREPOST__SMPT__LISTEN": "[]"})


def test_a_refused_value_is_not_repeated(tmp_path: Path) -> None:
    for environment in ({"CAREPOST__DATABASE__POOL_MAX": "hunter2"}, {"CAREPOST__DATABASE__POOL_MAX": '"hunter2"'}):
        with pytest.raises(NotPossible) as raised:
            load(None, environment)
        assert "hunter2" not in str(raised.value)
    with pytest.raises(NotPossible) as raised:
        load(write(tmp_path, "[database]\npool_max = 'hunter2'"), {})
    assert "hunter2" not in str(raised.value)


def test_a_missing_file_is_an_error_and_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(NotPossible, match="could not be read"):
        load(tmp_path / "absent.toml", {})


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    secret.chmod(0o644)
    with pytest.raises(NotPossible, match="chmod 600"):
        read_secret(secret)
    secret.chmod(0o600)
    assert read_secret(secret) == "s3cret"
    secret.write_text("\n")
    with pytest.raises(NotPossible, match="empty"):
        read_secret(secret)


def test_paths_are_inside_the_data_folder_unless_absolute() -> None:
    settings = load(None, {"CAREPOST__SERVICE__DATA": "/srv/carepost"})
    assert settings.path("keys") == Path("/srv/carepost/keys")
    assert settings.path("/etc/keys") == Path("/etc/keys")
