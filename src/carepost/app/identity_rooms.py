"""The rooms in which people prove who they are, with the numbers that the settings give."""

from dataclasses import dataclass
from datetime import timedelta

from carepost.audit.record import AuditTrail
from carepost.base.clock import Clock
from carepost.directory.people import People
from carepost.directory.service import Directory
from carepost.identity.accounts import AccountPolicy, Accounts
from carepost.identity.app_passwords import AppPasswordPolicy, AppPasswords
from carepost.identity.code_step import CodeStep
from carepost.identity.model import SessionPolicy
from carepost.identity.password_rules import PasswordPolicy
from carepost.identity.password_step import PasswordStep
from carepost.identity.passwords import HashingPolicy, PasswordHashing
from carepost.identity.revocations import Revocations
from carepost.identity.second_factors import SecondFactors
from carepost.identity.service import SignIn
from carepost.identity.sessions import Sessions
from carepost.identity.throttle import ThrottlePolicy
from carepost.identity.tries import Tries
from carepost.infra.db import Database
from carepost.infra.settings import Settings
from carepost.infra.vault import EdgeKey
from carepost.store.keys import Keystore


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityRooms:
    accounts: Accounts
    sign_in: SignIn
    sessions: Sessions
    app_passwords: AppPasswords
    second_factors: SecondFactors
    revocations: Revocations


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundations:
    """What identity stands on."""

    db: Database
    audit: AuditTrail
    clock: Clock
    edge: EdgeKey
    keys: Keystore
    directory: Directory
    people: People


def identity_rooms(settings: Settings, on: Foundations) -> IdentityRooms:
    given = settings.identity
    hashing = PasswordHashing(
        on.edge, HashingPolicy(memory_kib=given.argon2_memory_mb * 1024, passes=given.argon2_passes)
    )
    tries = Tries(
        audit=on.audit,
        clock=on.clock,
        pepper=on.edge,
        policy=ThrottlePolicy(
            failures_max=given.failures_max,
            window=timedelta(minutes=given.failures_minutes),
            lock=timedelta(minutes=given.lock_minutes),
        ),
    )
    sessions = Sessions(
        db=on.db, audit=on.audit, clock=on.clock, directory=on.directory, policy=session_policy(settings)
    )
    factors = SecondFactors(
        seal=on.keys, people=on.people, audit=on.audit, clock=on.clock, issuer=settings.service.name
    )
    return IdentityRooms(
        accounts=Accounts(
            db=on.db,
            audit=on.audit,
            clock=on.clock,
            directory=on.directory,
            hashing=hashing,
            policy=AccountPolicy(
                passwords=PasswordPolicy(length_min=given.password_min, remembered=given.password_history)
            ),
        ),
        sign_in=SignIn(
            password_step=PasswordStep(db=on.db, clock=on.clock, hashing=hashing, tries=tries),
            code_step=CodeStep(db=on.db, clock=on.clock, tries=tries, factors=factors, sessions=sessions),
        ),
        sessions=sessions,
        app_passwords=AppPasswords(
            db=on.db,
            audit=on.audit,
            clock=on.clock,
            directory=on.directory,
            pepper=on.edge,
            policy=AppPasswordPolicy(life=timedelta(days=given.app_password_days)),
        ),
        second_factors=factors,
        revocations=Revocations(on.db),
    )


def session_policy(settings: Settings) -> SessionPolicy:
    given = settings.identity
    longest = timedelta(hours=given.session_hours)
    return SessionPolicy(
        shared_idle=timedelta(minutes=given.idle_minutes_shared),
        shared_absolute=longest,
        own_idle=min(timedelta(minutes=given.idle_minutes), longest),
        own_absolute=longest,
    )
