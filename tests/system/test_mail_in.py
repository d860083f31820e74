"""A message comes in by the real doors and is read by the real doors."""

from tests.fakes.running_service import RunningService, message


def test_a_message_that_is_acknowledged_is_read_by_imap_over_verified_tls(service: RunningService) -> None:
    reference = service.deliver(message("Blood results for clinic"), "ann.lee@willow.example")
    found = [raw for raw in service.read("ann.lee") if b"Subject: Blood results for clinic" in raw]
    assert len(found) == 1
    assert reference.encode() in found[0]
