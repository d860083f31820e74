"""What the settings say becomes what the transport does; what cannot be used is told in words."""

from ipaddress import ip_address

import pytest

from carepost.app.transport import host_policy, own_sts_policy, transport_policy
from carepost.base.errors import NotPossible
from carepost.delivery.hosts import Route
from carepost.infra.settings import Service, Settings, Transport
from carepost.mailauth.mta_sts import Mode, StsPolicy


def settings(**given: object) -> Settings:
    return Settings(service=Service(hostname="Mail.Care.example"), transport=Transport(**given))  # type: ignore[arg-type]


def test_an_empty_file_sends_to_mail_hosts_by_their_records_and_never_to_this_machine() -> None:
    policy = transport_policy(Settings(), host_policy(Settings()))
    assert policy.hosts.routes == {}
    assert policy.hosts.port == 25
    assert any(ip_address("127.0.0.1") in network for network in policy.hosts.never)
    assert policy.connect_to is None
    assert policy.deadlines.done == 600


def test_routes_addresses_and_places_are_read() -> None:
    given = settings(
        routes=("trust.example=relay.trust.example:2525", "*=[2001:db8::1]:25"),
        own_addresses=("192.0.2.1",),
        connect_to="127.0.0.1:2525",
        source_ipv4="192.0.2.1",
    )
    hosts = host_policy(given)
    assert hosts.routes == {"trust.example": Route("relay.trust.example", 2525), "*": Route("2001:db8::1", 25)}
    assert hosts.own_addresses == {ip_address("192.0.2.1")}
    assert hosts.own_names == {"mail.care.example"}
    policy = transport_policy(given, hosts)
    assert policy.connect_to == (ip_address("127.0.0.1"), 2525)
    assert policy.source_ipv4 == ip_address("192.0.2.1")


@pytest.mark.parametrize(
    "given",
    [
        {"routes": ("trust.example",)},
        {"routes": ("trust.example=relay",)},
        {"routes": ("a b=relay:25",)},
        {"connect_to": "localhost:25"},
        {"connect_to": "127.0.0.1"},
        {"own_addresses": ("mail.care.example",)},
        {"source_ipv4": "mail.care.example"},
        {"source_ipv4": "2001:db8::1"},
        {"source_ipv6": "192.0.2.1"},
    ],
)
def test_what_cannot_be_used_is_told_in_words(given: dict[str, object]) -> None:
    with pytest.raises(NotPossible, match=r"write|not an address"):
        transport_policy(settings(**given), host_policy(settings(**given)))


def test_our_own_policy_is_tested_first_and_names_our_host() -> None:
    assert own_sts_policy(settings()) == StsPolicy(Mode.TESTING, ("mail.care.example",), 7 * 86_400)
    assert own_sts_policy(settings(mta_sts="none")) is None
