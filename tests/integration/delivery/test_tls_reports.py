"""TLS reports from the first connection to the message in the queue, over the rooms that the program runs with."""

from datetime import timedelta
from email import message_from_bytes
from pathlib import Path

import psycopg
import pytest
from tests.conftest import PostgresForTests

from carepost.app.areas import open_areas
from carepost.app.delivery_rooms import delivery_rooms
from carepost.app.storage import Dsns
from carepost.app.tls_reports import write_reports
from carepost.app.transport import transport_rooms
from carepost.audit.model import Actor
from carepost.base.address import Domain
from carepost.base.clock import FixedClock
from carepost.delivery.hosts import MailHost
from carepost.delivery.model import LeastTls
from carepost.delivery.proof import HostProof, Proof
from carepost.delivery.sts_policies import StsProof
from carepost.delivery.tls_policy import DaneState
from carepost.directory.model import OrganisationKind, PersonStatus
from carepost.directory.people import NewPerson
from carepost.infra.key_files import KeyFiles
from carepost.infra.settings import Service, Settings, Smtp
from carepost.mailauth.resolver import FakeResolver
from carepost.mailauth.tls_report import FailureKind

OPERATOR = Actor.operator("root")
ASKS = FakeResolver(txt={"_smtp._tls.trust.example": ["v=TLSRPTv1; rua=mailto:tls@trust.example"]})


def a_connection(domain: str) -> tuple[Proof, HostProof, str]:
    host = HostProof(MailHost(f"mx.{domain}", 10, False), DaneState.NONE)
    return Proof(Domain(domain), (host,), StsProof()), host, "192.0.2.1"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    KeyFiles(tmp_path / "keys").create_missing()
    return Settings(
        service=Service(data=str(tmp_path), hostname="mail.riverside.example"),
        smtp=Smtp(postmaster="ada.lovelace@riverside.example"),
    )


async def test_a_days_counts_become_one_message_to_who_asked_and_it_may_leave_without_tls(
    settings: Settings, postgres: PostgresForTests, database_name: str, superuser_dsn: str
) -> None:
    with psycopg.connect(superuser_dsn, autocommit=True) as behind:
        behind.execute("TRUNCATE sts_policy, tls_result, tls_report_done, delivery CASCADE")
    clock = FixedClock()
    dsn = postgres.dsn("carepost_app", database_name)
    async with open_areas(settings, Dsns(dsn, dsn, ""), clock=clock) as areas:
        rooms = delivery_rooms(areas)
        transport = transport_rooms(settings, db=areas.db, edge=areas.edge, clock=clock, resolver=ASKS)
        assert await write_reports(areas, rooms.queue, transport) == 0, "there is no domain of ours yet"
        practice = await areas.directory.organisations.create(
            OPERATOR, code="A81001", name="Riverside Practice", kind=OrganisationKind.PRACTICE
        )
        await areas.directory.organisations.add_domain(OPERATOR, Domain("riverside.example"))
        ada = await areas.directory.people.create(
            OPERATOR,
            practice,
            NewPerson(given_name="Ada", family_name="Lovelace", domain=Domain("riverside.example")),
        )
        await areas.directory.people.set_status(OPERATOR, practice, ada.id, PersonStatus.ACTIVE, reason="for a test")
        transport.results.note(*a_connection("trust.example"), FailureKind.STARTTLS_NOT_SUPPORTED)
        transport.results.note(*a_connection("silent.example"), None)
        await transport.results.flush()
        clock.advance(timedelta(days=1))
        assert await write_reports(areas, rooms.queue, transport) == 1
        assert await write_reports(areas, rooms.queue, transport) == 0
        (turn,) = await rooms.queue.take("test", limit=10)
        ((parcel, (to,)),) = await rooms.queue.open("test", [turn])
        assert parcel.reverse_path is None
        assert (str(to.out.address), to.least) == ("tls@trust.example", LeastTls.OPPORTUNISTIC)
        message = message_from_bytes(await rooms.queue.body(parcel))
        assert message["From"] == "ada.lovelace@riverside.example"
        assert message["TLS-Report-Domain"] == "trust.example"
