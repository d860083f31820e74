from ipaddress import ip_address

import pytest

from carepost.base.address import Domain
from carepost.mailauth.mta_sts import Mode, StsPolicy
from carepost.mailauth.resolver import FakeResolver
from carepost.ops.publish import Kind, Standing, check, wanted

POLICY = StsPolicy(Mode.TESTING, ("mail.riverside.example",), 604800)
RECORDS = wanted(
    "mail.riverside.example",
    [Domain("riverside.example")],
    [ip_address("203.0.113.5"), ip_address("2001:db8::5")],
    report_to="postmaster@riverside.example",
    sts=POLICY,
)


def right_world(**changes: object) -> FakeResolver:
    world: dict[str, object] = {
        "a": {"mail.riverside.example": ["203.0.113.5"], "mta-sts.riverside.example": ["203.0.113.5"]},
        "aaaa": {"mail.riverside.example": ["2001:db8::5"], "mta-sts.riverside.example": ["2001:db8::5"]},
        "ptr": {"203.0.113.5": ["mail.riverside.example"], "2001:db8::5": ["mail.riverside.example"]},
        "mx": {"riverside.example": [(10, "mail.riverside.example")]},
        "txt": {
            "riverside.example": ["some-verification=1", "v=spf1 mx -all"],
            "_dmarc.riverside.example": ["v=DMARC1; p=reject; rua=mailto:postmaster@riverside.example"],
            "_mta-sts.riverside.example": [f"v=STSv1; id={POLICY.id}"],
            "_smtp._tls.riverside.example": ["v=TLSRPTv1; rua=mailto:postmaster@riverside.example"],
        },
    }
    return FakeResolver(**{**world, **changes})  # type: ignore[arg-type]


async def test_what_we_ask_for_is_what_we_find_right() -> None:
    assert {checked.standing for checked in await check(right_world(), RECORDS)} == {Standing.RIGHT}


@pytest.mark.parametrize(
    ("changes", "kind", "standing", "says"),
    [
        ({"mx": {}}, Kind.MX, Standing.MISSING, "riverside.example. IN MX 10 mail.riverside.example."),
        ({"mx": {"riverside.example": [(5, "old.example")]}}, Kind.MX, Standing.DIFFERENT, "'5 old.example'"),
        ({"txt": {"riverside.example": ["v=spf1 ?all"]}}, Kind.TXT, Standing.DIFFERENT, "v=spf1 ?all"),
        ({"txt": {"_mta-sts.riverside.example": ["v=STSv1; id=1"]}}, Kind.TXT, Standing.DIFFERENT, POLICY.id),
        ({"ptr": {}}, Kind.PTR, Standing.MISSING, "5.113.0.203.in-addr.arpa"),
        ({"fails": {"riverside.example"}}, Kind.MX, Standing.UNKNOWN, "could not be looked up"),
    ],
)
async def test_what_is_wrong_is_said_with_what_to_do(
    changes: dict[str, object], kind: Kind, standing: Standing, says: str
) -> None:
    found = [checked for checked in await check(right_world(**changes), RECORDS) if checked.record.kind is kind]
    assert any(checked.standing is standing and says in checked.sentence for checked in found)
