"""Which resolver the checks ask: the network's, or with `gateway.dns_zone` a table of names for a sample world."""

import tomllib
from pathlib import Path

from carepost.base.errors import NotPossible
from carepost.infra.dns import DnsLimits, NetworkResolver, OverlayResolver
from carepost.infra.settings import Settings
from carepost.mailauth.resolver import FakeResolver, Resolver


def resolver(settings: Settings) -> Resolver:
    """Raises NotPossible when the table of names cannot be read."""
    given = settings.gateway
    if given.dns_zone:
        return OverlayResolver(read_zone(settings.path(given.dns_zone)))
    limits = DnsLimits(question_seconds=given.dns_seconds)
    return NetworkResolver(nameservers=given.dns_servers, limits=limits)


def read_zone(path: Path) -> FakeResolver:
    """A table of names, TOML: [txt] "name" = ["record"], [a], [aaaa], [mx] "name" = [[10, "host"]], [ptr]."""
    try:
        zone = tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise NotPossible(f"The table of names {path} cannot be read: {error}.") from error
    mx = {
        name: [(int(preference), str(host)) for preference, host in hosts] for name, hosts in zone.get("mx", {}).items()
    }
    return FakeResolver(txt=zone.get("txt"), a=zone.get("a"), aaaa=zone.get("aaaa"), ptr=zone.get("ptr"), mx=mx)
