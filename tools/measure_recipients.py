"""How many slips of the address line the questions about recipients catch, and how often they ask for nothing.

    .venv/bin/python tools/measure_recipients.py [--seed 2] [--users 60] [--weeks 8]

No mail of a health service is public, so the traffic is made up, from a fixed seed: four organisations of people with
common and rare names, each with a team, colleagues elsewhere, partners on the register, suppliers and patients. Into a
copy of messages with something confidential in them one of four slips is put (after Carvalho and Cohen, 2007): another
person of the same name; a domain that looks alike; the person's name at a free mail provider; the line below the right
one in the list that opens while one types. What is looked at is what the service looks at: `look_at_recipients`.

The rules and their numbers were chosen with seed 1; what docs/explain/recipients.md tells is seed 2.
"""

import argparse
import random
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import combinations

from carepost.base.address import Domain, EmailAddress
from carepost.directory.correspondents_model import Correspondent, begins, weight, words_of
from carepost.gateway.out.recipients import Acquaintance, RecipientsView, RecipientView, look_at_recipients
from carepost.message.lookalikes import name_key

_GIVEN = (
    "Ada Aisha Alice Amina Andrew Anna Arjun Ben Carol Chloe Claire Daniel David Deborah Elena Emma Farah Fatima Fiona "
    "George Grace Hannah Harry Hassan Helen Ian Imran Isla Jack James Jane Jo Joanna John Julia Karen Kate Khalid Laura "
    "Leah Liam Linda Lucy Margaret Maria Mark Martin Mary Mei Mohammed Nadia Nicola Olivia Omar Owen Patricia Paul Peter "
    "Priya Rachel Robert Ruth Sam Samira Sarah Sean Simon Sophie Susan Thomas Tomasz Victoria Wei William Yusuf Zoe"
)
_FAMILY = (
    "Adeyemi Ahmed Ali Allen Baker Begum Bell Bennett Brown Campbell Carter Chen Clark Clarke Cohen Collins Cook Cooper "
    "Cox Davies Davis Edwards Evans Fox Gill Gray Green Griffiths Hall Harris Harrison Hill Hughes Hussain Jackson James "
    "Johnson Jones Kaur Kelly Khan King Kumar Lee Lewis Li Marshall Martin Mason Mbeki Miller Mitchell Moore Morgan "
    "Morris Murphy Murray Nowak Okafor Patel Petrova Phillips Price Rahman Richards Roberts Robinson Rogers Russell Shah "
    "Shaw Simpson Singh Smith Stevens Tan Taylor Thomas Thompson Turner Walker Ward Watson White Williams Wilson Wood "
    "Wright Yilmaz Young"
)
GIVEN, FAMILY = _GIVEN.split(), _FAMILY.split()
OWN = ("riverside.example", "stjudes.example", "hillview.example", "northside.example")
REGISTER = tuple(f"{name}-{kind}.example" for name in ("lakeside", "harbour", "moor") for kind in ("trust", "council"))
SUPPLIERS = tuple(f"{name}.example" for name in ("medsupplies", "cleanlinen", "papercraft", "softserve", "lifttech"))
PRIVATE = ("gmail.com", "hotmail.co.uk", "yahoo.co.uk", "outlook.com", "btinternet.com", "icloud.com")
SLIPS = ("wrong namesake", "look-alike domain", "free-mail twin", "line below in the list")
START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Somebody:
    name: str
    address: EmailAddress
    inside: bool
    secure: bool
    directory: bool  # we know their name from the directory


@dataclass
class Message:
    to: list[Somebody]
    on_thread: frozenset[str]
    reply_all: bool
    sensitive: bool
    attachments: bool


@dataclass
class Mailbox:
    owner: Somebody
    circle: list[Somebody]
    weights: list[float]
    groups: list[list[Somebody]]  # who are written to together
    times: Counter[str] = field(default_factory=Counter)
    last: dict[str, datetime] = field(default_factory=dict)
    people: dict[str, Somebody] = field(default_factory=dict)
    together: Counter[tuple[str, str]] = field(default_factory=Counter)
    heard: Counter[str] = field(default_factory=Counter)
    threads: deque[tuple[Somebody, ...]] = field(default_factory=lambda: deque(maxlen=40))


class Town:
    def __init__(self, seed: int, strangers: float) -> None:
        self.chance, self.strangers = random.Random(seed), strangers
        self.taken: set[str] = set()
        self.staff = [self._staff(domain) for domain in OWN for _ in range(150)]
        self.partners = [self._other(domain, secure=True) for domain in REGISTER for _ in range(40)]
        self.suppliers = [self._other(domain) for domain in SUPPLIERS for _ in range(12)]
        self.patients = [self._patient() for _ in range(2_000)]
        self.by_name: dict[str, list[Somebody]] = {}
        for one in self.staff:
            self.by_name.setdefault(name_key(one.name), []).append(one)

    def _name(self) -> str:
        # Some names are much more common than others.
        return " ".join(names[int(len(names) * self.chance.random() ** 1.4)] for names in (GIVEN, FAMILY))

    def _address(self, name: str, domain: str) -> EmailAddress:
        base, number = name.lower().replace(" ", "."), 1
        while (text := f"{base}{number if number > 1 else ''}@{domain}") in self.taken:
            number += 1
        self.taken.add(text)
        return EmailAddress.parse(text)

    def _staff(self, domain: str) -> Somebody:
        name = self._name()
        return Somebody(name, self._address(name, domain), inside=True, secure=True, directory=True)

    def _other(self, domain: str, *, secure: bool = False) -> Somebody:
        name = self._name()
        return Somebody(name, self._address(name, domain), inside=False, secure=secure, directory=False)

    def _patient(self) -> Somebody:
        name, chance = self._name(), self.chance
        given, family = name.lower().split()
        local = chance.choice(
            (
                f"{given}.{family}",
                f"{given}{family}{chance.randrange(99)}",
                f"{family}{given[0]}",
                f"{given}{chance.randrange(9999)}",
            )
        )
        domain = chance.choice(PRIVATE)
        while f"{local}@{domain}" in self.taken:
            local += str(chance.randrange(10))
        self.taken.add(f"{local}@{domain}")
        return Somebody(name, EmailAddress.parse(f"{local}@{domain}"), inside=False, secure=False, directory=False)

    def mailbox(self, owner: Somebody) -> Mailbox:
        """A team, some colleagues, some elsewhere, partners and a few suppliers: the nearer the more often."""
        chance, here = self.chance, [one for one in self.staff if one.address.domain == owner.address.domain]
        circle = chance.sample([one for one in here if one is not owner], 35)
        circle += chance.sample([one for one in self.staff if one.address.domain != owner.address.domain], 15)
        circle += chance.sample(self.partners, 12) + chance.sample(self.suppliers, 4)
        weights = [1 / (rank + 2) for rank in range(len(circle))]
        groups = [
            list({id(one): one for one in chance.choices(circle, weights, k=chance.randint(2, 6))}.values())
            for _ in range(8)
        ]
        return Mailbox(owner, circle, weights, groups)

    def message(self, box: Mailbox) -> Message:
        chance = self.chance
        if box.threads and chance.random() < 0.55:
            return self._reply(box)
        count = chance.choices((1, 2, 3, 4, 6, 9), (70, 14, 7, 4, 3, 2))[0]
        among, shares = box.circle, box.weights
        picked = chance.choices(among, shares, k=count)
        if count > 1 and chance.random() < 0.7:
            # The usual company, now and then with somebody else as well or without one of them.
            picked = list(chance_of(chance, box.groups))
            picked += chance.choices(among, shares) if chance.random() < 0.2 else []
            picked = picked[1:] if len(picked) > 2 and chance.random() < 0.2 else picked
        to = {one.address.key: one for one in picked}
        if chance.random() < self.strangers:
            to = {one.address.key: one for one in [self._stranger(box)]}
        return self._filled(list(to.values()), frozenset(), reply_all=False)

    def _reply(self, box: Mailbox) -> Message:
        people = chance_of(self.chance, box.threads)
        reply_all = len(people) > 1 and self.chance.random() < 0.6
        to = list(people) if reply_all else [people[0]]
        thread = frozenset(one.address.key for one in people)
        if self.chance.random() < self.strangers:
            to.append(self._stranger(box) if self.chance.random() < 0.3 else self.chance.choice(box.circle))
        to = list({one.address.key: one for one in to if one is not box.owner}.values())
        return self._filled(to, thread, reply_all=reply_all)

    def _stranger(self, box: Mailbox) -> Somebody:
        """Somebody new: mostly a colleague, sometimes a partner, a supplier or a patient."""
        kind = self.chance.choices(("here", "elsewhere", "partner", "supplier", "patient"), (40, 15, 15, 10, 20))[0]
        domain = box.owner.address.domain
        among = {
            "here": [one for one in self.staff if one.address.domain == domain],
            "elsewhere": [one for one in self.staff if one.address.domain != domain],
            "partner": self.partners,
            "supplier": self.suppliers,
            "patient": self.patients,
        }[kind]
        return chance_of(self.chance, among)

    def _filled(self, to: list[Somebody], thread: frozenset[str], *, reply_all: bool) -> Message:
        outside = any(not one.secure for one in to)
        return Message(
            to,
            thread,
            reply_all,
            sensitive=self.chance.random() < (0.12 if outside else 0.35),
            attachments=self.chance.random() < 0.25,
        )


def chance_of(chance: random.Random, among: Sequence):  # type: ignore[type-arg, no-untyped-def]
    return among[chance.randrange(len(among))]


def note(box: Mailbox, message: Message, at: datetime) -> None:
    keys = sorted(one.address.key for one in message.to)
    for one in message.to:
        key = one.address.key
        box.times[key] += 1
        box.last[key] = at
        box.people[key] = one
    if len(keys) <= 10:
        box.together.update(combinations(keys, 2))
    if message.to:
        box.threads.append(tuple(message.to))


def seen(town: Town, box: Mailbox, message: Message) -> RecipientsView:
    known = tuple(
        Acquaintance(address=one.address, name=one.name, times=box.times[key]) for key, one in box.people.items()
    )
    strangers = [
        one for one in message.to if not box.times[one.address.key] and one.address.key not in message.on_thread
    ]
    namesakes = [
        Acquaintance(address=other.address, name=other.name)
        for one in strangers
        for other in town.by_name.get(name_key(one.name), ())
    ]
    keys = {one.address.key for one in message.to}
    return RecipientsView(
        sender=box.owner.address,
        recipients=tuple(
            RecipientView(
                address=one.address,
                name=one.name,
                inside=one.inside,
                secure=one.secure,
                times=box.times[one.address.key],
                received=box.heard[one.address.key],
                on_thread=one.address.key in message.on_thread,
            )
            for one in message.to
        ),
        known=known,
        namesakes=tuple(namesakes),
        together={pair: times for pair, times in box.together.items() if not keys.isdisjoint(pair)},
        known_domains=frozenset(Domain(name) for name in (*OWN, *REGISTER)),
        sensitive=message.sensitive,
        attachments=message.attachments,
        answers=bool(message.on_thread),
        reply_all=message.reply_all,
    )


# --- the slips ------------------------------------------------------------------------------------------------------


def slip(town: Town, box: Mailbox, message: Message, kind: str, at: datetime) -> tuple[Message, Somebody] | None:
    """The message with one recipient wrong, and who that is; None: this message gives no occasion for it."""
    candidates = [one for one in message.to if one.address.key not in message.on_thread and box.times[one.address.key]]
    if not candidates:
        return None
    meant = chance_of(town.chance, candidates)
    wrong = {
        "wrong namesake": _namesake,
        "look-alike domain": _domain,
        "free-mail twin": _twin,
        "line below in the list": _line_below,
    }[kind](town, box, meant, at)
    if wrong is None or any(one.address.key == wrong.address.key for one in message.to):
        return None
    to = [wrong if one is meant else one for one in message.to]
    return replace(message, to=to, sensitive=True), wrong


def _namesake(town: Town, _box: Mailbox, meant: Somebody, _at: datetime) -> Somebody | None:
    others = [one for one in town.by_name.get(name_key(meant.name), ()) if one.address.key != meant.address.key]
    if others:
        return chance_of(town.chance, others)
    domain = chance_of(town.chance, [name for name in OWN if name != meant.address.domain.name])
    local = meant.name.lower().replace(" ", ".")
    return Somebody(meant.name, EmailAddress.parse(f"{local}9@{domain}"), inside=True, secure=True, directory=True)


def _domain(town: Town, _box: Mailbox, meant: Somebody, _at: datetime) -> Somebody | None:
    chance, (label, dot, rest) = town.chance, meant.address.domain.name.partition(".")
    if meant.address.domain.name in PRIVATE:
        return None
    at = chance.randrange(1, len(label) - 1)
    wrong = {
        "left out": label[:at] + label[at + 1 :],
        "doubled": label[:at] + label[at] + label[at:],
        "swapped": label[: at - 1] + label[at] + label[at - 1] + label[at + 1 :],
        "looks": label.replace("l", "1", 1).replace("i", "l", 1) if set("li") & set(label) else label + "e",
        "hyphen": label.replace("-", "") if "-" in label else label[:at] + "-" + label[at:],
        "other letter": label[:at] + chance.choice("aeiourstn") + label[at + 1 :],
    }[chance.choice(("left out", "doubled", "swapped", "looks", "hyphen", "other letter"))]
    if wrong == label:
        return None
    address = EmailAddress.parse(f"{meant.address.local}@{wrong}{dot}{rest}")
    return Somebody(chance.choice((meant.name, "")), address, inside=False, secure=False, directory=False)


def _twin(town: Town, _box: Mailbox, meant: Somebody, _at: datetime) -> Somebody | None:
    if not meant.secure:
        return None
    chance, (given, family) = town.chance, meant.name.lower().split()
    forms = (
        f"{given}.{family}",
        f"{given}.{family}{chance.randrange(99)}",
        f"{given}_{family}",
        f"{given}{family}",
        f"{given[0]}{family}{chance.randrange(99)}",
    )
    address = EmailAddress.parse(f"{chance.choice(forms)}@{chance.choice(PRIVATE)}")
    # The address book of a telephone gives the name; typing does not.
    return Somebody(chance.choice((meant.name, "")), address, inside=False, secure=False, directory=False)


def _line_below(town: Town, box: Mailbox, meant: Somebody, at: datetime) -> Somebody | None:
    """Three letters of either name; the list as the service makes it: written to by weight, then the directory."""
    typed = words_of(town.chance.choice(meant.name.split())[:3])
    written = [
        Correspondent(address=one.address, name=one.name, times=box.times[key], last_at=box.last[key])
        for key, one in box.people.items()
    ]
    written = sorted((one for one in written if begins(one, typed)), key=lambda one: -weight(one, at))
    lines = [box.people[one.address.key] for one in written]
    here = [one for one in town.staff if any(word.startswith(typed[0]) for word in words_of(one.name))]
    lines += sorted(
        (one for one in here if one.address.key not in box.people),
        key=lambda one: (one.address.domain != box.owner.address.domain, one.name),
    )
    lines = lines[:10]
    for place, line in enumerate(lines[:-1]):
        if line.address.key == meant.address.key:
            return lines[place + 1]
    return None


# --- the measurement ------------------------------------------------------------------------------------------------


def measure(seed: int, users: int, *, warm_up: int, weeks: int, a_week: int, strangers: float) -> None:
    town = Town(seed, strangers)
    boxes = [town.mailbox(owner) for owner in town.chance.sample(town.staff, users)]
    messages = prompts = 0
    by_rule: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    caught: Counter[str] = Counter()
    for box in boxes:
        for week in range(warm_up + weeks):
            for number in range(a_week):
                at = START + timedelta(weeks=week, minutes=number * 30)
                if number % 2 and box.people:
                    box.heard[chance_of(town.chance, list(box.people))] += 1
                message = town.message(box)
                if week >= warm_up:
                    messages += 1
                    asked = {found.code for found in look_at_recipients(seen(town, box, message)) if found.weight}
                    prompts += bool(asked)
                    by_rule.update(asked)
                    if message.sensitive or message.attachments:
                        _try_slip(town, box, message, at, tried=tried, caught=caught)
                note(box, message, at)
    per_week = prompts / (users * weeks)
    print(f"seed {seed}: {users} users, {weeks} weeks after {warm_up} weeks of history, {messages:,} messages")
    print(
        f"asked in {prompts:,} of them: {100 * prompts / messages:.2f} in 100 messages, {per_week:.2f} a user and week"
    )
    for rule, count in by_rule.most_common():
        print(f"    {rule:<24} {100 * count / messages:6.2f} in 100 messages")
    print("slips noticed:")
    for kind in SLIPS:
        print(
            f"    {kind:<24} {caught[kind]:6,} of {tried[kind]:6,}  {100 * caught[kind] / max(1, tried[kind]):5.1f} %"
        )
    mean = sum(100 * caught[kind] / max(1, tried[kind]) for kind in SLIPS) / len(SLIPS)
    print(f"    each kind alike          {mean:20.1f} %")


def _try_slip(
    town: Town, box: Mailbox, message: Message, at: datetime, *, tried: Counter[str], caught: Counter[str]
) -> None:
    kind = chance_of(town.chance, SLIPS)
    made = slip(town, box, message, kind, at)
    if made is None:
        return
    leak, wrong = made
    tried[kind] += 1
    found = look_at_recipients(seen(town, box, leak))
    caught[kind] += any(one.weight and one.facts.get("recipient") == str(wrong.address) for one in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--users", type=int, default=60)
    parser.add_argument("--warm-up", type=int, default=12, help="weeks of history before anything is counted")
    parser.add_argument("--weeks", type=int, default=8)
    parser.add_argument("--a-week", type=int, default=60, help="messages of one user")
    parser.add_argument("--strangers", type=float, default=0.03, help="share of messages to somebody new")
    given = parser.parse_args()
    measure(
        given.seed,
        given.users,
        warm_up=given.warm_up,
        weeks=given.weeks,
        a_week=given.a_week,
        strangers=given.strangers,
    )


if __name__ == "__main__":
    main()
