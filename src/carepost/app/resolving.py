"""Which resolver the checks ask: the network's, or with `gateway.dns_zone` a table of names for a sample world."""

import tomllib
from pathlib import Path

from carepost.base.errors import NotPossible
from carepost.infra.dns import DnsLimits, NetworkResolver, OverlayResolver
from carepost.infra.settings import Settings
from carepost.mailauth.dane import Tlsa
from carepost.mailauth.resolver import FakeResolver, Resolver


def resolver(settings: Settings) -> Resolver:
    """Raises NotPossible when the table of names cannot be read."""
    given = settings.gateway
    if given.dns_zone:
        return OverlayResolver(read_zone(settings.path(given.dns_zone)))
    limits = DnsLimits(question_seconds=given.dns_seconds)
    return NetworkResolver(nameservers=given.dns_servers, trusted=given.dns_validates, limits=limits)


def read_zone(path: Path) -> FakeResolver:
    """A table of names, TOML: [txt] "name" = ["record"], [a], [aaaa], [mx] "name" = [[10, "host"]], [ptr],
    [cname] "name" = "name", [tlsa] "_25._tcp.host" = [[3, 1, 1, "<hex>"]], and dnssec = ["name"]: what is signed.
    """
    try:
        zone = tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise NotPossible(f"The table of names {path} cannot be read: {error}.") from error
    mx = {
        name: [(int(preference), str(host)) for preference, host in hosts] for name, hosts in zone.get("mx", {}).items()
    }
    tlsa = {
        name: [
            Tlsa(int(usage), int(selector), int(matching), bytes.fromhex(data))
            for usage, selector, matching, data in all_
        ]
        for name, all_ in zone.get("tlsa", {}).items()
    }
    return FakeResolver(
        txt=zone.get("txt"),
        a=zone.get("a"),
        aaaa=zone.get("aaaa"),
        ptr=zone.get("ptr"),
        mx=mx,
        tlsa=tlsa,
        cname=zone.get("cname"),
        dnssec=zone.get("dnssec", ()),
    )
