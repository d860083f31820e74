"""What identity keeps for a time only, thrown away when the time is over. A job, once an hour or so."""

from dataclasses import dataclass
from datetime import timedelta

from carepost.base.clock import Clock
from carepost.directory.service import Directory
from carepost.identity import repo_sessions as repo
from carepost.identity.model import SignInPolicy
from carepost.infra.db import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgettingPolicy:
    sessions_kept: timedelta = timedelta(days=30)  # after their end, so that a person can see where they were
    revocations_kept: timedelta = timedelta(days=1)  # every process has polled thousands of times by then
    sources_kept: timedelta = timedelta(days=1)  # by then every failure has leaked away


async def forget_old(
    db: Database,
    clock: Clock,
    directory: Directory,
    *,
    sign_in: SignInPolicy,
    policy: ForgettingPolicy,
) -> None:
    """One short transaction an organisation."""
    now = clock.now()
    for organisation in await directory.organisations():
        async with db.transaction(organisation.id) as tx:
            await repo.forget_of_organisation(
                tx,
                organisation.id,
                attempts=now - sign_in.attempts_kept,
                tickets=now,
                sessions=now - policy.sessions_kept,
            )
    async with db.transaction() as tx:
        await repo.forget_of_all(tx, sources=now - policy.sources_kept, revocations=now - policy.revocations_kept)
