"""What the second reader is spared, and what it is given: the quick look agrees with the slow one."""

import pytest

from carepost.message.second_reading import is_bearable


@pytest.mark.parametrize("marks", [0, 1, 199, 200, 201, 5_000])
def test_question_marks_that_are_no_encoded_words_are_bearable(marks: int) -> None:
    assert is_bearable(b"?" * marks + b"x" * 3_000_000)


@pytest.mark.parametrize("marks", [1, 150, 166])
def test_few_encoded_words_in_a_large_message_are_bearable(marks: int) -> None:
    assert is_bearable(b"=?" * marks + b"x" * 3_000_000)


def test_many_encoded_words_in_one_large_field_are_not_bearable() -> None:
    assert not is_bearable(b"Subject: " + b"=?" * 201 + b"x" * 3_000_000)
    assert not is_bearable(b"?" * 300 + b"=?" * 30_000)


def test_nothing_is_bearable() -> None:
    assert is_bearable(b"")
