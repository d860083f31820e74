"""An organisation's rules: stricter than the service or refused, and what they ask of a message. R113, R151, R159."""

import pytest

from carepost.base.address import EmailAddress
from carepost.base.errors import Malformed
from carepost.cli.policy import chosen_with as from_words
from carepost.delivery.model import LeastTls
from carepost.gateway.deck import shipped_care, shipped_outbound
from carepost.gateway.disclosure import CODES, MARKED, PATIENT_CODES, SECURE, SUBJECT, UNREAD, UNREAD_MEDIA
from carepost.gateway.examine import failed
from carepost.gateway.model import Finding
from carepost.gateway.out.decide import NOT_KNOWN, OutboundDecks, Ruling, rule_outbound
from carepost.gateway.out.facts import Destination
from carepost.gateway.out.outgoing import Choice, Route
from carepost.gateway.rules import rule_findings
from carepost.message.identifiers import Identifier
from carepost.policy.outbound import Reach
from carepost.policy.rules import (
    OF_PATIENTS,
    Chosen,
    Detail,
    Measure,
    OutgoingRules,
    ServiceRules,
    changes,
    in_force,
    insist,
)

DECKS = OutboundDecks(routes=shipped_outbound(), care=shipped_care())
MILD = ServiceRules(personal=Measure.ADVISE)


def rules(service: ServiceRules = MILD, **chosen: object) -> OutgoingRules:
    return in_force(Chosen(**chosen), service, name="Riverside Surgery")  # type: ignore[arg-type]


def found(code: str, where: str = "text") -> Finding:
    return Finding(code=code, weight=2, says=f"{code} was seen.", check="disclosure", facts={"where": where})


def ruled(
    given: OutgoingRules, *findings: Finding, reach: Reach = Reach.OUTSIDE, agreed: bool = False, asked: bool = False
) -> Ruling:
    to = Destination(address=EmailAddress.parse("a@b.example"), reach=reach, agreed_to_plain=agreed)
    return rule_outbound(DECKS, [to], [*findings, *rule_findings(findings, given)], asked_secure=asked)


def test_there_is_a_rule_for_every_detail_that_can_be_found() -> None:
    about_no_person = {Identifier.BIC.value, SUBJECT, SECURE, MARKED, UNREAD, UNREAD_MEDIA}
    assert {one.value for one in Detail} == CODES - about_no_person
    assert {one.value for one in OF_PATIENTS} == PATIENT_CODES


@pytest.mark.parametrize("detail", [one for one in Detail if one in OF_PATIENTS])
def test_no_rule_and_no_setting_lets_a_patients_details_leave_unprotected(detail: Detail) -> None:
    given = rules(text=dict.fromkeys(Detail, Measure.ADVISE))
    [one] = ruled(given, found(detail.value)).routes
    assert one.route is Route.PORTAL
    with pytest.raises(Malformed, match="may be stricter, never laxer"):
        insist(Chosen(text={detail: Measure.REASON}), MILD)


@pytest.mark.parametrize(
    ("measure", "route", "card", "choices"),
    [
        (Measure.ADVISE, Route.RELAY, "details-advised", (Choice.CONFIRM,)),
        (Measure.REASON, Route.RELAY, "details-reason", (Choice.REASON,)),
        (Measure.ENCRYPT, Route.PORTAL, None, ()),
        (Measure.BLOCK, Route.REFUSE, None, ()),
    ],
)
def test_each_measure_does_what_it_says(
    measure: Measure, route: Route, card: str | None, choices: tuple[Choice, ...]
) -> None:
    ruling = ruled(rules(text={Detail.PASSPORT: measure}), found("passport"))
    assert ruling.routes[0].route is route
    assert [(one.card, one.choices) for one in ruling.questions] == ([(card, choices)] if card else [])
    told = " ".join([*ruling.refusals, *(says for one in ruling.questions for says in one.says)])
    assert ("Riverside Surgery" in told and "passport number" in told) is (measure is not Measure.ENCRYPT)


def test_the_strictest_of_what_was_found_decides() -> None:
    given = rules(text={Detail.PASSPORT: Measure.REASON, Detail.CARD: Measure.BLOCK})
    both = ruled(given, found("passport"), found("card-number", "file"))
    assert both.routes[0].route is Route.REFUSE
    assert "payment card number" in both.refusals[0]
    assert "passport" not in both.refusals[0]
    assert ruled(given, found("passport"), found("nhs-number")).routes[0].route is Route.PORTAL


def test_a_block_is_for_who_is_outside_and_not_for_secure_domains_or_colleagues() -> None:
    given = rules(text=dict.fromkeys(Detail, Measure.BLOCK))
    for reach, route in ((Reach.REGISTER, Route.RELAY), (Reach.INSIDE, Route.INSIDE), (Reach.OUTSIDE, Route.REFUSE)):
        assert ruled(given, found("nhs-number"), reach=reach).routes[0].route is route
    # Neither the button nor somebody's consent is a way round it.
    assert ruled(given, found("passport"), agreed=True).routes[0].route is Route.REFUSE
    assert ruled(given, found("passport"), asked=True).routes[0].route is Route.REFUSE


@pytest.mark.parametrize("reach", [Reach.OUTSIDE, Reach.REGISTER])
def test_a_subject_that_tells_is_asked_about_or_blocked_wherever_it_goes(reach: Reach) -> None:
    seen = (found("date-of-birth", "subject"), found(SUBJECT, "subject"))
    reason = ruled(rules(subject={Detail.BIRTH: Measure.REASON}), *seen, reach=reach, agreed=True)
    assert [one.card for one in reason.questions] == ["subject-reason"]
    link = ruled(rules(subject={Detail.BIRTH: Measure.ENCRYPT}), *seen, reach=reach, agreed=True)
    assert link.routes[0].route is (Route.PORTAL if reach is Reach.OUTSIDE else Route.RELAY)
    blocked = ruled(rules(subject={Detail.BIRTH: Measure.BLOCK}), *seen, reach=reach, agreed=True)
    assert blocked.routes[0].route is Route.REFUSE
    in_text = ruled(rules(subject={Detail.BIRTH: Measure.BLOCK}), found("date-of-birth"), reach=reach, agreed=True)
    assert in_text.routes[0].route is Route.RELAY


def test_what_could_not_be_read_is_held_where_something_may_not_leave_at_all() -> None:
    """Not even by link: what is in it might be what is blocked."""
    given = rules(text={Detail.CARD: Measure.BLOCK})
    for seen in (found(UNREAD, "file"), failed("disclosure", "X")):
        ruling = ruled(given, seen)
        assert ruling.routes[0].route is Route.HOLD
        assert all(Choice.PORTAL not in one.choices for one in ruling.questions)
    blind = ruled(rules(subject={Detail.NHS: Measure.BLOCK}), failed("disclosure", "X"), reach=Reach.REGISTER)
    assert blind.routes[0].route is Route.HOLD


def test_without_rules_of_its_own_an_organisation_gets_the_services() -> None:
    default = ServiceRules()
    given = in_force(Chosen(), default)
    assert {given.text[one] for one in Detail} == {Measure.ENCRYPT}
    assert {*given.subject.values()} == {Measure.ADVISE}
    assert rule_findings([found("passport"), found("nhs-number", "subject")], given) == []
    blind = rule_outbound(
        DECKS,
        [Destination(address=EmailAddress.parse("a@b.example"), reach=Reach.REGISTER)],
        [failed("disclosure", "X"), *rule_findings([failed("disclosure", "X")], given)],
    )
    assert (blind.routes[0].route, blind.routes[0].least) == (Route.RELAY, LeastTls.VERIFIED)
    assert [one.card for one in blind.questions] == [NOT_KNOWN]


@pytest.mark.parametrize(
    "chosen",
    [
        Chosen(text={Detail.PASSPORT: Measure.REASON}),
        Chosen(visible_outsiders=6),
        Chosen(visible_outsiders=0),
        Chosen(portal_level="L0"),
        Chosen(subject={Detail.BULK: Measure.BLOCK}),
        Chosen(guidance="x" * 4001),
    ],
)
def test_what_is_laxer_than_the_service_or_no_rule_at_all_is_refused(chosen: Chosen) -> None:
    with pytest.raises(Malformed):
        insist(chosen, ServiceRules())


def test_when_the_service_becomes_stricter_what_was_chosen_before_is_levelled_up() -> None:
    chosen = Chosen(text={Detail.PASSPORT: Measure.REASON}, visible_outsiders=5, portal_level="L1")
    insist(chosen, MILD)
    given = in_force(chosen, ServiceRules(personal=Measure.BLOCK, visible_outsiders=2, portal_level="L2"))
    assert (given.text[Detail.PASSPORT], given.visible_outsiders, given.portal_level) == (Measure.BLOCK, 2, "L2")


def test_a_difference_names_each_line_that_is_other_than_it_was() -> None:
    before, after = rules(), rules(text={Detail.CARD: Measure.BLOCK}, visible_private=2, guidance="Ring first.")
    assert [(one.what.split(",")[0], one.was, one.becomes) for one in changes(before, after)] == [
        ("a payment card number", "advise", "block"),
        ("Private mailboxes in one header before each gets a message of its own", "5", "2"),
        ("Guidance about secure links", "none", "Ring first."),
    ]


def test_rules_are_named_at_the_command_line_as_they_are_shown() -> None:
    chosen = from_words(Chosen(guidance="Ring."), ["text.passport=block", "visible_private=2", "guidance=service"])
    assert chosen == Chosen(text={Detail.PASSPORT: Measure.BLOCK}, visible_private=2)
    assert from_words(chosen, ["text.passport=service", "portal_level=L2"]) == Chosen(
        visible_private=2, portal_level="L2"
    )
    for wrong in ("passport", "text.nose=block", "text.passport=perhaps", "colour=blue", "visible_private=many"):
        with pytest.raises(Malformed):
            from_words(Chosen(), [wrong])
