"""The numbers of port 25."""

from carepost.protocols.smtp.limits import SmtpLimits


def test_a_message_with_attachments_of_the_full_size_fits_when_encoded() -> None:
    limits = SmtpLimits(message_max_mb=35)
    attachments = 35_000_000
    encoded = -(-attachments // 57) * 78  # base64, 57 octets in a line of 76 and a CR LF
    assert encoded < limits.message_max < encoded * 1.02
