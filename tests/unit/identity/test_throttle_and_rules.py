"""The throttle, the journey, the rules for passwords, tokens and codes: as values."""

from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carepost.base.errors import NotAllowed
from carepost.base.ids import OrganisationId
from carepost.identity import tokens
from carepost.identity.factors import code_at, matching_step, offer
from carepost.identity.model import Attempt, Outcome, Throttled
from carepost.identity.password_rules import PasswordPolicy, PasswordRefused, judge, normalise
from carepost.identity.signin import NEXT, Happened, State, follow
from carepost.identity.throttle import Go, ThrottlePolicy, Wait, leaked
from carepost.identity.throttle import judge as judge_try

START = datetime(2026, 11, 22, 9, tzinfo=UTC)
POLICY = ThrottlePolicy()
PHONE, LAPTOP = b"phone", b"laptop"


def tries(
    *seconds: float, device: bytes | None = None, mark: bytes | None = None, outcome: Outcome = Outcome.WRONG_PASSWORD
) -> list[Attempt]:
    return [
        Attempt(at=START + timedelta(seconds=s), outcome=outcome, device=device, password_mark=mark) for s in seconds
    ]


def verdict(attempts: list[Attempt], *, at: float, device: bytes | None = None) -> Go | Wait:
    ordered = sorted(attempts, key=lambda attempt: attempt.at)
    return judge_try(ordered, device=device, now=START + timedelta(seconds=at), policy=POLICY)


def test_the_first_mistakes_cost_nothing_and_later_ones_a_doubling_wait() -> None:
    assert verdict(tries(0, 1, 2, 3), at=3) == Go()
    waits = []
    for number in range(5, 10):
        result = verdict(tries(*range(number)), at=number - 1)
        assert isinstance(result, Wait)
        waits.append((result.until - START).total_seconds() - (number - 1))
    assert waits == [1, 2, 4, 8, 16]


def test_ten_failures_in_the_window_lock_and_the_lock_lets_go_by_itself() -> None:
    ten = tries(*range(0, 600, 60))
    locked = verdict(ten, at=541)
    assert isinstance(locked, Wait)
    assert locked.locked
    assert locked.until == START + timedelta(seconds=540) + POLICY.lock
    assert verdict(ten, at=540 + 30 * 60) == Go()


def test_ten_failures_spread_over_a_day_lock_nobody() -> None:
    assert verdict(tries(*range(0, 40_000, 4_000)), at=40_000) == Go()


def test_success_and_the_desk_wipe_the_slate_of_the_bucket_they_belong_to() -> None:
    ten = tries(*range(10))
    assert verdict([*ten, *tries(10, outcome=Outcome.ACCEPTED)], at=11) == Go()
    assert verdict([*ten, *tries(10, outcome=Outcome.UNLOCKED)], at=11) == Go()
    assert isinstance(verdict([*ten, *tries(10, device=PHONE, outcome=Outcome.ACCEPTED)], at=11), Wait)


def test_what_was_not_looked_at_does_not_count() -> None:
    assert (
        verdict([*tries(*range(100), outcome=Outcome.THROTTLED), *tries(*range(100), outcome=Outcome.LOCKED)], at=101)
        == Go()
    )


def test_strangers_never_count_against_a_known_device_nor_one_device_against_another() -> None:
    attempts = [*tries(*range(50)), *tries(*range(50, 90), device=LAPTOP)]
    assert verdict(attempts, at=91, device=PHONE) == Go()
    assert isinstance(verdict(attempts, at=91, device=LAPTOP), Wait)


def test_one_stale_password_on_a_known_device_is_one_failure() -> None:
    stale = tries(*range(1000), device=PHONE, mark=b"\x01\x02")
    assert verdict(stale, at=1001, device=PHONE) == Go()
    guesses = [attempt for n in range(12) for attempt in tries(n, device=PHONE, mark=bytes([n, 0]))]
    assert isinstance(verdict(guesses, at=13, device=PHONE), Wait)


@given(st.lists(st.floats(0, 7200), max_size=60))
def test_strangers_are_looked_at_at_most_ten_times_in_any_window(arrivals: list[float]) -> None:
    looked_at: list[Attempt] = []
    for at in sorted(arrivals):
        if verdict(looked_at, at=at) == Go():
            looked_at += tries(at)
    times = [(attempt.at - START).total_seconds() for attempt in looked_at]
    for start in times:
        assert len([t for t in times if start <= t < start + POLICY.window.total_seconds()]) <= POLICY.failures_max


def test_an_attacker_without_pause_gets_few_guesses_a_day() -> None:
    looked_at: list[Attempt] = []
    for second in range(0, 24 * 3600, 5):
        recent = [a for a in looked_at if a.at > START + timedelta(seconds=second) - POLICY.looks_back]
        if verdict(recent, at=second) == Go():
            looked_at += tries(second)
    assert len(looked_at) < 480


def test_the_failures_of_a_network_leak_away() -> None:
    assert leaked(200, since=timedelta(0), policy=POLICY) == 200
    assert leaked(200, since=timedelta(minutes=30), policy=POLICY) == 100
    assert leaked(200, since=timedelta(hours=2), policy=POLICY) == 0


def test_a_lock_is_told_in_minutes_and_a_wait_in_seconds() -> None:
    assert Throttled(30, locked=False).says == "Too many attempts. Please wait 30 seconds and try again."
    assert "1 more minute." in Throttled(30, locked=True).says
    assert "service desk" in Throttled(1800, locked=True).says


# --- the journey ----------------------------------------------------------------------------------------------------


def test_every_way_in_leads_through_a_code() -> None:
    ways = [
        (state, happened) for state, row in NEXT.items() for happened, after in row.items() if after is State.SIGNED_IN
    ]
    assert {happened for _, happened in ways} == {Happened.CODE_RIGHT}
    assert State.STRANGER not in {state for state, _ in ways}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("happened", Happened)
def test_a_step_that_the_table_does_not_have_is_refused(state: State, happened: Happened) -> None:
    if happened in NEXT[state]:
        assert follow(state, happened) is NEXT[state][happened]
    else:
        with pytest.raises(NotAllowed):
            follow(state, happened)


# --- passwords ------------------------------------------------------------------------------------------------------

NAMES = ("Amina", "Okafor", "amina.okafor", "Riverside Practice", "A81001")


def refused(password: str, *, policy: PasswordPolicy | None = None, is_administrator: bool = False) -> str | None:
    try:
        judge(password, names=NAMES, is_administrator=is_administrator, policy=policy or PasswordPolicy())
    except PasswordRefused as error:
        return error.public
    return None


@pytest.mark.parametrize(
    "password",
    [
        "copper-lantern-walks",
        "velvetharbourmoon",
        "purple7tractor",
        "xkQ9vtRw2z",
        "żółwbiegnieszybko",
        "🦊🐢🐙🦉🐝🦎🐿🦔🐇🦆",
        "mayflower-kettle",
    ],
)
def test_three_words_or_ten_chance_characters_will_do(password: str) -> None:
    assert refused(password) is None


@pytest.mark.parametrize(
    ("password", "because"),
    [
        ("short", "too short"),
        ("x" * 9, "too short"),
        ("ab" * 200, "too long"),
        ("three random words", "spaces"),
        ("tab\tbetween-words", "spaces"),
        ("bell\u0007between-words", "control"),
        ("aaaaaaaaaaaa", "too few characters"),
        ("abababababab", "too few characters"),
        ("amina-walks-home", "your name"),
        ("0kafor-walks-home", "your name"),
        ("ÓKAFOR-walks-home", "your name"),
        ("riverside-walks-home", "your name"),
        ("a81001-walks-home", "your name"),
        ("Password123!", "first that an attacker"),
        ("P@ssw0rd2026", "first that an attacker"),
        ("Welcome2026!!", "first that an attacker"),
        ("January2026!", "first that an attacker"),
        ("qwertyuiop", "first that an attacker"),
        ("1234567890", "first that an attacker"),
        ("0987654321", "first that an attacker"),
        ("letmeinletmein", "first that an attacker"),
        ("summersummer", "first that an attacker"),
        ("hospital12345", "first that an attacker"),
        ("1qaz2wsx3edc", "first that an attacker"),
        ("abcdefghij", "first that an attacker"),
        ("passwordadmin", "first that an attacker"),
        ("123qwerty123", "first that an attacker"),
        ("CorrectHorseBatteryStaple", "first that an attacker"),
    ],
)
def test_a_password_that_will_not_do_says_which_rule(password: str, because: str) -> None:
    said = refused(password)
    assert said is not None
    assert because in said


def test_administrators_need_a_longer_one() -> None:
    assert refused("purple7tractor") is None
    assert "15 characters" in (refused("purple7tractor", is_administrator=True) or "")


def test_a_site_may_allow_spaces() -> None:
    assert refused("three random words", policy=PasswordPolicy(spaces_allowed=True)) is None


@given(st.text(min_size=0, max_size=300))
def test_any_text_is_judged_the_same_in_every_form_and_breaks_nothing(text: str) -> None:
    assert refused(text) == refused(normalise(text))


# --- tokens and codes -----------------------------------------------------------------------------------------------


@given(st.integers(1, 2**40))
def test_a_token_says_where_to_look_and_nothing_else_opens_it(number: int) -> None:
    token, kept = tokens.mint(OrganisationId(number))
    assert tokens.read(token) == tokens.Presented(OrganisationId(number), kept)
    assert len(kept) == 32
    other = tokens.read(token + "x")
    assert other is not None
    assert other.hash != kept


@given(st.text(max_size=120))
def test_any_text_is_a_token_or_is_not(text: str) -> None:
    found = tokens.read(text)
    assert found is None or len(found.hash) == 32


SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def test_a_code_is_right_for_its_half_minute_and_the_ones_beside_it() -> None:
    code = code_at(SECRET, START)
    right = [s for s in range(-120, 121, 30) if matching_step(SECRET, code, now=START + timedelta(seconds=s), after=0)]
    assert right == [-30, 0, 30]


def test_a_code_is_not_right_again() -> None:
    step = matching_step(SECRET, code_at(SECRET, START), now=START, after=0)
    assert step is not None
    assert matching_step(SECRET, code_at(SECRET, START), now=START + timedelta(seconds=20), after=step) is None


def test_the_codes_are_those_of_the_standard() -> None:
    """RFC 6238 appendix B, the last six digits."""
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    for seconds, expected in [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")]:
        assert code_at(secret, datetime.fromtimestamp(seconds, UTC)) == expected


@pytest.mark.parametrize("code", ["", "12345", "1234567", "12345a", "\u0661\u0662\u0663\u0664\u0665\u0666", "-12345"])
def test_what_is_no_code_is_not_right(code: str) -> None:
    assert matching_step(SECRET, code, now=START, after=0) is None


def test_spaces_in_a_code_are_how_apps_show_it() -> None:
    code = code_at(SECRET, START)
    assert matching_step(SECRET, f" {code[:3]} {code[3:]} ", now=START, after=0)


def test_what_the_app_scans_names_us_and_the_address() -> None:
    made = offer(issuer="Carepost", address="amina.okafor@riverside.example")
    parsed = pyotp.parse_uri(made.uri)
    assert isinstance(parsed, pyotp.TOTP)
    assert (parsed.issuer, parsed.name, parsed.secret) == ("Carepost", "amina.okafor@riverside.example", made.secret)
