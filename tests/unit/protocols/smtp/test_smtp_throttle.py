"""What each client address may ask for."""

from ipaddress import ip_address, ip_network

from carepost.protocols.smtp.limits import SmtpLimits
from carepost.protocols.smtp.throttle import Throttle

CLIENT, OTHER = ip_address("192.0.2.1"), ip_address("192.0.2.2")


def test_connections_are_counted_for_each_address() -> None:
    throttle = Throttle(SmtpLimits(connections_per_client=2))
    assert [throttle.connect(CLIENT, now=0) for _ in range(3)] == [True, True, False]
    assert throttle.connect(OTHER, now=0)
    throttle.disconnect(CLIENT)
    assert throttle.connect(CLIENT, now=0)


def test_a_customers_ipv6_network_is_one_client() -> None:
    throttle = Throttle(SmtpLimits(connections_per_client=1))
    assert throttle.connect(ip_address("2001:db8:1:2::1"), now=0)
    assert not throttle.connect(ip_address("2001:db8:1:2:ffff::9"), now=0)
    assert throttle.connect(ip_address("2001:db8:1:3::1"), now=0)


def test_recipients_leak_away_within_a_minute() -> None:
    throttle = Throttle(SmtpLimits(recipients_per_minute=60))
    assert all(throttle.recipient(CLIENT, now=0) for _ in range(60))
    assert not throttle.recipient(CLIENT, now=0)
    assert throttle.recipient(CLIENT, now=2.5)
    assert all(throttle.recipient(CLIENT, now=100) for _ in range(60))


def test_unknown_recipients_take_longer_and_longer_and_then_end() -> None:
    throttle = Throttle(SmtpLimits(unknown_before_tarpit=2, tarpit_step=1, tarpit_max=3, unknown_per_hour=7))
    assert [throttle.unknown_recipient(CLIENT, now=0) for _ in range(8)] == [0, 0, 1, 2, 3, 3, 3, None]
    assert throttle.unknown_recipient(OTHER, now=0) == 0


def test_an_hour_later_all_is_forgotten() -> None:
    throttle = Throttle(SmtpLimits(unknown_per_hour=3))
    for _ in range(3):
        throttle.unknown_recipient(CLIENT, now=0)
    assert throttle.unknown_recipient(CLIENT, now=1) is None
    assert throttle.unknown_recipient(CLIENT, now=5000) == 0


def test_a_relay_that_brings_messages_may_mistype() -> None:
    throttle = Throttle(SmtpLimits(unknown_per_hour=10, unknown_before_tarpit=5))
    for _ in range(100):
        assert throttle.unknown_recipient(CLIENT, now=0) == 0
        throttle.message_taken(CLIENT, now=0)


def test_who_is_exempt_is_never_counted() -> None:
    throttle = Throttle(
        SmtpLimits(connections_per_client=0, recipients_per_minute=0, unknown_per_hour=0),
        exempt=[ip_network("192.0.2.0/24")],
    )
    assert throttle.connect(CLIENT, now=0)
    assert throttle.recipient(CLIENT, now=0)
    assert throttle.unknown_recipient(CLIENT, now=0) == 0
    throttle.disconnect(CLIENT)
    assert not throttle.connect(ip_address("198.51.100.1"), now=0)


def test_memory_is_bounded_and_the_connected_are_kept() -> None:
    throttle = Throttle(SmtpLimits(connections_per_client=1, clients_remembered=100))
    assert throttle.connect(CLIENT, now=0)
    for number in range(5000):
        throttle.recipient(ip_address(0x0A000000 + number), now=0)
    assert len(throttle._clients) <= 101
    assert not throttle.connect(CLIENT, now=0)
