"""Every case in tests/cases/spoofing: the published tricks for passing as somebody else, and some of our own (P12)."""

import base64
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from tests.fakes.signing_keys import rsa_key

from carepost.mailauth.author import Author, read_author
from carepost.mailauth.canonical import BodyHashes, Canonical
from carepost.mailauth.dkim import DkimResult, verify_dkim
from carepost.mailauth.dmarc import DmarcResult, DmarcStatus, check_dmarc
from carepost.mailauth.fields import split_message
from carepost.mailauth.keys import signed
from carepost.mailauth.resolver import FakeResolver
from carepost.mailauth.results import authentication_results
from carepost.mailauth.signature import coverage, header_digest
from carepost.mailauth.spf import SpfResult, check_spf

CASES = Path(__file__).parents[2] / "cases" / "spoofing"
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
MAY_PASS = {"x3-the-real-thing", "c3-a-colleague-as-somebody-else"}


@dataclass(frozen=True)
class Verdicts:
    spf: SpfResult
    dkim: list[DkimResult]
    author: Author
    dmarc: DmarcResult


def _read(path: Path) -> tuple[dict[str, str], bytes]:
    above, _, message = path.read_text(encoding="utf-8").partition("\n---\n")
    lines = [line for line in above.splitlines() if line and not line.startswith("#")]
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    unknown = set(told) - {"client", "hello", "mail-from", "signed", "spf", "dkim", "dmarc", "policy", "author"}
    assert not unknown, f"{path.name} has a line that nobody reads: {unknown}"
    raw = message.replace("\n", "\r\n").encode().replace("␀".encode(), b"\0")
    return told, _signed(raw, told["signed"]) + raw if "signed" in told else raw


def _signed(raw: bytes, how: str) -> bytes:
    tags = dict(tag.split("=", 1) for tag in how.split(" "))
    fields, body = split_message(raw)
    length = int(tags["l"]) if "l" in tags else None
    body_hash = base64.b64encode(BodyHashes(body).digest(Canonical.RELAXED, length)).decode()
    given = "; ".join(f"{key}={value}" for key, value in tags.items())
    text = f"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; {given}; h=from:subject; bh={body_hash}; b="
    own = text.replace("␀", "\0").encode()
    digest = header_digest(Canonical.RELAXED, coverage(fields, (b"from", b"subject")).fields, own + b"\r\n")
    return own + base64.b64encode(signed(rsa_key().private, digest)) + b"\r\n"


def _world() -> FakeResolver:
    with (CASES / "world.toml").open("rb") as file:
        txt = tomllib.load(file)["txt"]
    return FakeResolver(
        txt={name: [rsa_key().record if text == "KEY" else text for text in texts] for name, texts in txt.items()}
    )


async def _judge(told: dict[str, str], raw: bytes) -> Verdicts:
    world = _world()
    fields, body = split_message(raw)
    local, _, domain = told["mail-from"].rpartition("@")
    spf = await check_spf(
        world, ip=ip_address(told["client"]), mail_from_domain=domain, mail_from_local=local, helo=told["hello"]
    )
    dkim = await verify_dkim(world, headers=fields, body=body, now=NOW)
    author = read_author(fields)
    return Verdicts(spf, dkim, author, await check_dmarc(world, from_domains=author.domains, spf=spf, dkim=dkim))


@pytest.mark.parametrize("path", sorted(CASES.glob("*.case")), ids=lambda path: path.stem)
async def test_nobody_passes_for_somebody_else(path: Path) -> None:
    told, raw = _read(path)
    verdicts = await _judge(told, raw)
    found = {
        "spf": verdicts.spf.status.value,
        "dkim": verdicts.dkim[0].status.value if verdicts.dkim else "none",
        "dmarc": verdicts.dmarc.status.value,
        "policy": verdicts.dmarc.policy.value,
        "author": "unclear" if verdicts.author.fault else verdicts.author.address,
    }
    expected = {key: told[key] for key in found if key in told}
    assert expected, "a case must say what is to be found"
    assert {key: found[key] for key in expected} == expected, verdicts
    if path.stem not in MAY_PASS:
        assert verdicts.dmarc.status is not DmarcStatus.PASS


@pytest.mark.parametrize("path", sorted(CASES.glob("*.case")), ids=lambda path: path.stem)
async def test_our_own_results_field_gives_the_attacker_no_line_and_no_method(path: Path) -> None:
    told, raw = _read(path)
    verdicts = await _judge(told, raw)
    field = authentication_results("mx.care.example", spf=verdicts.spf, dkim=verdicts.dkim, dmarc=verdicts.dmarc)
    ((name, whole),) = split_message(field + b"\r\n")[0]
    assert (name, whole) == (b"authentication-results", field)
    if path.stem not in MAY_PASS:
        assert b"dmarc=pass" not in field


def test_all_twenty_two_published_cases_are_here() -> None:
    names = {path.stem.partition("-")[0] for path in CASES.glob("*.case")}
    assert {f"a{n:02}" for n in range(1, 20)} | {"c1", "c2", "c3"} <= names
