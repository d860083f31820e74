"""M2: every message of the corpora is read without an exception, its bytes kept, its spans nested.

The corpora are not part of the project: CAREPOST_CORPORA names their folder, else ../shared/data beside the repository is looked at.
"""

import os
from pathlib import Path

import pytest
from tests.unit.message.spans import spans_are_nested

from carepost.message.parse import parse
from carepost.message.second_reading import disagreements, second_reading
from carepost.message.summary import decode, encode, summarise
from carepost.message.words import search_text

ROOT = Path(__file__).resolve().parents[3]
CORPORA = Path(os.environ.get("CAREPOST_CORPORA", ROOT.parent / "shared" / "data"))


def _files(folder: str) -> list[Path]:
    found = sorted(path for path in (CORPORA / folder).rglob("*") if path.is_file() and path.suffix != ".json")
    if not found:
        pytest.skip(f"no corpus {folder}: set CAREPOST_CORPORA to the folder that holds it")
    return found


@pytest.mark.parametrize("folder", ["mime", "spamassassin", "phishing"])
def test_every_message_of_the_corpus_is_read(folder: str) -> None:
    for path in _files(folder):
        raw = path.read_bytes()
        message = parse(raw)
        assert message.raw == path.read_bytes(), path.name
        assert spans_are_nested(message), path.name
        summary = summarise(message)
        assert decode(encode(summary)) == summary, path.name
        assert isinstance(search_text(message), str), path.name
        for _, part in message.leaves():
            message.text(part).encode("utf-8", "surrogatepass")


def test_two_readers_agree_on_nearly_all_ordinary_mail() -> None:
    files = _files("spamassassin/ham")
    differ = 0
    for path in files:
        raw = path.read_bytes()
        differ += bool(disagreements(parse(raw), second_reading(raw)))
    assert differ <= len(files) // 50
