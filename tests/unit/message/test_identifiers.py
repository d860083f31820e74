"""Which numbers point at a person, and which only look like it. Cases a nurse can read: tests/cases/disclosure."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.clinical_mail import Clinic, with_check_digit
from tests.fakes.cpu_time import costs_less_than

from carepost.message.identifiers import Found, Identifier, Strength, Where, look_for_identifiers, look_through
from carepost.message.identifiers_money import is_card
from carepost.message.identifiers_nhs import is_valid
from carepost.message.identifiers_tables import look_in_table
from carepost.message.identifiers_words import readable

ONE, OTHER = "9990000018", "9990000026"


def kinds(text: str, where: Where = Where.TEXT, strength: Strength = Strength.STRONG) -> set[Identifier]:
    return {found.kind for found in look_for_identifiers(text, where=where) if found.strength is strength}


def test_the_check_digit_is_the_one_of_the_data_dictionary() -> None:
    assert is_valid("9434765919")  # the example that the NHS prints
    assert not is_valid("9434765918")
    assert not is_valid("9999999999")
    assert not is_valid("999000001")


def test_one_number_in_eleven_is_valid_by_chance() -> None:
    chance = random.Random(1)
    valid = sum(is_valid(f"{chance.randint(0, 9_999_999_999):010}") for _ in range(20_000))
    assert 1_600 < valid < 2_000


def test_a_number_alone_is_weak_and_a_word_beside_it_makes_it_strong() -> None:
    assert kinds(f"Order {ONE} sent", strength=Strength.WEAK) == {Identifier.NHS}
    assert kinds(f"Order {ONE} sent") == set()
    assert kinds(f"The patient {ONE} was sent") == {Identifier.NHS}


def test_a_word_is_near_up_to_sixty_characters_and_no_further() -> None:
    assert kinds("patient" + " " * 59 + ONE) == {Identifier.NHS}
    assert kinds("patient" + " x" * 50 + " " + ONE) == set()
    assert kinds(ONE + " " * 59 + "patient") == {Identifier.NHS}


def test_part_of_a_word_is_no_word() -> None:
    assert kinds(f"wardrobe {ONE} chicken emission") == set()


def test_two_numbers_vouch_for_each_other() -> None:
    assert kinds(f"{ONE}\n{OTHER}") == {Identifier.NHS}
    assert kinds(f"{ONE}\n{ONE}") == set()


def test_numbers_that_are_mostly_invalid_do_not_vouch_for_each_other() -> None:
    orders = "\n".join(str(4_500_000_000 + 7 * n) for n in range(200))
    assert sum(is_valid(line) for line in orders.splitlines()) >= 2
    assert kinds(orders) == set()


def test_a_number_known_from_the_text_is_strong_in_the_subject() -> None:
    subject, text = look_through([(Where.SUBJECT, f"about {ONE}"), (Where.TEXT, f"patient {ONE}")])
    assert subject == [Found(Identifier.NHS, 6, 16, Strength.STRONG)]
    assert [found.strength for found in text] == [Strength.STRONG]


def test_a_number_as_the_service_prints_it_is_meant_when_it_stands_in_a_subject() -> None:
    assert kinds("999 000 0018", Where.SUBJECT) == {Identifier.NHS}
    assert kinds("999_000_0018.pdf", Where.NAME) == {Identifier.NHS}
    assert kinds("999 000 0018", Where.TEXT) == set()


@pytest.mark.parametrize(
    "text",
    [
        "nhs ９９９０００００１８",
        "NHS No 999\u20110000018".replace("0000018", "000\u20110018"),
        "NHS No 999\u00a0000\u00a00018",
        "NHS No 9\u200b9\u00ad90000018",
        "NHS No 99 90 00 00 18",
        "NHS-Number:9990000018",
        "nhsno9990000018",
        "NHS number (verified):\t999 000 0018",
    ],
)
def test_a_number_is_found_however_it_is_written(text: str) -> None:
    assert kinds(text) == {Identifier.NHS}


@pytest.mark.parametrize(
    "text",
    [
        "Tel (patients) 999-000-0018",
        "fax 9990000018 for referrals",
        "+999 000 0018 patients",
        "1-999-000-0018 clinic",
        "https://clinic.example/a/9990000018",
        "9990000018@patient.example",
        "patient A9990000018B",
        "patient 9990000018.55",
        "patient 99900000181",
        "patient 0.9990000018",
    ],
)
def test_what_has_another_shape_is_no_health_number(text: str) -> None:
    assert not kinds(text) & {Identifier.NHS, Identifier.CHI, Identifier.HC}


def test_nothing_that_is_found_repeats_the_number() -> None:
    found = look_for_identifiers(f"NHS {ONE} NI AB 12 34 56 C", where=Where.TEXT)
    assert len(found) == 2
    assert ONE not in repr(found)
    assert "AB" not in repr(found)


def test_places_are_those_of_the_text_as_it_is_read() -> None:
    text = "NHS number \u200b999\u00a0000\u00a00018."
    (found,) = look_for_identifiers(text, where=Where.TEXT)
    assert readable(text)[found.start : found.end] == "999 000 0018"


def test_every_kind_is_found_in_a_sentence() -> None:
    clinic = Clinic(3)
    for _ in range(50):
        who = clinic.patient()
        assert Identifier.CHI in kinds(f"CHI {who.chi}")
        assert Identifier.HC in kinds(f"H&C number {who.hc}")
        assert Identifier.NI in kinds(f"NI number {who.ni}")
        assert Identifier.DRIVING in kinds(f"licence {who.driving}")
        assert Identifier.PASSPORT in kinds(f"passport {who.passport}")
        assert Identifier.CARD in kinds(f"card {who.card}")
        assert Identifier.PERSON in kinds(f"{who.name}, DOB {clinic.date(who.born)}, {who.postcode}")


def test_a_card_needs_an_issuer_its_length_and_its_last_digit() -> None:
    assert is_card("4111111111111111")
    assert not is_card("4111111111111112")
    assert not is_card("9111111111111111")
    assert not is_card("0000000000000000")
    assert is_card("378282246310005")


def test_a_machine_readable_passport_page_is_found() -> None:
    line = "P<GBREXAMPLE<<EDITH<ANNE" + "<" * 20
    assert kinds(line[:44]) == {Identifier.PASSPORT}


def test_a_date_of_birth_needs_a_name_and_a_postcode_beside_it() -> None:
    assert kinds("Edith Green, DOB 12/03/1951, LS1 4AP") == {Identifier.PERSON}
    assert kinds("Edith Green, DOB 12/03/1951") == {Identifier.BIRTH}
    assert kinds("dob 12/03/1951 ls1 4ap", strength=Strength.WEAK) == {Identifier.BIRTH}
    assert kinds("Edith Green, 12/03/1951, LS1 4AP") == set()


def test_a_table_of_ten_people_is_a_list_of_people() -> None:
    head = ("Name", "DOB", "Ward")
    rows = [(f"Green, {'ABCDEFGHIJ'[n]}", f"0{n + 1}/03/1951", "4") for n in range(9)]
    assert not look_in_table([head, *rows]).is_bulk
    assert look_in_table([head, *rows, ("Brown, Z", "11/03/1951", "4")]).is_bulk


def test_the_head_of_a_column_vouches_for_a_number_below_it() -> None:
    look = look_in_table([("Seen", "x", "y", "z", "NHS Number"), ("monday", "a" * 70, "b" * 70, "c", ONE)])
    assert dict(look.identifiers) == {Identifier.NHS: 1}
    assert look.people == 1


def test_a_spreadsheet_that_dropped_the_leading_zero_is_understood() -> None:
    number = next(one for one in (with_check_digit(f"010203{n:03}") for n in range(20)) if one)
    assert dict(look_in_table([("CHI Number",), (number.lstrip("0"),)]).identifiers) == {Identifier.CHI: 1}


def test_firms_orders_and_staff_are_no_list_of_people() -> None:
    firms = [("Name", "Address", "Postcode"), *(("Hill Pharmacy", "1 High Street", "LS1 4AP") for _ in range(20))]
    staff = [("Name", "Ext", "Email"), *(("Edith Green", "1234", "e@riverside.example") for _ in range(20))]
    orders = [("Order", "Item"), *((str(4_500_000_000 + 7 * n), "gloves") for n in range(300))]
    assert [look_in_table(table).people for table in (firms, staff)] == [0, 0]
    assert not look_in_table(orders).is_bulk


@given(st.text(max_size=400))
@settings(max_examples=150, deadline=None)
def test_no_text_breaks_the_finders(text: str) -> None:
    for where in Where:
        for found in look_for_identifiers(text, where=where):
            assert 0 <= found.start < found.end


@pytest.mark.parametrize(
    "text",
    [
        "9" * 100_000,
        "9 " * 50_000,
        "999 000 " * 12_500,
        "999-000-0018-" * 8_000,
        "NHS 9" * 20_000,
        "nhs number " + "1." * 50_000,
        "A" * 100_000,
        "AB 12 34 5" * 10_000,
        "P<GBR" + "<" * 100_000,
        "DOB " * 25_000,
        "DOB 1/1/51 " * 9_000,
        "born on the 1 of " * 6_000,
        "Mr A" * 25_000,
        "LS1 " * 25_000,
        "4111 1111 1111 " * 7_000,
        "GB29 NWBK 6016 " * 7_000,
        "swift code: " * 9_000,
        "sort code 20-00-00 account 1234567 " * 3_000,
        "electoral number " * 6_000,
        "\u200b9" * 50_000,
    ],
)
def test_a_hostile_text_costs_no_more_than_its_length(text: str) -> None:
    costs_less_than(2.5, lambda: look_for_identifiers(text, where=Where.TEXT))  # a tenth of it, on a machine at rest
