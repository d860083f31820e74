"""SYNTHETIC clinical mail: people who do not exist, in letters and lists as wards and practices write them.

Every number is from a range that is given to nobody (NHS numbers begin 999) or is made up; from a fixed seed, so that a
figure can be measured again.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.fakes import office_files as office

from carepost.message.compose import Attachment

FORENAMES = [
    "Amira", "Ben", "Chloe", "David", "Edith", "Farah", "George", "Hannah", "Imran", "Joan", "Kwame", "Leila", "Mary", "Nikhil", "Olu", "Priya", "Rhys", "Sian", "Tom", "Una", "Vera", "Wes", "Yusuf", "Zoe"
]  # fmt: skip
SURNAMES = [
    "Adeyemi", "Brown", "Clarke", "Davies", "Evans", "Fletcher", "Green", "Hughes", "Iqbal", "Jones", "Khan", "Lewis", "Murphy", "Nowak", "O'Brien", "Patel", "Quinn", "Roberts", "Smith-Jones", "Taylor", "Usman", "Vaughan", "Williams", "Young"
]  # fmt: skip
TITLES = ["Mr", "Mrs", "Ms", "Miss", "Mx", "Dr"]
STREETS = ("High Street", "Station Road", "Mill Lane", "Church View", "The Crescent", "Park Avenue")
TOWNS = ("Leeds", "Hull", "Truro", "Bangor", "Derby", "Poole")
AREAS = ("LS", "HU", "TR", "LL", "DE", "BH", "SW", "M", "B", "EC")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
          "November", "December")  # fmt: skip
PROBLEMS = ("atrial fibrillation", "type 2 diabetes", "a fractured wrist", "low mood", "hypertension", "asthma")


def with_check_digit(nine: str) -> str | None:
    check = 11 - sum(int(digit) * weight for digit, weight in zip(nine, range(10, 1, -1), strict=True)) % 11
    return None if check == 10 else nine + str(check % 11)


@dataclass(frozen=True)
class Patient:
    title: str
    forename: str
    surname: str
    born: tuple[int, int, int]  # day, month, year
    address: tuple[str, str]
    postcode: str
    nhs: str
    chi: str
    hc: str
    ni: str
    driving: str
    passport: str
    card: str

    @property
    def name(self) -> str:
        return f"{self.title} {self.forename} {self.surname}"


class Clinic:
    """Makes up people and how they are written about."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def patient(self) -> Patient:
        chance = self.chance
        day, month, year = chance.randint(1, 28), chance.randint(1, 12), chance.randint(1925, 2024)
        surname = chance.choice(SURNAMES)
        return Patient(
            title=chance.choice(TITLES),
            forename=chance.choice(FORENAMES),
            surname=surname,
            born=(day, month, year),
            address=(f"{chance.randint(1, 250)} {chance.choice(STREETS)}", chance.choice(TOWNS)),
            postcode=f"{chance.choice(AREAS)}{chance.randint(1, 20)} {chance.randint(1, 9)}{chance.choice('ABDEFGHJLN')}{chance.choice('PQRSTUWXYZ')}",
            nhs=self._number("999"),
            chi=self._number(f"{day:02}{month:02}{year % 100:02}"),
            hc=self._number(chance.choice(["320", "345", "399"])),
            ni=f"{chance.choice(['QQ', 'AB', 'JN', 'SP'])}{chance.randint(0, 999999):06}{chance.choice('ABCD')}".replace("QQ", "AA"),
            driving=f"{(''.join(filter(str.isalpha, surname)).upper() + '99999')[:5]}{year // 10 % 10}{month + chance.choice([0, 50]):02}{day:02}{year % 10}{chance.choice('ABCJS')}9{chance.randint(2, 9)}{chance.choice('AEIJ')}{chance.choice('ABCX')}",
            passport=f"{chance.randint(100_000_000, 999_999_999)}",
            card=self._card(),
        )  # fmt: skip

    def _number(self, start: str) -> str:
        while True:
            nine = start + "".join(self.chance.choice("0123456789") for _ in range(9 - len(start)))
            if whole := with_check_digit(nine):
                return whole

    def _card(self) -> str:
        body = self.chance.choice(["4", "51", "55"])
        body += "".join(self.chance.choice("0123456789") for _ in range(15 - len(body)))
        total = sum(sum(divmod(int(digit) * 2, 10)) if at % 2 == 0 else int(digit) for at, digit in enumerate(body))
        return body + str(-total % 10)

    # --- how things are written

    def grouped(self, digits: str) -> str:
        """As people write ten digits."""
        a, b, c = digits[:3], digits[3:6], digits[6:]
        return self.chance.choices(
            [f"{a} {b} {c}", digits, f"{a}-{b}-{c}", f"{a}\u00a0{b}\u00a0{c}", f"{a}\u2011{b}\u2011{c}", f"{a}  {b}  {c}",
             f"{a}\u2009{b}\u2009{c}"], weights=[40, 30, 10, 8, 4, 4, 4])[0]  # fmt: skip

    def date(self, born: tuple[int, int, int]) -> str:
        day, month, year = born
        return self.chance.choice(
            [f"{day:02}/{month:02}/{year}", f"{day}.{month}.{year}", f"{day:02}-{month:02}-{year}",
             f"{day} {MONTHS[month - 1]} {year}", f"{day:02}-{MONTHS[month - 1][:3]}-{year}", f"{year}-{month:02}-{day:02}",
             f"{day:02}/{month:02}/{year % 100:02}"])  # fmt: skip

    def nhs_line(self, who: Patient) -> str:
        """One line that holds the number, as letters have it."""
        number, born = self.grouped(who.nhs), self.date(who.born)
        return self.chance.choice(
            [
                f"NHS No: {number}",
                f"NHS Number: {number}",
                f"NHS number {number}",
                f"NHS: {number}",
                f"NHS#{number}",
                f"NHS No. {number}    Hospital No. {self.chance.randint(100000, 999999)}",
                f"N.H.S. number: {number}",
                f"Re: {who.name}, DOB {born}, NHS {number}",
                f"Re: {who.name}  {number}",
                f"RE: {who.surname.upper()}, {who.forename} ({number}) d.o.b. {born}",
                f"Patient: {who.forename} {who.surname}   {number}   {born}",
                f"Patient ID {number}",
                f"The patient ({who.forename} {who.surname}, {number}) was seen on the ward.",
                f"{who.name} | DOB: {born} | NHS number (traced): {number}",
                f"Your patient {who.name} ({number}), whom I saw in clinic,",
                f"I would be grateful if you could see {who.name}, NHS number {number}, about {self.chance.choice(PROBLEMS)}.",
                f"NHS Number\t{number}",
                f"nhs no {number}",
                f"pt {number}",
                f"MRN {self.chance.randint(10000, 99999)} / {number}",
            ]
        )

    def letter(self, who: Patient, line: str) -> list[str]:
        """A letter around `line`."""
        return [
            f"{self.chance.choice(['Riverside', 'Hillview', 'Dockside'])} Medical Practice",
            f"Tel: 01632 960{self.chance.randint(100, 999)}   Fax: 01632 960 {self.chance.randint(100, 999)}",
            f"{self.chance.randint(1, 28)} {self.chance.choice(MONTHS)} 2026",
            "",
            f"Dear {self.chance.choice(['Dr Shah', 'Colleague', 'Sir or Madam', 'Sister Okoro'])},",
            "",
            line,
            f"{', '.join(who.address)}",
            "",
            f"Thank you for your letter. They have {self.chance.choice(PROBLEMS)} and are taking bisoprolol 2.5 mg daily.",
            f"We will see them again in {self.chance.randint(2, 12)} weeks.",
            "",
            "Yours sincerely,",
            "Dr A. Example",
        ]

    def table(self, rows: int) -> list[list[str]]:
        """A list of patients; the head, the columns and the way numbers are written vary."""
        head = self.chance.choice(["NHS Number", "NHS No", "NHS no.", "nhs_number", "NHSNumber", "NHS"])
        plain = self.chance.random() < 0.6
        people = [self.patient() for _ in range(rows)]
        columns: list[tuple[str, Callable[[Patient], str]]] = [
            (self.chance.choice(["Name", "Patient", "Surname"]), lambda who: f"{who.surname}, {who.forename}"),
            (self.chance.choice(["DOB", "Date of birth", "D.O.B."]), lambda who: self.date(who.born)),
            (head, lambda who: who.nhs if plain else self.grouped(who.nhs)),
            (self.chance.choice(["Problem", "Notes", "Outcome"]), lambda _: self.chance.choice(PROBLEMS)),
            (self.chance.choice(["Seen", "Date"]), lambda _: f"{self.chance.randint(1, 28):02}/11/2026"),
        ]
        self.chance.shuffle(columns)
        return [[called for called, _ in columns], *([cell(who) for _, cell in columns] for who in people)]


def letter_file(clinic: Clinic, form: str, lines: list[str]) -> Attachment:
    """A letter as a file of that form."""
    match form:
        case "txt":
            return Attachment("letter.txt", "text/plain", "\r\n".join(lines).encode())
        case "docx":
            return Attachment("letter.docx", "application/octet-stream", office.docx(lines, chance=clinic.chance))
        case "odt":
            return Attachment("letter.odt", "application/octet-stream", office.odt(lines))
        case "rtf":
            return Attachment("letter.rtf", "application/rtf", office.rtf(lines))
        case "pptx":
            return Attachment("slides.pptx", "application/octet-stream", office.pptx(lines))
        case "zip":
            inner = letter_file(clinic, "docx", lines)
            return Attachment("letters.zip", "application/zip", office.zipped({"letter.docx": inner.content}))
        case "html":
            body = "<br>".join(office.escape(line).replace("\u00a0", "&nbsp;") for line in lines)
            return Attachment("letter.html", "text/html", f"<html><body>{body}</body></html>".encode())
        case _:
            style = form.removeprefix("pdf-")
            plain = [line.replace("\t", " ").replace("\u2009", " ").replace("\u2011", "-") for line in lines]
            return Attachment("letter.pdf", "application/pdf", office.pdf(plain, style=style))


LETTER_FORMS = ("txt", "docx", "odt", "rtf", "pptx", "zip", "html", *(f"pdf-{style}" for style in office.PDF_STYLES))
TABLE_FORMS = (
    "csv",
    "csv-semicolon",
    "tsv",
    "xlsx-shared",
    "xlsx-inline",
    "xlsx-numbers",
    "docx",
    "odt",
    "html",
    "pdf-lines",
)


def table_file(form: str, rows: list[list[str]]) -> Attachment:
    match form:
        case "csv":
            return Attachment("list.csv", "text/csv", office.csv_text(rows).encode())
        case "csv-semicolon":
            return Attachment("list.csv", "text/csv", office.csv_text(rows, ";").encode("utf-8-sig"))
        case "tsv":
            return Attachment("list.txt", "text/plain", office.csv_text(rows, "\t").encode("utf-16"))
        case "docx":
            return Attachment("list.docx", "application/octet-stream", office.docx(["Clinic list"], rows))
        case "odt":
            return Attachment("list.odt", "application/octet-stream", office.odt(["Clinic list"], rows))
        case "html":
            return Attachment("list.html", "text/html", office.html_table(rows).encode())
        case "pdf-lines":
            return Attachment(
                "list.pdf",
                "application/pdf",
                office.pdf(["   ".join(row).replace("\u2009", " ").replace("\u2011", "-") for row in rows]),
            )
        case _:
            return Attachment(
                "list.xlsx", "application/octet-stream", office.xlsx(rows, style=form.removeprefix("xlsx-"))
            )
