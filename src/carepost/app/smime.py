"""S/MIME, put together: whom we trust, from the settings' files, the certificates of mailboxes and correspondents."""

from carepost.app.areas import Areas
from carepost.app.relay import check_policy, scanner
from carepost.base.errors import NotPossible
from carepost.gateway.checks.archives import archives
from carepost.gateway.checks.attachments import attachments
from carepost.gateway.checks.malware import malware
from carepost.gateway.opened import OpenedLook
from carepost.infra.settings import Settings
from carepost.message.smime_keys import read_trust
from carepost.message.smime_model import Trust
from carepost.store.certificates import MailCertificates
from carepost.store.correspondent_certificates import CorrespondentCertificates
from carepost.web.mail.sealed import SealedMail


def mail_trust(settings: Settings) -> Trust:
    """Raises NotPossible, Malformed: a file that is named and cannot be read must not mean that nobody is withdrawn."""
    given = settings.smime
    try:
        authorities = settings.path(given.authorities_file).read_bytes() if given.authorities_file else b""
        withdrawn = settings.path(given.withdrawn_file).read_text("ascii") if given.withdrawn_file else ""
    except (OSError, ValueError) as error:
        raise NotPossible(
            "A file that the settings of smime name cannot be read.", error=type(error).__name__
        ) from error
    return read_trust(authorities, withdrawn)


def mail_certificates(areas: Areas) -> MailCertificates:
    return MailCertificates(
        db=areas.db,
        keys=areas.store.keys,
        directory=areas.directory.look,
        audit=areas.audit,
        clock=areas.clock,
        trust=mail_trust(areas.settings),
    )


def correspondent_certificates(areas: Areas) -> CorrespondentCertificates:
    return CorrespondentCertificates(
        db=areas.db,
        keys=areas.store.keys,
        edge=areas.edge,
        directory=areas.directory.look,
        audit=areas.audit,
        clock=areas.clock,
        trust=mail_trust(areas.settings),
    )


def sealed_mail(areas: Areas) -> SealedMail:
    """For the pages: opened after the checks of mail on its way in have looked."""
    settings = areas.settings
    policy = check_policy(settings)
    checks = (
        malware(policy.floor, scanner(settings)),
        attachments(policy.blocked),
        archives(policy.blocked, policy.unpack, policy.floor.judge),
    )
    return SealedMail(certificates=mail_certificates(areas), look=OpenedLook(checks=checks, clock=areas.clock))
