"""The published list of accredited organisations: read from CSV, and compared with the register. PURE. R102, R103.

Promises
    A line that cannot be read is told of by its number and its fault; it never becomes an entry.
    A domain is entered whole: nothing is guessed from a name or a pattern. One in another script, and one that looks
    like our own, is left for a person to enter by hand.
    The same list taken over twice on one day changes nothing the second time.
    An entry of another source is never touched.

The first line names the columns: `domain` and, if wanted, `match` (exact or suffix), `accredited` and `expires`. An
expiry date is the first day on which the domain does not count any more.
"""

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from types import MappingProxyType

from carepost.base.address import Domain
from carepost.base.errors import Malformed
from carepost.directory.model import DomainMatch, SecureDomain
from carepost.directory.register import RegisterPolicy
from carepost.message.lookalikes import looks_like

# As published lists call them, in lower case and without punctuation.
_COLUMNS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "domain": frozenset({"domain", "email domain", "domain name", "secure domain", "mail domain"}),
        "match": frozenset({"match", "type"}),
        "accredited": frozenset({"accredited", "accreditation date", "date accredited", "accredited on", "valid from"}),
        "expires": frozenset({"expires", "expiry", "expiry date", "valid until", "expires on"}),
    }
)
_DATES = ("%Y-%m-%d", "%d/%m/%Y", "%d %B %Y", "%d-%b-%Y")
LINE_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterFilePolicy:
    # The national list has some hundreds of lines; ours may grow to this.
    lines_max: int = 50_000
    octets_max: int = 5_000_000
    # A file with more faults than this is not the list.
    faults_max: int = 1_000
    register: RegisterPolicy = field(default_factory=RegisterPolicy)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one line. The first line of the file is 1."""

    line: int
    says: str


@dataclass(frozen=True, slots=True)
class RegisterFile:
    entries: tuple[SecureDomain, ...]
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterDiff:
    """What taking a list over would change, by domain."""

    source: str
    added: tuple[SecureDomain, ...] = ()
    changed: tuple[tuple[SecureDomain, SecureDomain], ...] = ()  # before, after
    removed: tuple[SecureDomain, ...] = ()  # of this source, and not on the list any more, or run out
    unchanged: int = 0
    faults: tuple[Fault, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.added or self.changed or self.removed)

    @property
    def fingerprint(self) -> str:
        """Told from another diff by this: what somebody confirmed is what is done."""
        text = "\n".join(
            f"{kind} {entry.domain} {entry.match} {entry.accredited_at:%c} {entry.accredited_until:%c}"
            for kind, entries in (
                ("+", self.added),
                ("~", [after for _, after in self.changed]),
                ("-", self.removed),
            )
            for entry in entries
        )
        return hashlib.sha256(f"{self.source}\n{text}\n{len(self.faults)}".encode()).hexdigest()[:32]


def read_register_file(
    raw: bytes, *, source: str, own: frozenset[Domain], now: datetime, policy: RegisterFilePolicy | None = None
) -> RegisterFile:
    """Every line, as an entry or a fault. Raises Malformed when it is not such a list at all."""
    policy = policy or RegisterFilePolicy()
    rows = _rows(raw, policy)
    columns = _columns(next(rows, (1, []))[1])
    entries: dict[Domain, SecureDomain] = {}
    faults: list[Fault] = []
    for number, cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        try:
            entry = _entry({name: _cell(cells, at) for name, at in columns.items()}, source, own, now, policy)
            if entry.domain in entries:
                raise Malformed(f"{entry.domain} is on an earlier line too.")
        except Malformed as error:
            faults.append(Fault(number, error.public))
            if len(faults) > policy.faults_max:
                raise Malformed(f"More than {policy.faults_max} lines cannot be read: this is not the list.") from None
        else:
            entries[entry.domain] = entry
    return RegisterFile(tuple(entries.values()), tuple(faults))


def compare(present: Iterable[SecureDomain], wanted: RegisterFile, *, source: str, now: datetime) -> RegisterDiff:
    """What would change. While a line cannot be read nothing is removed: it may be the one."""
    here = {entry.domain: entry for entry in present}
    lapsed = {entry.domain for entry in wanted.entries if entry.accredited_until <= now}
    listed = {entry.domain: entry for entry in wanted.entries if entry.domain not in lapsed}
    faults = list(wanted.faults)
    added, changed, unchanged = [], [], 0
    for domain, entry in sorted(listed.items(), key=lambda pair: pair[0].name):
        before = here.get(domain)
        if before is None:
            added.append(entry)
        elif before.source != source:
            faults.append(Fault(0, f"{domain} is in the register already, by {before.source}. It is left as it is."))
        elif before == entry:
            unchanged += 1
        else:
            changed.append((before, entry))
    removed = [
        entry
        for domain, entry in sorted(here.items(), key=lambda pair: pair[0].name)
        if entry.source == source and domain not in listed and (not wanted.faults or entry.accredited_until <= now)
    ]
    return RegisterDiff(
        source=source,
        added=tuple(added),
        changed=tuple(changed),
        removed=tuple(removed),
        unchanged=unchanged,
        faults=tuple(faults),
    )


def _rows(raw: bytes, policy: RegisterFilePolicy) -> Iterator[tuple[int, list[str]]]:
    if len(raw) > policy.octets_max:
        raise Malformed(f"The file is larger than {policy.octets_max // 1_000_000} MB: this is not the list.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", "replace")
    if "\0" in text:
        raise Malformed("This is not a CSV file. Save the list as CSV (comma separated) and try again.")
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        for cells in reader:
            if reader.line_num > policy.lines_max:
                raise Malformed(f"The file has more than {policy.lines_max:,} lines: this is not the list.")
            yield reader.line_num, [cell[:LINE_MAX] for cell in cells]
    except csv.Error as error:
        raise Malformed(f"Line {reader.line_num} is not CSV. Save the list as CSV (comma separated).") from error


def _columns(heading: Sequence[str]) -> dict[str, int]:
    named = [" ".join(cell.replace("_", " ").strip(" :*").lower().split()) for cell in heading]
    found = {
        name: next(at for at, text in enumerate(named) if text in called)
        for name, called in _COLUMNS.items()
        if any(text in called for text in named)
    }
    if "domain" not in found:
        raise Malformed("The first line of the file has to name the columns; one of them must be called “domain”.")
    return found


def _cell(cells: Sequence[str], at: int) -> str:
    return cells[at].strip() if at < len(cells) else ""


def _entry(
    cells: Mapping[str, str], source: str, own: frozenset[Domain], now: datetime, policy: RegisterFilePolicy
) -> SecureDomain:
    domain, match = _domain(cells["domain"], own), DomainMatch.EXACT
    if kind := cells.get("match", "").lower():
        try:
            match = DomainMatch(kind)
        except ValueError:
            raise Malformed(f"“{kind[:40]}” is neither exact nor suffix.") from None
    if match is DomainMatch.SUFFIX and "." not in domain.name:
        raise Malformed(f"{domain} is a whole top-level domain: too much to trust at once.")
    accredited = _date(cells.get("accredited", "")) or datetime(now.year, now.month, now.day, tzinfo=UTC)
    until = _date(cells.get("expires", "")) or accredited + policy.register.accreditation
    if accredited > now:
        raise Malformed(f"{domain} is accredited from {accredited:%d %B %Y}, which has not come yet.")
    if until <= accredited:
        raise Malformed(f"The accreditation of {domain} ends before it begins.")
    # R102: longer than a year nobody is believed.
    until = min(until, accredited + policy.register.accreditation)
    return SecureDomain(domain=domain, match=match, source=source, accredited_at=accredited, accredited_until=until)


def _domain(text: str, own: frozenset[Domain]) -> Domain:
    name = text.strip().lower().removeprefix("@").removeprefix("*.")
    if not name:
        raise Malformed("There is no domain on this line.")
    try:
        domain = Domain.parse(name)
    except Malformed:
        raise Malformed(f"“{text[:80]}” is not a domain.") from None
    if domain.is_literal or "." not in domain.name:
        raise Malformed(f"“{text[:80]}” is not a mail domain.")
    if any(domain.is_within(ours) or ours.is_within(domain) for ours in own):
        raise Malformed(f"{domain} is one of our own domains, or above or below one.")
    if "xn--" in domain.name:
        raise Malformed(f"{domain} has letters of another script. If it is right, enter it by hand.")
    if (like := looks_like(domain, own)) is not None:
        raise Malformed(f"{domain} looks like {like}, which is ours. If it is right, enter it by hand.")
    return domain


def _date(text: str) -> datetime | None:
    if not text:
        return None
    for form in _DATES:
        try:
            found: date = datetime.strptime(text, form).replace(tzinfo=UTC).date()
        except ValueError:
            continue
        return datetime(found.year, found.month, found.day, tzinfo=UTC)
    raise Malformed(f"“{text[:40]}” is not a date. Write it as 2026-11-22 or 22/11/2026.")
