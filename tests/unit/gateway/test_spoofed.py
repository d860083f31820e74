"""P12 to its end: the twenty-two published tricks, and ours, through the whole walk. None reaches an inbox unmarked.

The cases and the world they live in are those of tests/unit/mailauth/test_spoofing.py.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes.gateway import checks, connection, examination, judged
from tests.unit.mailauth.test_spoofing import CASES, MAY_PASS, _read, _world

from carepost.base.address import Domain, EmailAddress
from carepost.base.errors import Malformed
from carepost.gateway.model import Examination
from carepost.gateway.scan import ListedDomains
from carepost.policy.actions import Action

# Both names that the attackers want to pass for: one of ours, and one on the register.
DOMAINS = ListedDomains(own=frozenset({Domain("care.example")}), secure=frozenset({Domain("trust.example")}))


def seen_at_the_door(told: dict[str, str], raw: bytes) -> Examination:
    seen = examination(raw)
    try:
        sender = EmailAddress.parse(told["mail-from"]) if told["mail-from"] else None
    except Malformed:
        sender = EmailAddress.parse("unparsable@attack.example")  # the SMTP engine would have refused it
    return replace(
        seen,
        connection=connection(client=told["client"], hello=told["hello"]),
        envelope=replace(seen.envelope, reverse_path=sender),
    )


@pytest.mark.parametrize("path", sorted(CASES.glob("*.case")), ids=lambda path: path.stem)
async def test_nobody_who_passes_for_somebody_else_reaches_an_inbox_unmarked(path: Path) -> None:
    told, raw = _read(path)
    ruling, found = await judged(seen_at_the_door(told, raw), among=checks(resolver=_world(), domains=DOMAINS))
    if path.stem not in MAY_PASS:
        assert ruling.gravest.action is not Action.DELIVER, [finding.says for finding in found]
        assert ruling.facts.sender_secure is not True
