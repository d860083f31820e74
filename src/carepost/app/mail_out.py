"""The rooms of mail out, built on the areas: the outbound walk for the doors, the release for the worker.

Promises
    Every door and the worker have the same walk: the same checks, cards, limits and words.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from carepost.app.areas import Areas
from carepost.app.large_files import files_out
from carepost.app.relay import check_policy, scanner
from carepost.app.smime import correspondent_certificates, mail_certificates
from carepost.base.errors import NotPossible
from carepost.directory.correspondents import Correspondents
from carepost.directory.rules_keeping import RulesKeeping, RulesPolicy
from carepost.gateway.checks.attachments import attachments
from carepost.gateway.checks.malware import Scanner
from carepost.gateway.checks.outgoing import OutgoingCheckPolicy, outgoing_checks
from carepost.gateway.checks.structure import structure
from carepost.gateway.deck import shipped_care, shipped_outbound
from carepost.gateway.model import Check
from carepost.gateway.out.carry import Carrying
from carepost.gateway.out.change import Changing
from carepost.gateway.out.consider import Considering, OutboundLimits
from carepost.gateway.out.decide import OutboundDecks
from carepost.gateway.out.follow import Follow
from carepost.gateway.out.held import HeldMail
from carepost.gateway.out.keep import Keeping
from carepost.gateway.out.links import PortalLinks
from carepost.gateway.out.open import Opening
from carepost.gateway.out.outbound import Outbound, SendDelay
from carepost.gateway.out.people import PeopleLook
from carepost.gateway.out.ports import Counting, MakesLinks, Queue
from carepost.gateway.out.post import Post
from carepost.gateway.out.prompts import Prompts
from carepost.gateway.out.recipients_policy import RecipientsPolicy
from carepost.gateway.out.recipients_view import RecipientsGathering
from carepost.gateway.out.release import Release, ReleasePolicy
from carepost.gateway.out.sending_limits import SendingLimits, SendingPolicy
from carepost.gateway.out.sign import CertificatesSign
from carepost.gateway.out.storm import StormBreaker
from carepost.gateway.out.view import OutgoingView
from carepost.infra.settings import Settings
from carepost.policy.rules import Measure, ServiceRules
from carepost.portal.secure_messages import SecureMessages


@dataclass(frozen=True, slots=True, kw_only=True)
class MailOutRooms:
    """`outbound` and `view` for the doors, `release` and `follow` for the worker."""

    outbound: Outbound
    view: OutgoingView
    release: Release
    follow: Follow
    correspondents: Correspondents
    prompts: Prompts
    storms: StormBreaker
    rules: RulesKeeping
    held: HeldMail


# Whoever looks for malware; None: as the settings say.
MakesScanner = Callable[[Settings], Scanner | None]


def service_rules(settings: Settings) -> ServiceRules:
    """The floor for every organisation's own rules."""
    given = settings.mail_out
    return ServiceRules(
        personal=Measure(given.personal_least),
        subject=Measure(given.subject_least),
        portal_level=settings.portal.patient_level,
        visible_outsiders=given.visible_outsiders,
        visible_outsiders_stop=given.visible_outsiders_stop,
        visible_private=given.visible_private,
        disclaimer=disclaimer_text(settings),
    )


def rules_keeping(areas: Areas) -> RulesKeeping:
    """Each organisation's rules for mail that leaves."""
    policy = RulesPolicy(service=service_rules(areas.settings), mark=areas.settings.mail_out.disclaimer_mark)
    look = areas.directory.look
    return RulesKeeping(db=areas.db, directory=look, audit=areas.audit, clock=areas.clock, policy=policy)


def follow_room(areas: Areas) -> Follow:
    """Who keeps count of what was sent: the portal tells it too, so it is built before the portal."""
    return Follow(opening=_opening(areas), post=_post(areas), audit=areas.audit, clock=areas.clock)


def outgoing_view(areas: Areas) -> OutgoingView:
    """Only looking: for `carepost why` and `trace`."""
    return OutgoingView(opening=_opening(areas), directory=areas.directory.look, clock=areas.clock)


def mail_out_rooms(
    areas: Areas, *, queue: Queue, links: MakesLinks, makes_scanner: MakesScanner = scanner
) -> MailOutRooms:
    """`queue` is the delivery queue, `links` the portal's secure messages (`portal_links`)."""
    settings, db, clock, directory = areas.settings, areas.db, areas.clock, areas.directory.look
    opening, post, follow = _opening(areas), _post(areas), follow_room(areas)
    follow.portal.append(links)
    correspondents, rules = correspondents_of(areas), rules_keeping(areas)
    carrying, files = _carrying(areas, queue, links, rules), files_out(areas)
    changing = Changing(opening=opening, carrying=carrying, directory=directory, audit=areas.audit, clock=clock)
    prompts, storms = Prompts(db=db, clock=clock), StormBreaker(db=db, edge=areas.edge, clock=clock)
    limits = SendingLimits(clock=clock, policy=sending_policy(settings))
    outbound = Outbound(
        considering=replace(
            _considering(areas, correspondents, limits, makes_scanner(settings)), rules=rules, files=files
        ),
        keeping=Keeping(db=db, edge=areas.edge),
        opening=opening,
        counting=Counting(limits=limits, storms=storms, prompts=prompts),
        post=post,
        audit=areas.audit,
        clock=clock,
        changing=changing,
        delay=_delay(settings),
    )
    return MailOutRooms(
        outbound=outbound,
        view=outgoing_view(areas),
        release=_release(areas, carrying, correspondents),
        follow=follow,
        correspondents=correspondents,
        prompts=prompts,
        storms=storms,
        rules=rules,
        held=HeldMail(changing=changing, post=post),
    )


def _carrying(areas: Areas, queue: Queue, links: MakesLinks, rules: RulesKeeping) -> Carrying:
    return Carrying(
        edge=areas.edge,
        audit=areas.audit,
        queue=queue,
        links=links,
        host=areas.settings.service.hostname,
        rules=rules,
        files=files_out(areas),
        signs=CertificatesSign(certificates=mail_certificates(areas), clock=areas.clock),
        encrypts=correspondent_certificates(areas),
    )


def _release(areas: Areas, carrying: Carrying, correspondents: Correspondents) -> Release:
    return Release(
        written=correspondents,
        opening=_opening(areas),
        carrying=carrying,
        directory=areas.directory.look,
        post=_post(areas),
        clock=areas.clock,
        policy=_release_policy(areas.settings),
    )


def correspondents_of(areas: Areas) -> Correspondents:
    return Correspondents(
        db=areas.db,
        directory=areas.directory.look,
        keys=areas.store.keys,
        edge=areas.edge,
        audit=areas.audit,
        clock=areas.clock,
    )


def _opening(areas: Areas) -> Opening:
    return Opening(db=areas.db, keys=areas.store.keys)


def _post(areas: Areas) -> Post:
    settings = areas.settings
    return Post(directory=areas.directory.look, service=settings.service.name, pages=settings.web.url)


def portal_links(areas: Areas, secure: SecureMessages) -> PortalLinks:
    """The portal's secure messages, as the walk wants them."""
    return PortalLinks(secure=secure, directory=areas.directory.look, clock=areas.clock)


def outbound_check_list(settings: Settings, looks: Scanner | None) -> Sequence[Check]:
    """Everything that is looked for in what leaves."""
    policy = check_policy(settings)
    return (
        *outgoing_checks(scanner=looks, policy=OutgoingCheckPolicy(blocked=policy.blocked, unpack=policy.unpack)),
        attachments(policy.blocked),
        structure(policy.structure),
    )


def _considering(
    areas: Areas, correspondents: Correspondents, limits: SendingLimits, looks: Scanner | None
) -> Considering:
    settings = areas.settings
    people = recipients_policy(settings)
    gathering = RecipientsGathering(
        db=areas.db, directory=areas.directory.look, correspondents=correspondents, edge=areas.edge, clock=areas.clock
    )
    return Considering(
        directory=areas.directory.look,
        checks=outbound_check_list(settings, looks),
        people=PeopleLook(
            gathering=gathering, correspondents=correspondents, messages=areas.store.messages, policy=people
        ),
        limits=limits,
        decks=OutboundDecks(routes=shipped_outbound(), care=shipped_care()),
        clock=areas.clock,
        policy=OutboundLimits(
            private_visible_max=settings.mail_out.visible_private,
            free_mail=people.free_mail,
            texts=bool(settings.portal.texts_url or settings.portal.texts_file),
        ),
    )


def disclaimer_text(settings: Settings) -> str:
    """The service's own. Raises NotPossible when the settings are wrong: at start, not later."""
    given = settings.mail_out
    if not given.disclaimer_file:
        return ""
    path = settings.path(given.disclaimer_file)
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NotPossible(f"The disclaimer in {path} could not be read: {type(error).__name__}.") from error


def sending_policy(settings: Settings) -> SendingPolicy:
    given = settings.mail_out
    return SendingPolicy(
        recipients_a_message=given.recipients_a_message,
        recipients_a_day=given.recipients_a_day,
        messages_a_minute=given.messages_a_minute,
    )


def recipients_policy(settings: Settings) -> RecipientsPolicy:
    given = settings.mail_out
    return RecipientsPolicy(
        outsiders_max=given.visible_outsiders,
        outsiders_stop=given.visible_outsiders_stop,
        reply_all_max=given.reply_all,
        domains_max=given.organisations,
    )


def _delay(settings: Settings) -> SendDelay:
    given = settings.mail_out
    return SendDelay(
        inside=timedelta(seconds=given.undo_seconds),
        outside=timedelta(seconds=given.undo_seconds_outside),
        longest=timedelta(minutes=given.undo_most_minutes),
    )


def _release_policy(settings: Settings) -> ReleasePolicy:
    given = settings.mail_out
    return ReleasePolicy(
        remind_after=timedelta(minutes=given.remind_minutes),
        body_kept=timedelta(hours=settings.delivery.kept_hours),
        body_kept_at_most=timedelta(days=given.undelivered_days),
    )
