"""Who is asking: a session's cookie to a Visitor, with what they may do as of now.

Promises
    Rights are read with every request: somebody who lost a mailbox a second ago does not see it now.
    Only what does not decide anything (an organisation's name) is remembered, for a minute.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address

from carepost.base.clock import Clock
from carepost.base.ids import OrganisationId
from carepost.directory.service import Directory
from carepost.governance.acceptable_use import AcceptableUse
from carepost.identity.model import ClientFacts
from carepost.identity.sessions import Sessions
from carepost.web.model import Visitor

NAMES_LAST = timedelta(seconds=60)
NAMES_MAX = 10_000

# In this order: each browser calls itself by the names of those after it as well.
_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Mac OS X", "a Mac"),
    ("Linux", "Linux"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Finds out who a visitor is."""

    sessions: Sessions
    directory: Directory
    acceptable_use: AcceptableUse
    clock: Clock
    _names: dict[OrganisationId, tuple[datetime, str]] = field(default_factory=dict)

    async def who_is(self, token: str, address: str | None) -> Visitor | None:
        session = await self.sessions.resume(token)
        if session is None:
            return None
        organisation, person = session.organisation, session.person
        rights = await self.directory.rights_of(organisation, person)
        mailboxes = await self.directory.mailboxes_of(organisation, person)
        return Visitor(
            person=person,
            organisation=organisation,
            name=session.name,
            address=session.address,
            organisation_name=await self._name(organisation),
            rights=rights,
            mailboxes={access.mailbox.id: access for access in mailboxes},
            session=session.id,
            session_token=token,
            shared_computer=session.shared_computer,
            client=address,
            must_accept=await self.acceptable_use.must_accept(organisation, person) is not None,
            must_change_password=session.must_change_password,
        )

    async def _name(self, organisation: OrganisationId) -> str:
        now = self.clock.now()
        known = self._names.get(organisation)
        if known is not None and now - known[0] < NAMES_LAST:
            return known[1]
        found = await self.directory.organisation(organisation)
        if len(self._names) >= NAMES_MAX:
            self._names.clear()
        self._names[organisation] = (now, found.name if found else "")
        return self._names[organisation][1]


def client_facts(address: str | None, browser: str, device: str | None) -> ClientFacts:
    """What is told to sign-in about whoever stands at the door."""
    try:
        known = ip_address(address) if address else None
    except ValueError:
        known = None
    return ClientFacts(address=known, name=browser_name(browser), device=device)


def browser_name(agent: str) -> str:
    """Such as "Firefox on Windows": enough for a person to know their own sessions again; never decided on."""
    browser = next((name for mark, name in _BROWSERS if mark in agent), "A browser")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    return f"{browser} on {system}" if system else browser
