"""What the web site is told by app.py, and who is looking at it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from carepost.audit.model import Actor
from carepost.base.ids import MailboxId, OrganisationId, PersonId
from carepost.directory.access import AccessRights
from carepost.directory.model import MailboxAccess


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPolicy:
    """How the site presents itself, and its limits. app.py fills it from settings."""

    # Scheme, host and port as the browser names them: "https://mail.example.org". Origin is compared with it.
    web_origin: str
    # Where hostile content is shown: another origin, so that nothing of ours is within its reach.
    content_origin: str
    product: str = "Carepost"
    service_desk: str = ""  # shown to those who can't sign in (R42, R214): "0300 … , at any hour"
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Europe/London"))
    page_lines: int = 50  # messages on a page of a list
    search_lines: int = 100  # found messages shown
    content_link_seconds: int = 600  # how long a link to a message's content works: long enough to scroll and print
    undo_seconds: int = 600  # how long Undo is offered
    form_octets_max: int = 256 << 10  # the largest form has 200 numbers in it
    form_fields_max: int = 1_000
    held_lines: int = 50

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach us by https: then cookies carry `Secure` and the `__Host-` prefix."""
        return self.web_origin.startswith("https://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Somebody who is signed in, as of this request."""

    person: PersonId
    organisation: OrganisationId
    name: str
    address: str
    organisation_name: str
    rights: AccessRights
    mailboxes: Mapping[MailboxId, MailboxAccess]
    session: int
    session_token: str
    shared_computer: bool
    client: str | None
    must_accept: bool  # the acceptable use policy, before anything else (R74)
    must_change_password: bool

    @property
    def own(self) -> MailboxAccess | None:
        """Their own mailbox; None for somebody who only shares."""
        return self.mailboxes.get(self.rights.personal) if self.rights.personal is not None else None

    @property
    def actor(self) -> Actor:
        return Actor.for_person(
            self.person, self.organisation, self.name, session=str(self.session), address=self.client
        )
