"""The routing decision, as a table. R105, R107."""

import itertools

import pytest

from carepost.delivery.model import LeastTls, stronger
from carepost.delivery.tls_policy import DaneState, Instead, StsState, least_for_host, least_tls

OPPORTUNISTIC, ENCRYPTED, VERIFIED, DANE = LeastTls
PORTAL, WAIT = Instead
D, S = DaneState, StsState

TABLE = [
    # listed, dane,        sts,        sensitive, require, exception -> what
    (True, D.NONE, S.NONE, False, False, False, VERIFIED),
    (True, D.NONE, S.NONE, True, False, False, VERIFIED),
    (True, D.NONE, S.TROUBLE, True, False, False, VERIFIED),
    (True, D.UNUSABLE, S.NONE, True, False, False, VERIFIED),
    (True, D.USABLE, S.NONE, True, False, False, DANE),
    (True, D.USABLE, S.ENFORCE, False, False, False, DANE),
    (True, D.TROUBLE, S.ENFORCE, False, False, False, WAIT),
    (True, D.TROUBLE, S.NONE, True, False, False, WAIT),
    (True, D.NONE, S.NONE, False, False, True, OPPORTUNISTIC),
    (True, D.NONE, S.ENFORCE, False, False, True, VERIFIED),
    (True, D.NONE, S.NONE, True, False, True, PORTAL),
    (False, D.NONE, S.NONE, False, False, False, OPPORTUNISTIC),
    (False, D.NONE, S.TESTING, False, False, False, OPPORTUNISTIC),
    (False, D.NONE, S.TROUBLE, False, False, False, OPPORTUNISTIC),
    (False, D.NONE, S.ENFORCE, False, False, False, VERIFIED),
    (False, D.UNUSABLE, S.NONE, False, False, False, ENCRYPTED),
    (False, D.UNUSABLE, S.ENFORCE, False, False, False, VERIFIED),
    (False, D.USABLE, S.NONE, False, False, False, DANE),
    (False, D.TROUBLE, S.NONE, False, False, False, WAIT),
    (False, D.USABLE, S.ENFORCE, True, False, False, PORTAL),
    (False, D.NONE, S.NONE, True, False, False, PORTAL),
    (False, D.TROUBLE, S.NONE, True, True, False, PORTAL),
    (False, D.NONE, S.NONE, False, True, False, VERIFIED),
    (False, D.USABLE, S.NONE, False, True, False, DANE),
    (None, D.USABLE, S.ENFORCE, False, False, False, WAIT),
    (None, D.NONE, S.NONE, True, False, False, WAIT),
]


@pytest.mark.parametrize(("listed", "dane", "sts", "sensitive", "require_tls", "exception", "what"), TABLE)
def test_the_decision(
    listed: bool | None,
    dane: DaneState,
    sts: StsState,
    sensitive: bool,
    require_tls: bool,
    exception: bool,
    what: LeastTls | Instead,
) -> None:
    answer = least_tls(
        listed=listed, dane=dane, sts=sts, sensitive=sensitive, require_tls=require_tls, exception=exception
    )
    assert answer is what


def test_whatever_the_facts_sensitive_mail_leaves_over_verified_tls_to_the_register_or_not_at_all() -> None:
    for listed, dane, sts, require, exception in itertools.product(
        (True, False, None), DaneState, StsState, (True, False), (True, False)
    ):
        answer = least_tls(listed=listed, dane=dane, sts=sts, sensitive=True, require_tls=require, exception=exception)
        if isinstance(answer, LeastTls):
            assert listed is True
            assert answer in (VERIFIED, DANE)


def test_no_fact_in_trouble_makes_the_hop_weaker() -> None:
    for listed, sts, sensitive, require in itertools.product((True, False), StsState, (True, False), (True, False)):
        answer = least_tls(listed=listed, dane=D.TROUBLE, sts=sts, sensitive=sensitive, require_tls=require)
        assert isinstance(answer, Instead)


HOSTS = [
    # asked, dane, sts, named -> what
    (OPPORTUNISTIC, D.NONE, S.NONE, False, OPPORTUNISTIC),
    (OPPORTUNISTIC, D.UNUSABLE, S.NONE, False, ENCRYPTED),
    (OPPORTUNISTIC, D.USABLE, S.NONE, False, DANE),
    (OPPORTUNISTIC, D.USABLE, S.ENFORCE, False, DANE),
    (OPPORTUNISTIC, D.TROUBLE, S.NONE, False, None),
    (OPPORTUNISTIC, D.NONE, S.TESTING, False, OPPORTUNISTIC),
    (OPPORTUNISTIC, D.NONE, S.ENFORCE, False, None),
    (OPPORTUNISTIC, D.NONE, S.ENFORCE, True, VERIFIED),
    (OPPORTUNISTIC, D.NONE, S.TROUBLE, False, OPPORTUNISTIC),
    (ENCRYPTED, D.NONE, S.NONE, False, ENCRYPTED),
    (VERIFIED, D.NONE, S.NONE, False, VERIFIED),
    (VERIFIED, D.UNUSABLE, S.NONE, False, VERIFIED),
    (VERIFIED, D.UNUSABLE, S.ENFORCE, False, None),
    (VERIFIED, D.USABLE, S.NONE, False, DANE),
    (VERIFIED, D.NONE, S.ENFORCE, False, None),
    (DANE, D.NONE, S.ENFORCE, True, None),
    (DANE, D.UNUSABLE, S.NONE, False, None),
    (DANE, D.USABLE, S.NONE, False, DANE),
]


@pytest.mark.parametrize(("asked", "dane", "sts", "named", "what"), HOSTS)
def test_each_mail_host(asked: LeastTls, dane: DaneState, sts: StsState, named: bool, what: LeastTls | None) -> None:
    assert least_for_host(asked, dane=dane, sts=sts, sts_names_host=named) is what


def test_a_host_never_gets_less_than_was_asked() -> None:
    for asked, dane, sts, named in itertools.product(LeastTls, DaneState, StsState, (True, False)):
        answer = least_for_host(asked, dane=dane, sts=sts, sts_names_host=named)
        assert answer is None or stronger(answer, asked) is answer
