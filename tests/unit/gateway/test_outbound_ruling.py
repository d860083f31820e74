"""From findings and destinations to routes and questions: tables, without a database."""

import pytest

from carepost.base.address import EmailAddress
from carepost.delivery.model import LeastTls
from carepost.delivery.tls_policy import DaneState, Instead, StsState, least_tls
from carepost.gateway.deck import shipped_care, shipped_outbound
from carepost.gateway.examine import failed
from carepost.gateway.model import Finding
from carepost.gateway.out.decide import NOT_KNOWN, OutboundDecks, Ruling, Spread, rule_outbound
from carepost.gateway.out.facts import Destination, private_people
from carepost.gateway.out.outgoing import Answer, Chip, Choice, Route
from carepost.policy.outbound import Reach

DECKS = OutboundDecks(routes=shipped_outbound(), care=shipped_care())


def to(address: str, reach: Reach | None = Reach.OUTSIDE) -> Destination:
    return Destination(address=EmailAddress.parse(address), reach=reach)


def found(code: str, check: str = "recipients", **facts: str | int) -> Finding:
    return Finding(code=code, weight=2, says=f"{code} was seen.", check=check, facts=facts)


def ruled(
    *destinations: Destination, findings: list[Finding] | None = None, answers: tuple[Answer, ...] = ()
) -> Ruling:
    return rule_outbound(DECKS, destinations, findings or [], answers)


@pytest.mark.parametrize(
    ("reach", "route", "least", "chip"),
    [
        (Reach.INSIDE, Route.INSIDE, None, Chip.INSIDE),
        (Reach.REGISTER, Route.RELAY, LeastTls.VERIFIED, Chip.SECURE),
        (Reach.OUTSIDE, Route.RELAY, LeastTls.OPPORTUNISTIC, Chip.OUTSIDE),
        (Reach.NOBODY, Route.REFUSE, None, Chip.UNKNOWN),
        (Reach.CLOSED, Route.REFUSE, None, Chip.UNKNOWN),
        (None, Route.HOLD, None, Chip.UNKNOWN),
    ],
)
def test_an_ordinary_message_goes_by_where_its_reader_is(
    reach: Reach | None, route: Route, least: LeastTls | None, chip: Chip
) -> None:
    [one] = ruled(to("a@b.example", reach)).routes
    assert (one.route, one.least, one.chip) == (route, least, chip)


@pytest.mark.parametrize(
    "code", ["nhs-number", "chi-number", "bulk-people", "passport", "marked-sensitive", "asked-secure"]
)
def test_what_tells_about_people_goes_by_link_outside_and_as_always_elsewhere(code: str) -> None:
    findings = [found(code, "disclosure", where="text", count=1)]
    routes = ruled(
        to("a@b.example"), to("c@d.example", Reach.REGISTER), to("e@f.example", Reach.INSIDE), findings=findings
    ).routes
    assert [one.route for one in routes] == [Route.PORTAL, Route.RELAY, Route.INSIDE]
    assert routes[1].least is LeastTls.VERIFIED


def test_requiretls_is_never_less_than_verified() -> None:
    """RFC 8689."""
    [one] = rule_outbound(DECKS, [to("a@b.example")], [], require_tls=True).routes
    assert one.least is LeastTls.VERIFIED


def test_what_cannot_be_read_may_go_by_link_and_malware_that_could_not_be_looked_for_may_not() -> None:
    unread, unknown = ruled(to("a@b.example"), findings=[failed("disclosure", "X")]).questions
    assert unread.choices == (Choice.PORTAL, Choice.CONFIRM)
    assert (unknown.card, unknown.choices) == (NOT_KNOWN, (Choice.REASON,))
    questions = ruled(to("a@b.example"), findings=[failed("malware", "X")]).questions
    assert all(Choice.PORTAL not in one.choices for one in questions)
    silent = ruled(to("a@b.example"), findings=[found("scanner-unavailable", "malware")])
    assert [one.route for one in silent.routes] == [Route.HOLD]


def test_a_question_names_those_it_is_about_and_says_what_was_found() -> None:
    findings = [found("address-lookalike", recipient="A@b.example"), found("bcc-reply")]
    ruling = ruled(to("a@b.example"), to("c@d.example"), findings=findings)
    about = {one.card: one for one in ruling.questions}
    assert [str(who) for who in about["looks-like"].recipients] == ["a@b.example"]
    assert about["looks-like"].says == ("address-lookalike was seen.",)
    assert about["looks-like"].choices == (Choice.CONFIRM, Choice.LEAVE_OUT)
    assert len(about["hidden-copy"].recipients) == 2
    assert about["hidden-copy"].choices == (Choice.CONFIRM,)
    assert [one.chip for one in ruling.routes] == [Chip.LOOKALIKE, Chip.OUTSIDE]
    assert about["looks-like"].sentence.startswith("When the recipient's address looks like")


def test_one_message_each_settles_every_question_about_who_sees_whom() -> None:
    findings = [
        found("visible-patients", count=3),
        found("far-too-many-outsiders", count=60),
        found("many-domains", count=6),
    ]
    destinations = (to("a@b.example"), to("c@d.example"))
    asked = {one.card: one for one in ruled(*destinations, findings=findings).questions}
    assert set(asked) == {"patients-visible", "outsiders-crowd", "many-domains"}
    bcc = Answer("outsiders-crowd", Choice.BCC, asked["outsiders-crowd"].fingerprint)
    left = ruled(*destinations, findings=findings, answers=(bcc,))
    assert {one.card for one in left.questions} == {"patients-visible", "many-domains"}
    each = Answer("patients-visible", Choice.INDIVIDUALLY, asked["patients-visible"].fingerprint)
    done = ruled(*destinations, findings=findings, answers=(each,))
    assert (done.questions, done.spread) == ((), Spread.EACH)


def test_an_answer_is_for_these_recipients_and_these_findings_only() -> None:
    one = ruled(to("a@b.example"), findings=[found("first-time", recipient="a@b.example")]).questions[0]
    other = ruled(to("x@b.example"), findings=[found("first-time", recipient="x@b.example")]).questions[0]
    assert one.fingerprint != other.fingerprint
    answer = Answer("first-time", Choice.CONFIRM, one.fingerprint)
    assert other.is_answered_by([answer]) is None
    assert one.is_answered_by([answer]) is answer
    assert one.is_answered_by([Answer("first-time", Choice.PORTAL, one.fingerprint)]) is None, "not what was offered"


def test_leaving_everybody_out_leaves_nobody_to_send_to() -> None:
    findings = [found("first-time", recipient="a@b.example"), found("leaver", recipient="c@d.example")]
    destinations = (to("a@b.example"), to("c@d.example"))
    asked = ruled(*destinations, findings=findings).questions
    answers = tuple(Answer(one.card, Choice.LEAVE_OUT, one.fingerprint) for one in asked)
    assert ruled(*destinations, findings=findings, answers=answers).refusals == ("There is nobody left to send it to.",)


def test_private_mailboxes_in_one_header_are_people() -> None:
    free = frozenset({EmailAddress.parse("a@gmail.example").domain})
    people = [EmailAddress.parse(f"p{number}@gmail.example") for number in range(6)]
    assert private_people([one.key for one in people[:5]], free, most=5) is None
    finding = private_people([one.key for one in people], free, most=5)
    assert finding is not None
    assert finding.code == "private-people-visible"
    [question] = ruled(*(Destination(address=one, reach=Reach.OUTSIDE) for one in people), findings=[finding]).questions
    assert question.choices == (Choice.INDIVIDUALLY,)


@pytest.mark.parametrize("reach", [Reach.REGISTER, Reach.OUTSIDE])
@pytest.mark.parametrize("exception", [False, True])
@pytest.mark.parametrize("require_tls", [False, True])
@pytest.mark.parametrize("code", [None, "nhs-number", "marked-sensitive", "asked-secure"])
def test_the_walk_asks_the_table_of_tls(reach: Reach, exception: bool, require_tls: bool, code: str | None) -> None:
    """ADR-0018: one table, whatever the facts. What the hosts prove is asked when it leaves."""
    one = Destination(address=EmailAddress.parse("a@b.example"), reach=reach, tls_exception=exception)
    findings = [found(code, "disclosure", where="text", count=1)] if code else []
    [ruled_] = rule_outbound(DECKS, [one], findings, require_tls=require_tls).routes
    expected = least_tls(
        listed=reach is Reach.REGISTER,
        dane=DaneState.NONE,
        sts=StsState.NONE,
        sensitive=code is not None,
        require_tls=require_tls,
        exception=exception,
    )
    if expected is Instead.PORTAL:
        assert (ruled_.route, ruled_.least) == (Route.PORTAL, None)
    else:
        assert (ruled_.route, ruled_.least) == (Route.RELAY, expected)


def test_somebodys_numbers_go_by_link_where_an_exception_would_let_them_go_unprotected() -> None:
    seen = [found("passport", "disclosure", where="text", count=1)]
    for agreed, exception, route in (
        (False, True, Route.PORTAL),
        (False, False, Route.RELAY),
        (True, True, Route.RELAY),
    ):
        one = Destination(
            address=EmailAddress.parse("a@b.example"),
            reach=Reach.REGISTER,
            agreed_to_plain=agreed,
            tls_exception=exception,
        )
        assert rule_outbound(DECKS, [one], seen).routes[0].route is route
    [told] = rule_outbound(
        DECKS, [Destination(address=EmailAddress.parse("a@b.example"), reach=Reach.REGISTER, tls_exception=True)], seen
    ).routes
    assert "goes by a secure link" in told.says
