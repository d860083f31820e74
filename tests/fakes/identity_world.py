"""Identity over a real database: Argon2 at its cheapest, a pepper and a seal that only look like the real ones."""

from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from ipaddress import IPv4Address

from tests.fakes.town import OPERATOR, Town, build_town

from carepost.base.clock import FixedClock
from carepost.base.ids import OrganisationId
from carepost.directory.model import Person
from carepost.identity.accounts import Accounts
from carepost.identity.app_passwords import AppPasswords
from carepost.identity.code_step import CodeStep
from carepost.identity.factors import code_at
from carepost.identity.model import ClientFacts, Door, NeedsSecondFactor, SessionToken
from carepost.identity.password_step import PasswordStep
from carepost.identity.passwords import HashingPolicy, PasswordHashing
from carepost.identity.second_factors import SecondFactors
from carepost.identity.service import SignIn
from carepost.identity.sessions import Sessions
from carepost.identity.tries import Tries
from carepost.infra.db import Database, Transaction

PASSWORD = "copper-lantern-walks"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
QUICK = HashingPolicy(memory_kib=64, passes=1, concurrent=2)


class FakePepper:
    def pepper(self, purpose: str, value: bytes) -> bytes:
        return sha256(purpose.encode() + b"\0" + value).digest()


@dataclass
class FakeColumnSeal:
    """Binds a value to its place as the keystore does, without hiding it."""

    sealed: int = 0

    async def seal_column(
        self, tx: Transaction, organisation: OrganisationId, *, context: str, row: str, plaintext: bytes
    ) -> bytes:
        self.sealed += 1
        return f"{organisation}|{context}|{row}|".encode() + plaintext[::-1]

    async def open_column(
        self, tx: Transaction, organisation: OrganisationId, *, context: str, row: str, sealed: bytes
    ) -> bytes:
        place = f"{organisation}|{context}|{row}|".encode()
        assert sealed.startswith(place), "sealed for another place"
        return sealed[len(place) :][::-1]


def client(address: str = "192.0.2.10", *, device: str | None = None, door: Door = Door.WEB) -> ClientFacts:
    return ClientFacts(address=IPv4Address(address), name="Firefox on Windows", device=device, door=door)


@dataclass(kw_only=True)
class IdentityWorld:
    town: Town
    hashing: PasswordHashing
    seal: FakeColumnSeal
    factors: SecondFactors
    sessions: Sessions
    sign_in: SignIn
    accounts: Accounts
    app_passwords: AppPasswords
    clock: FixedClock = field(init=False)

    def __post_init__(self) -> None:
        self.clock = self.town.clock

    async def ready_person(self, name: str = "Amina Okafor") -> Person:
        """Active, with PASSWORD and SECRET."""
        person = await self.town.person(name)
        await self.accounts.set_password(OPERATOR, person.organisation, person.id, PASSWORD)
        await self.factors.preset(self.town.db, OPERATOR, person.organisation, person.id, SECRET)
        return person

    def code(self) -> str:
        """The code of the next half minute, so that no step is used twice by a test."""
        self.clock.advance(timedelta(seconds=60))
        return code_at(SECRET, self.clock.now())

    async def signed_in(
        self, person: Person, facts: ClientFacts | None = None, *, shared_computer: bool = False
    ) -> SessionToken:
        facts = facts or client()
        first = await self.sign_in.begin(str(person.address), PASSWORD, facts)
        assert isinstance(first, NeedsSecondFactor), first
        token = await self.sign_in.second_factor(first.ticket, self.code(), facts, shared_computer=shared_computer)
        assert isinstance(token, SessionToken), token
        return token


async def build_identity(db: Database, *, hashing: HashingPolicy = QUICK) -> IdentityWorld:
    town = await build_town(db)
    audit, clock, directory, pepper, seal = town.audit, town.clock, town.directory, FakePepper(), FakeColumnSeal()
    hasher = PasswordHashing(pepper, hashing)
    tries = Tries(audit=audit, clock=clock, pepper=pepper)
    factors = SecondFactors(seal=seal, people=town.people, audit=audit, clock=clock)
    sessions = Sessions(db=db, audit=audit, clock=clock, directory=directory)
    return IdentityWorld(
        town=town,
        hashing=hasher,
        seal=seal,
        factors=factors,
        sessions=sessions,
        sign_in=SignIn(
            password_step=PasswordStep(db=db, clock=clock, hashing=hasher, tries=tries),
            code_step=CodeStep(db=db, clock=clock, tries=tries, factors=factors, sessions=sessions),
        ),
        accounts=Accounts(db=db, audit=audit, clock=clock, directory=directory, hashing=hasher),
        app_passwords=AppPasswords(db=db, audit=audit, clock=clock, directory=directory, pepper=pepper),
    )
