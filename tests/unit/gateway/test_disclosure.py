"""What a message would tell about people: where it is found, in which words, how sensitive that makes it. R113, R114, R159."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from tests.fakes import office_files as office
from tests.fakes.clinical_mail import LETTER_FORMS, TABLE_FORMS, Clinic, letter_file, table_file
from tests.fakes.gateway import examination

from carepost.gateway.checks.disclosure import disclosure
from carepost.gateway.checks.outgoing import outgoing_checks
from carepost.gateway.disclosure import CODES, sensitivity_of
from carepost.gateway.examine import ExamineLimits, examine, failed
from carepost.gateway.model import Check, Examination, Finding
from carepost.message.compose import Attachment, compose
from carepost.message.identifiers import Sensitivity

NUMBER = "999 000 0018"


def message(
    text: str = "Please see attached.",
    *,
    subject: str = "Hello",
    html: str | None = None,
    files: Sequence[Attachment | tuple[str, str, bytes]] = (),
    headers: Sequence[tuple[str, str]] = (),
) -> bytes:
    return compose(
        "jo@riverside.example", "pat@webmail.example", subject, text, html=html, attachments=files,
        date=datetime(2026, 11, 22, tzinfo=UTC), message_id="<1@riverside.example>", extra_headers=headers,
    )  # fmt: skip


async def look(raw: bytes) -> list[Finding]:
    return await disclosure().look(examination(raw))


def told(findings: Sequence[Finding]) -> set[tuple[str, object]]:
    return {(finding.code, finding.facts.get("where")) for finding in findings}


async def test_an_ordinary_message_tells_nothing() -> None:
    findings = await look(message("See you at ten. Tel 01632 960123."))
    assert findings == []
    assert sensitivity_of(findings) is Sensitivity.NONE


async def test_a_finding_says_what_and_where_and_never_the_number() -> None:
    findings = await look(message(f"patient {NUMBER}", files=[("list.txt", "text/plain", f"NHS {NUMBER}".encode())]))
    assert told(findings) == {("nhs-number", "text"), ("nhs-number", "file")}
    assert [finding.says for finding in findings] == [
        "There is an NHS number in the text.",
        "There is an NHS number in the file “list.txt”.",
    ]
    assert all(finding.facts["count"] == 1 and finding.check == "disclosure" for finding in findings)
    assert "999" not in repr(findings)
    assert sensitivity_of(findings) is Sensitivity.PATIENT


async def test_a_subject_and_the_name_of_a_file_are_warned_about() -> None:
    findings = await look(message(subject=f"Re: patient {NUMBER}", files=[(f"{NUMBER}.txt", "text/plain", b"Hello")]))
    assert told(findings) == {
        ("nhs-number", "subject"), ("subject-identifiers", "subject"),
        ("nhs-number", "attachment name"), ("subject-identifiers", "attachment name"),
    }  # fmt: skip


async def test_a_subject_that_is_encoded_or_doubled_is_read_as_well() -> None:
    encoded = b"Subject: =?utf-8?q?patient_999_000_00?=\r\n =?utf-8?q?18?=\r\nSubject: [SECURE]\r\n\r\nHello\r\n"
    assert {code for code, _ in told(await look(encoded))} == {"nhs-number", "subject-identifiers", "asked-secure"}


async def test_fields_beside_the_subject_are_read_too() -> None:
    topic = await look(f"Thread-Topic: Re: patient {NUMBER}\r\n".encode() + message())
    assert told(topic) == {("nhs-number", "header"), ("subject-identifiers", "header")}
    assert topic[0].says == "There is an NHS number in the field Thread-Topic."
    named = await look(
        message()
        .replace(b"To: pat@", f'To: "Pat NHS {NUMBER}" <pat@'.encode())
        .replace(b"webmail.example", b"webmail.example>", 1)
    )
    assert ("nhs-number", "header") in told(named)


async def test_a_text_that_is_longer_than_we_read_is_not_taken_for_harmless() -> None:
    findings = await look(message("word " * 900_000))
    assert sensitivity_of(findings) is None


async def test_the_html_is_read_even_where_the_text_beside_it_says_nothing() -> None:
    html = "<p>NHS <b>999</b>&nbsp;<span>000</span>&#8209;0018</p>".replace("&#8209;", "&nbsp;")
    assert told(await look(message("see the other part", html=html))) == {("nhs-number", "text")}


async def test_a_table_in_the_html_is_a_list_of_people() -> None:
    rows = Clinic(5).table(12)
    findings = await look(message("x", html=office.html_table(rows)))
    assert ("bulk-people", "text") in told(findings)


async def test_the_same_number_in_text_and_html_counts_once() -> None:
    (finding,) = await look(message(f"NHS {NUMBER}", html=f"<p>NHS {NUMBER}</p>"))
    assert finding.facts["count"] == 1


async def test_a_message_that_is_passed_on_is_read_with_its_subject() -> None:
    inner = message(f"patient {NUMBER}", subject="Re: NHS 999 000 0026")
    raw = message(files=[Attachment("kept.eml", "message/rfc822", inner)])
    assert sensitivity_of(await look(raw)) is Sensitivity.PATIENT


@pytest.mark.parametrize("word", ["[secure]", "[SECURE]", "Results [SeCuRe] please", "[ secure ]", "a[Secure]b"])
async def test_the_word_secure_in_brackets_is_found_in_any_case(word: str) -> None:
    assert told(await look(message(subject=word))) == {("asked-secure", "subject")}


@pytest.mark.parametrize("word", ["secure", "(secure)", "[insecure]", "[secured]"])
async def test_other_words_do_not_ask_for_it(word: str) -> None:
    assert await look(message(subject=word)) == []


async def test_secure_in_the_text_asks_for_nothing() -> None:
    assert await look(message("put [secure] into the subject")) == []


@pytest.mark.parametrize(
    ("name", "value", "label"),
    [
        ("Sensitivity", "Company-Confidential", "confidential"),
        ("Sensitivity", "private", "private"),
        ("X-Classification-Label", "OFFICIAL-SENSITIVE", "official-sensitive"),
        ("X-Protective-Marking", "VER=2018.1, SEC=OFFICIAL:Sensitive", "official-sensitive"),
        ("msip_labels", "MSIP_Label_x_Enabled=True; MSIP_Label_x_Name=Official Sensitive - Internal", "official-sensitive"),
        ("X-Acme-Sensitivity", "Restricted", "restricted"),
    ],
)  # fmt: skip
async def test_a_marking_is_found(name: str, value: str, label: str) -> None:
    raw = f"{name}: {value}\r\n".encode() + message()
    (finding,) = await look(raw)
    assert (finding.code, finding.facts["label"]) == ("marked-sensitive", label)


@pytest.mark.parametrize(
    ("name", "value"),
    [("Sensitivity", "Normal"), ("Sensitivity", "Personal"), ("X-Label", "General"), ("X-Mailer", "Secret"),
     ("Sensitivity", "non-confidential")],
)  # fmt: skip
async def test_an_ordinary_label_is_none(name: str, value: str) -> None:
    assert await look(f"{name}: {value}\r\n".encode() + message()) == []


async def test_a_marking_at_the_head_of_a_document_is_found_and_talk_of_one_is_not() -> None:
    file = Attachment(
        "plan.docx", "application/octet-stream", office.docx(["OFFICIAL - SENSITIVE", "The plan is secret."])
    )
    (finding,) = await look(message(files=[file]))
    assert (finding.code, finding.facts["where"]) == ("marked-sensitive", "file")
    assert told(await look(message("OFFICIAL-SENSITIVE: PERSONAL\r\n\r\nDear all,"))) == {("marked-sensitive", "text")}
    assert await look(message("When do we mark a letter as OFFICIAL-SENSITIVE, and when not?")) == []


async def test_a_file_that_cannot_be_read_makes_the_sensitivity_unknown() -> None:
    findings = await look(message(files=[("a.7z", "application/octet-stream", b"7z\xbc\xaf\x27\x1c" + bytes(99))]))
    assert told(findings) == {("unread-file", "file")}
    assert sensitivity_of(findings) is None


async def test_what_was_found_counts_even_where_something_else_could_not_be_read() -> None:
    raw = message(f"NHS {NUMBER}", files=[("a.7z", "application/octet-stream", b"7z\xbc\xaf\x27\x1c" + bytes(99))])
    assert sensitivity_of(await look(raw)) is Sensitivity.PATIENT


async def test_a_picture_is_noted_and_a_medical_image_is_a_patient() -> None:
    picture = await look(message(files=[("a.png", "image/png", b"\x89PNG\r\n\x1a\n" + bytes(99))]))
    assert [(finding.code, finding.weight) for finding in picture] == [("unread-picture", 0)]
    assert sensitivity_of(picture) is Sensitivity.NONE
    scan = await look(message(files=[("a.dcm", "application/dicom", bytes(128) + b"DICM" + bytes(99))]))
    assert sensitivity_of(scan) is Sensitivity.PATIENT


async def test_a_signature_is_no_file_to_read() -> None:
    raw = message(files=[("smime.p7s", "application/pkcs7-signature", bytes(range(256)))])
    assert await look(raw) == []


async def test_a_document_that_is_called_a_signature_is_read() -> None:
    file = Attachment("smime.p7s", "application/pkcs7-signature", office.docx([f"NHS number {NUMBER}"]))
    assert sensitivity_of(await look(message(files=[file]))) is Sensitivity.PATIENT


async def test_numbers_of_the_state_and_of_banks_are_personal() -> None:
    findings = await look(message("National Insurance number AB 12 34 56 C"))
    assert sensitivity_of(findings) is Sensitivity.PERSONAL
    assert sensitivity_of(await look(message("SWIFT code: NWBKGB2L"))) is Sensitivity.NONE


async def test_a_check_that_failed_leaves_the_sensitivity_unknown() -> None:
    async def breaks(_: Examination) -> list[Finding]:
        raise ValueError(NUMBER)

    findings = await examine(examination(message()), [Check("disclosure", breaks)], ExamineLimits())
    assert sensitivity_of(findings) is None
    assert sensitivity_of([failed("malware", "OSError")]) is Sensitivity.NONE


async def test_the_outgoing_walk_looks_for_malware_and_for_people() -> None:
    assert [check.name for check in outgoing_checks(scanner=None)] == ["malware", "archives", "disclosure"]


def test_every_kind_of_number_has_a_code_that_cards_may_name() -> None:
    wanted = "nhs-number chi-number hc-number ni-number passport driving-licence card-number dob-name-postcode"
    assert set(wanted.split()) | {"bulk-people", "asked-secure", "subject-identifiers"} <= CODES


@pytest.mark.parametrize("form", LETTER_FORMS)
async def test_generated_letters_are_found_in_every_form(form: str) -> None:
    """A sample; tools/measure_disclosure.py measures thousands."""
    clinic = Clinic(20 + len(form))
    for _ in range(6):
        who = clinic.patient()
        file = letter_file(clinic, form, clinic.letter(who, clinic.nhs_line(who)))
        assert sensitivity_of(await look(message(files=[file]))) is Sensitivity.PATIENT, file.filename


@pytest.mark.parametrize("form", TABLE_FORMS)
async def test_generated_lists_are_found_in_every_form(form: str) -> None:
    clinic = Clinic(40 + len(form))
    for rows in (1, 3, 10, 30):
        findings = await look(message(files=[table_file(form, clinic.table(rows))]))
        assert sensitivity_of(findings) is Sensitivity.PATIENT
        assert any(finding.code == "bulk-people" for finding in findings) is (rows >= 10)
