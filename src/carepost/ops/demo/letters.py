"""The mail of the sample world: about a hundred messages, some of them unwelcome. Patients, numbers and results are invented.

The numbers that look like NHS numbers are from the range 999, which is never given to anybody; their check digits are
right, so that what leaves with one of them is treated as it would be with a patient's.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from carepost.message.compose import compose
from carepost.ops.demo import papers
from carepost.ops.demo.world import OUTSIDE, STRANGER_IP

Attachment = tuple[str, str, bytes]  # file name, media type, content

PATIENTS = (
    "Mrs J Porter",
    "Mr D Lund",
    "Ms A Bello",
    "Mr K Yilmaz",
    "Mrs P O'Neill",
    "Miss S Rao",
    "Mr T Blake",
    "Mrs W Chen",
)
NUMBERS = ("999 012 3454", "999 054 8609", "999 000 0018", "999 123 4578", "999 765 4323")
IPS = {domain: ip for domain, ip, _ in OUTSIDE}


@dataclass(frozen=True, slots=True)
class Letter:
    """One message as the outside world hands it over."""

    from_name: str
    mail_from: str  # envelope; "" is the null path
    to: tuple[str, ...]
    client_ip: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class _Draft:
    from_name: str
    sender: str
    to: tuple[str, ...]
    subject: str
    text: str
    html: str | None = None
    attachments: tuple[Attachment, ...] = ()
    client_ip: str | None = None
    mail_from: str | None = None


def letters(now: datetime, *, seed: int = 7) -> Iterator[Letter]:
    """Every message of the sample world, oldest first; the dates end at `now`."""
    chance = random.Random(seed)
    drafts = [*_clinical(chance), *_office(), *_outside(chance)]
    chance.shuffle(drafts)
    drafts += [*_unwelcome(), *_highlights()]
    for number, draft in enumerate(drafts):
        at = now - timedelta(minutes=7 * (len(drafts) - number))
        domain = draft.sender.rpartition("@")[2]
        raw = compose(
            from_=f"{draft.from_name} <{draft.sender}>" if draft.from_name else draft.sender,
            to=list(draft.to),
            subject=draft.subject,
            text=draft.text,
            html=draft.html,
            attachments=list(draft.attachments),
            date=at,
            message_id=f"<sample-{number}.{seed}@{domain}>",
        )
        mail_from = draft.sender if draft.mail_from is None else draft.mail_from
        yield Letter(draft.from_name, mail_from, draft.to, draft.client_ip or IPS.get(domain, STRANGER_IP), raw)


def _signed(text: str, name: str, place: str) -> str:
    return f"{text}\n\nKind regards,\n{name}\n{place}\n"


def _clinical(chance: random.Random) -> Iterator[_Draft]:
    results = ("U&Es and FBC", "HbA1c", "lipid profile", "INR", "thyroid function", "urine culture")
    for n in range(22):
        patient, number, test = chance.choice(PATIENTS), chance.choice(NUMBERS), chance.choice(results)
        text = f"Please find the {test} of {patient} (NHS number {number}) attached. Potassium {3.6 + n % 9 / 10:.1f} mmol/L."
        yield _Draft(
            "North Laboratory",
            "reports@northlab.example",
            ("results@riverside.example",),
            f"Result: {test}, request {26000 + n}",
            _signed(text, "North Laboratory", "Clinical biochemistry"),
            attachments=(
                (f"report-{26000 + n}.pdf", "application/pdf", papers.pdf(f"{test}: {patient}", [number, text])),
            ),
        )
    for _ in range(14):
        patient = chance.choice(PATIENTS)
        ward = chance.choice(("Ward 4", "Ward 7B", "the day unit", "cardiology"))
        text = (
            f"{patient} went home from {ward} yesterday. We would be grateful if the practice could review the wound and "
            f"repeat U&Es within seven days. Medicines are listed in the attached summary."
        )
        yield _Draft(
            "Lakeside discharge team",
            "discharge@lakeside-trust.example",
            (chance.choice(("ada.okafor@riverside.example", "priya.shah@hillview.example")),),
            f"Discharge summary: {patient}",
            _signed(text, "Discharge team", "Lakeside Hospital Trust"),
            attachments=(
                (
                    "Discharge summary.docx",
                    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
                    papers.docx([text]),
                ),
            ),
        )
    for n in range(10):
        patient, drug = chance.choice(PATIENTS), chance.choice(("apixaban 5 mg", "metformin 500 mg", "ramipril 2.5 mg"))
        yield _Draft(
            "Lakeside pharmacy",
            "medicines@lakeside-trust.example",
            ("prescriptions@riverside.example", "hassan.ali@northside-pharmacy.example")[: 1 + n % 2],
            f"Query on repeat for {drug}",
            _signed(
                f"The script for {patient} says {drug} twice a day but the last issue was once. Could you confirm?",
                "Dispensary",
                "Lakeside",
            ),
        )


def _office() -> Iterator[_Draft]:
    subjects = (
        (
            "Winter capacity returns due Friday",
            "A reminder that the weekly return closes at noon. The form is the same as last year.",
        ),
        (
            "Locum cover next week",
            "We can offer Dr Lund on Tuesday and Wednesday, all day. Please confirm by Thursday.",
        ),
        ("Fridge temperature log", "All in range this week. Log attached for the file."),
        (
            "Case conference: invitation",
            "You are invited to a meeting on 27 November at 14:00. Papers will follow by secure mail.",
        ),
        ("Care plan review", "The care coordinator would like to review the plan before the weekend."),
        (
            "Smear recall list for December",
            "Attached is the list for December, 41 names; please check for those who have moved.",
        ),
    )
    people = (
        "ada.okafor@riverside.example",
        "tomasz.nowak@riverside.example",
        "owen.griffiths@hillview.example",
        "sam.mbeki@stjudes.example",
        "elena.petrova@stjudes.example",
        "ruth.evans@northside-pharmacy.example",
    )
    for n in range(24):
        subject, text = subjects[n % len(subjects)]
        log = papers.csv("date,min,max", [f"2026-11-{day:02d},2.{day % 9},7.{day % 8}" for day in range(1, 22)])
        yield _Draft(
            "Council adult social care",
            "duty@council-care.example",
            (people[n % len(people)],),
            subject,
            _signed(text, "Duty team", "Adult social care"),
            attachments=(("log.csv", "text/csv", log),) if "log" in subject.lower() else (),
        )


def _outside(chance: random.Random) -> Iterator[_Draft]:
    notes = (
        ("Re: your appointment", "Thank you, I could open the letter. Would Thursday morning be possible instead?"),
        ("Photo of my rash", "You asked for a picture. It is a little better today."),
        ("Change of address", "We have moved to 4 Mill Lane. Please update our records for all three of us."),
        ("Thank you", "Please pass on our thanks to the nurses. They were so kind to Dad."),
    )
    for n in range(12):
        subject, text = notes[n % len(notes)]
        picture: tuple[Attachment, ...] = (("rash.png", "image/png", papers.png()),) if "Photo" in subject else ()
        yield _Draft(
            f"{chance.choice(('J', 'D', 'A'))} Porter",
            f"j.porter{n or ''}@freemail.example",
            (("leah.cohen@riverside.example", "ada.okafor@riverside.example", "mei.tan@hillview.example")[n % 3],),
            subject,
            text,
            attachments=picture,
        )
    html = (
        '<html><body style="background:#eef"><h1>This month in primary care</h1><p>Read <a href="https://news.example/a">'
        'the update on <b>access</b></a>.</p><img src="https://news.example/pixel.gif?u=1" width="1" height="1">'
        '<script>document.title="no"</script><p style="position:fixed;top:0">Unsubscribe at any time.</p></body></html>'
    )
    for to in ("ada.okafor@riverside.example", "priya.shah@hillview.example", "hassan.ali@northside-pharmacy.example"):
        yield _Draft(
            "Primary Care News",
            "editor@news.example",
            (to,),
            "This month in primary care",
            "Read the update on access at https://news.example/a",
            html=html,
        )
    for n in range(5):
        text = "Your order has left our warehouse. Invoice attached; payment in 30 days."
        invoice = (
            ("invoice.pdf", "application/pdf", papers.pdf("Invoice", [f"No. {7100 + n}", "Gloves, medium, 20 boxes"])),
        )
        yield _Draft(
            "Med Supplies",
            "accounts@medsupplies.example",
            ("owen.griffiths@hillview.example",),
            f"Invoice {7100 + n}",
            text,
            attachments=invoice,
        )


def _unwelcome() -> Iterator[_Draft]:
    """What the gateway is for. Every one of these is harmless; each looks to it like the real thing."""
    yield _Draft(
        "Scans",
        "scans@medsupplies.example",
        ("leah.cohen@riverside.example",),
        "Scanned document",
        "Please see the attached scan.",
        attachments=(("scan.com", "application/octet-stream", papers.eicar()),),
    )
    yield _Draft(
        "Accounts",
        "accounts@medsupplies.example",
        ("tomasz.nowak@riverside.example",),
        "Overdue invoice",
        "Enable editing to see the invoice.",
        attachments=(
            (
                "Invoice 8841.docm",
                "application/vnd.ms-word.document.macroEnabled.12",
                papers.docx(["Enable content"], macro=True),
            ),
        ),
    )
    yield _Draft(
        "Tomasz Nowak",
        "tomasz.nowak@riverside.example",
        ("leah.cohen@riverside.example",),
        "Gift cards for the team",
        "Are you at your desk? I need five gift cards before noon, keep it between us.",
        client_ip=STRANGER_IP,
        mail_from="tomasz.nowak@riverside.example",
    )
    yield _Draft(
        "Service Desk",
        "helpdesk@rlverside.example",
        ("ada.okafor@riverside.example",),
        "Your mailbox is almost full",
        "Your password expires today. Confirm your account at http://rlverside.example/confirm or lose your mail.",
        html='<p>Your password expires today. <a href="http://198.51.100.99/x">https://riverside.example/account</a></p>',
        client_ip=STRANGER_IP,
    )
    yield _Draft(
        "Ada Okafor",
        "dr.okafor1@freemail.example",
        ("tomasz.nowak@riverside.example",),
        "Change of bank details",
        "Please pay my locum invoice to the new account below from now on. Ada",
    )
    yield _Draft(
        "Pills Direct",
        "offer@freemail.example",
        ("grace.adeyemi@riverside.example",),
        "C H E A P meds no prescription!!!",
        "VIAGRA 90% OFF!!! Click now http://pills.example/?id=1 limited time, 100% guaranteed, act now!!!",
        client_ip=STRANGER_IP,
        mail_from="offer@freemail.example",
    )


def _highlights() -> Iterator[_Draft]:
    """What somebody who opens the demo sees first."""
    text = (
        "Dear Ada,\n\nPlease find attached the discharge summary for your patient. She went home yesterday on apixaban 5 mg twice "
        "a day. We would be grateful if the practice could repeat U&Es and FBC within seven days and review the wound at her "
        "next nurse appointment.\n\nHer potassium was 5.4 mmol/L at discharge, so please do not leave it longer than the week."
    )
    yield _Draft(
        "Kofi Mensah",
        "kofi.mensah@gmail.example",
        ("ada.okafor@riverside.example",),
        "My blood test last week",
        "Dear doctor,\n\nyou said that the result would be back by now. Could you tell me what it says?\n\nKofi Mensah",
    )
    yield _Draft(
        "Lakeside Ward 7B",
        "ward7b@lakeside-trust.example",
        ("ada.okafor@riverside.example", "results@riverside.example"),
        "Discharge summary: follow-up bloods needed within 7 days",
        _signed(text, "Sam Harper", "Ward 7B, Lakeside Hospital"),
        attachments=(
            ("Discharge summary.pdf", "application/pdf", papers.pdf("Discharge summary", text.splitlines())),
            (
                "Bloods 19 Nov.csv",
                "text/csv",
                papers.csv("test,value,unit", ["potassium,5.4,mmol/L", "sodium,139,mmol/L"]),
            ),
        ),
    )
    yield _Draft(
        "J Porter",
        "j.porter@freemail.example",
        ("ada.okafor@riverside.example",),
        "Re: your appointment",
        "Thank you for the secure message, I could open it on my phone. Thursday at ten is fine.\n\nJoan Porter",
    )
