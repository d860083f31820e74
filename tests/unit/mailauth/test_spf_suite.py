"""The public RFC 7208 test suite: every one of its results, by the name that the suite gives it."""

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml

from carepost.mailauth.resolver import FakeResolver
from carepost.mailauth.spf import check_spf

_ROOT = Path(__file__).resolve().parents[3]
_CORPORA = Path(os.environ.get("CAREPOST_CORPORA", _ROOT.parent / "shared" / "data"))
_SUITE = _CORPORA / "spf" / "rfc7208-tests.yml"
_KINDS = {"TXT": "txt", "A": "a", "AAAA": "aaaa", "MX": "mx", "CNAME": "cname"}


def _scenarios() -> list[Any]:
    if not _SUITE.exists():
        return [pytest.param(None, None, id="absent", marks=pytest.mark.skip(reason=f"no SPF suite at {_SUITE}"))]
    with _SUITE.open(encoding="utf-8") as file:
        documents = list(yaml.safe_load_all(file))
    return [
        pytest.param(document["zonedata"], test, id=f"{document['description']}: {name}")
        for document in documents
        for name, test in document["tests"].items()
    ]


def _address_of(reverse: str) -> str:
    labels = reverse.lower().removesuffix(".").split(".")
    if reverse.lower().rstrip(".").endswith("in-addr.arpa"):
        return ".".join(reversed(labels[:4]))
    nibbles = "".join(reversed(labels[:32]))
    return str(ip_address(":".join(nibbles[at : at + 4] for at in range(0, 32, 4))))


def _world(zone: dict[str, list[Any]]) -> FakeResolver:
    tables: dict[str, dict[str, list[Any]]] = {kind: {} for kind in (*_KINDS.values(), "ptr")}
    silent: list[str] = []
    fails: set[str | tuple[str, str]] = set()
    for name, records in zone.items():
        # The suite's rule: an SPF entry stands for TXT as well, unless the name has TXT entries of its own.
        own_txt = any(isinstance(r, dict) and "TXT" in r for r in records)
        for record in records:
            if record == "TIMEOUT":
                silent.append(name)
                continue
            ((kind, value),) = record.items()
            if value == "TIMEOUT":
                fails.add((_KINDS["TXT" if kind == "SPF" else kind], name))
            elif kind == "PTR":
                tables["ptr"].setdefault(_address_of(name), []).append(value)
            elif kind == "SPF" and own_txt:
                continue
            elif value != "NONE":
                kind_here = "txt" if kind == "SPF" else _KINDS[kind]
                tables[kind_here].setdefault(name, []).append(tuple(value) if kind == "MX" else value)
    for name in silent:
        fails.update((kind, name) for kind in ("txt", "a", "aaaa", "mx") if name not in tables[kind])
    cname = {name: targets[0] for name, targets in tables.pop("cname").items()}
    return FakeResolver(**tables, cname=cname, fails=fails)  # type: ignore[arg-type]


@pytest.mark.parametrize(("zone", "test"), _scenarios())
async def test_the_public_suite_agrees(zone: dict[str, list[Any]], test: dict[str, Any]) -> None:
    local, _, domain = str(test["mailfrom"]).rpartition("@")
    result = await check_spf(
        _world(zone),
        ip=ip_address(test["host"]),
        mail_from_domain=domain,
        mail_from_local=local,
        helo=test["helo"],
    )
    wanted = test["result"] if isinstance(test["result"], list) else [test["result"]]
    assert result.status.value in wanted, result.reason
    if "explanation" in test:
        default = "" if test["explanation"] == "DEFAULT" else test["explanation"]
        assert result.explanation == default
