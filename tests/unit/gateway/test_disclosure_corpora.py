"""Ordinary public mail is left alone: at most one in a thousand may be touched. The whole of it: tools/measure_disclosure.py."""

import os
from pathlib import Path

import pytest
from tests.fakes.gateway import examination

from carepost.gateway.checks.disclosure import disclosure
from carepost.gateway.disclosure import sensitivity_of
from carepost.message.identifiers import Sensitivity

CORPORA = Path(os.environ.get("CAREPOST_CORPORA", Path(__file__).parents[4] / "shared" / "data"))
EVERY = 5  # one in five of the ordinary ones: the time of a test


@pytest.mark.skipif(not CORPORA.is_dir(), reason="no corpora: set CAREPOST_CORPORA")
async def test_ordinary_mail_is_not_touched() -> None:
    ordinary = sorted((CORPORA / "spamassassin" / "ham").glob("*"))[::EVERY]
    paths = [
        path
        for path in [*ordinary, *sorted((CORPORA / "spamassassin" / "hard-ham").glob("*"))]
        if path.suffix != ".json"
    ]
    assert len(paths) > 200
    touched = {}
    for path in paths:
        findings = await disclosure().look(examination(path.read_bytes()))
        if sensitivity_of(findings) is not Sensitivity.NONE:
            touched[path.name] = [finding.code for finding in findings]
    assert touched == {}
