"""ARC: a forwarder that we trust may vouch for a message that its forwarding broke. RFC 8617; nobody else may."""

import pytest
from tests.fakes.gateway import NOW, checks, examination, judged, letter
from tests.fakes.signing_keys import rsa_key

from carepost.base.address import Domain
from carepost.gateway.checks.authentication import AuthenticationPolicy
from carepost.gateway.checks.everything import CheckPolicy
from carepost.mailauth.arc import seal_arc
from carepost.mailauth.arc_sets import Cv
from carepost.mailauth.fields import split_message
from carepost.mailauth.resolver import FakeResolver

PLAIN = letter(author="news@bank.example")
WORLD = FakeResolver(
    txt={
        "_dmarc.bank.example": ["v=DMARC1; p=reject"],
        "bank.example": ["v=spf1 -all"],
        "arc._domainkey.list.example": [rsa_key().record],
    }
)


def sealed(results: bytes, *, by: str = "list.example") -> bytes:
    headers, body = split_message(PLAIN)
    fields = seal_arc(
        headers,
        body,
        chain=(),
        cv=Cv.NONE,
        results=results,
        domain=Domain(by),
        selector="arc",
        key=rsa_key().private,
        now=NOW,
    )
    return fields + PLAIN


@pytest.mark.parametrize(
    ("raw", "trusted", "card"),
    [
        (sealed(b"list.example; dmarc=pass header.from=bank.example"), {"list.example"}, "from-outside"),
        (sealed(b"list.example; dmarc=pass header.from=bank.example"), set(), "rejected-by-domain"),
        (sealed(b"list.example; dmarc=fail header.from=bank.example"), {"list.example"}, "rejected-by-domain"),
        (sealed(b"list.example; dmarc=pass") + b"and one line more\r\n", {"list.example"}, "rejected-by-domain"),
        (
            sealed(b"list.example; dmarc=pass").replace(b"dmarc=pass", b"dmarc=PASS"),
            {"list.example"},
            "rejected-by-domain",
        ),
        (PLAIN, {"list.example"}, "rejected-by-domain"),
    ],
    ids=["vouched for", "not on our list", "was not proved there either", "changed since", "seal broken", "no seal"],
)
async def test_only_a_trusted_forwarder_s_whole_chain_counts(raw: bytes, trusted: set[str], card: str) -> None:
    policy = CheckPolicy(authentication=AuthenticationPolicy(trusted_sealers=frozenset(trusted)))
    among = checks(resolver=WORLD, policy=policy)
    ruling, found = await judged(examination(raw, sender="list@list.example", client="192.0.2.77"), among=among)
    assert ruling.gravest.decision.card == card, [finding.says for finding in found]
