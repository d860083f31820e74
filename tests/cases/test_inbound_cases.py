"""Every file of inbound/ is a message and what must happen to it. See inbound/README.md."""

import base64
from pathlib import Path

import pytest
from tests.fakes.gateway import codes, examination, judged, recipient

from carepost.gateway.checks.malware import EICAR
from carepost.gateway.model import Examination, Via
from carepost.policy.actions import Action
from carepost.policy.inbound import INBOUND

FOLDER = Path(__file__).parent / "inbound"
CASES = sorted(FOLDER.glob("*.case"))
KNOWN = {"expect", "card", "sees", "mail from", "to", "client", "door"}


class BadCase(AssertionError):
    """A case that its author should look at again."""


def read_case(text: str) -> tuple[dict[str, str], Examination]:
    head, line, message = text.replace("\r\n", "\n").partition("\n---\n")
    if not line:
        raise BadCase("a line with three dashes must part the message from what is said about it")
    said: dict[str, str] = {}
    for row in head.splitlines():
        if not row.strip() or row.startswith("#"):
            continue
        key, colon, value = row.partition(":")
        if not colon or key.strip().lower() not in KNOWN:
            raise BadCase(f"not understood: {row}")
        said[key.strip().lower()] = value.strip()
    if "expect" not in said:
        raise BadCase("what is expected?")
    encoded = base64.encodebytes(EICAR).decode().strip()
    raw = message.replace("{EICAR in base64}", encoded).replace("{EICAR}", EICAR.decode()).replace("\n", "\r\n")
    sender = said.get("mail from", "pat@webmail.example")
    to = said.get("to", "jo@riverside.example")
    seen = examination(
        raw.encode("utf-8", "surrogateescape"),
        sender=None if sender == "<>" else sender,
        recipients=[recipient(to.replace("(shared)", "").strip(), shared="(shared)" in to)],
        client=said.get("client", "192.0.2.50"),
        via=Via(said.get("door", "smtp")),
    )
    return said, seen


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
async def test_a_case_comes_true(path: Path) -> None:
    said, seen = read_case(path.read_text(encoding="utf-8"))
    ruling, found = await judged(seen)
    told = [f"{finding.code}: {finding.says}" for finding in found if finding.weight]
    assert ruling.gravest.action is Action(said["expect"]), told
    if "card" in said:
        assert ruling.gravest.decision.card == said["card"], told
    if "sees" in said:
        assert said["sees"] in codes(found), told


def test_there_are_cases_for_every_action() -> None:
    expected = {read_case(path.read_text(encoding="utf-8"))[0]["expect"] for path in CASES}
    assert expected == {action.value for action in INBOUND.actions}


@pytest.mark.parametrize("text", ["expect: deliver it\nFrom: a@b", "expct: x\n---\n", "card: x\n---\nFrom: a@b\n\nx"])
def test_a_case_that_is_not_understood_is_said_so(text: str) -> None:
    with pytest.raises(BadCase):
        read_case(text)
