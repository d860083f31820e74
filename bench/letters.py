"""Letters as they leave a practice: text, and one each of docx, xlsx and pdf, all about SYNTHETIC patients."""

from datetime import UTC, datetime

from carepost.message.compose import Attachment, compose

_AT = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
_ROWS = 25  # patients in the list


def clinical(number: int, *, sender: str, to: str, files: bool = True) -> bytes:
    """Each number another letter; the same number always the same one."""
    from tests.fakes.clinical_mail import Clinic, letter_file, table_file

    clinic = Clinic(20261122 + number)
    who = clinic.patient()
    lines = clinic.letter(who, clinic.nhs_line(who))
    attachments: list[Attachment] = []
    if files:
        attachments = [
            letter_file(clinic, "docx", lines),
            table_file("xlsx-shared", clinic.table(_ROWS)),
            letter_file(clinic, "pdf-kerned", lines),
        ]
    return compose(
        sender,
        to,
        f"Clinic letter {number}",
        "\r\n".join(lines),
        attachments=attachments,
        date=_AT,
        message_id=f"bench.{number}.{int(files)}@bench.example",
    )
