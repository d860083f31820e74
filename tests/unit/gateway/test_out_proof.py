"""What a sender asks of the reader of a secure link: whether anybody could prove it."""

from datetime import date

import pytest

from carepost.base.address import EmailAddress
from carepost.base.errors import Malformed
from carepost.base.ids import MailboxId, OrganisationId, PersonId
from carepost.gateway.out.outgoing import Chip, OutDoor, Route, RouteFor, Submission
from carepost.gateway.out.proof import level_of, telephone_number, unproved
from carepost.policy.actions import Action, Decision
from carepost.portal.model import Agreed, Level

TODAY = date(2026, 11, 22)


def submission(**chosen: object) -> Submission:
    return Submission(
        organisation=OrganisationId(1),
        person=PersonId(1),
        mailbox=MailboxId(1),
        reverse_path=None,
        recipients=(),
        raw=b"",
        door=OutDoor.WEB,
        **chosen,  # type: ignore[arg-type]
    )


def links(number: int) -> list[RouteFor]:
    return [
        RouteFor(
            address=EmailAddress.parse(f"p{n}@gmail.example"),
            route=Route.PORTAL,
            chip=Chip.OUTSIDE,
            decision=Decision(action=Action.PORTAL, card=None, version=None),
            says="",
        )
        for n in range(number)
    ]


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("07700 900123", "+447700900123"),
        ("+44 (0)7700 900-123", "+447700900123"),
        ("0044 7700 900123", "+447700900123"),
        ("+353 85 012 3456", "+353850123456"),
    ],
)
def test_a_mobile_number_is_kept_as_a_provider_takes_it(typed: str, number: str) -> None:
    assert telephone_number(typed) == number


@pytest.mark.parametrize(
    "typed", ["", "7700 900123", "07700", "0770O 900123", "٠٧٧٠٠٩٠٠١٢٣", "07700 900123\r\nx", "+" + "1" * 16]
)
def test_what_is_no_telephone_is_refused(typed: str) -> None:
    with pytest.raises(Malformed):
        telephone_number(typed)


def test_the_level_is_what_the_sender_chose() -> None:
    assert level_of(submission()) is Level.MAILBOX
    assert level_of(submission(passphrase="copper lantern")) is Level.AGREED
    assert level_of(submission(telephone="07700 900123")) is Level.STRONG


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ({"passphrase": "copper lantern"}, ""),
        ({"passphrase": "abc"}, "too short"),
        ({"passphrase": "7/3/1958", "agreed": Agreed.BIRTH}, ""),
        ({"passphrase": "31 2 1958", "agreed": Agreed.BIRTH}, "not a date of birth"),
        ({"passphrase": "7/3/2058", "agreed": Agreed.BIRTH}, "not a date of birth"),
        ({"passphrase": "March 1958", "agreed": Agreed.BIRTH}, "not a date of birth"),
        ({"telephone": "07700 900123"}, ""),
        ({"telephone": "12"}, "not a mobile number"),
    ],
)
def test_a_proof_that_nobody_could_give_is_told_before_anything_leaves(chosen: dict[str, object], says: str) -> None:
    wrong = unproved(submission(**chosen), links(1), texts=True, today=TODAY)
    assert (says in " ".join(wrong)) if says else not wrong


def test_what_is_one_persons_is_never_asked_of_several_and_a_phrase_may_be() -> None:
    born = submission(passphrase="07031958", agreed=Agreed.BIRTH)
    assert "2 people would get" in unproved(born, links(2), texts=True, today=TODAY)[0]
    assert "2 people" in unproved(submission(telephone="07700900123"), links(2), texts=True, today=TODAY)[0]
    assert not unproved(submission(passphrase="copper lantern"), links(2), texts=True, today=TODAY)


def test_without_a_provider_no_code_is_promised_to_a_telephone() -> None:
    wrong = unproved(submission(telephone="07700900123"), links(1), texts=False, today=TODAY)
    assert "cannot send codes to telephones" in wrong[0]
