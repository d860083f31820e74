"""Where a signature and a template's words stand in what somebody writes."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from carepost.base.errors import Malformed
from carepost.directory.wording_model import Filling, Wording, WordingKind, WordingPolicy, checked, filled, signature
from carepost.message.addresses import Address
from carepost.message.parse import parse
from carepost.web.writing.draft import AnswersTo, Writing, draft_of, reply_to, without_signature, writing_of
from carepost.web.writing.signing import known_again, signed, signed_anew, with_template

ADA = "Dr Ada Okafor\nGP\nRiverside"
TEAM = "Results team\nRiverside, 0300 555 0100"
QUOTED = "\n\nOn Monday, Sam wrote:\n> Are you free?\n> Sam\n"
AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
FILLING = Filling(
    name="Dr Ada Okafor", role="GP", practice="Riverside", address="ada@r.example", today="23 November 2026"
)


def test_a_new_message_ends_with_its_signature_and_an_answer_has_it_above_what_is_quoted() -> None:
    assert signed(Writing(), ADA).text == f"\n\n-- \n{ADA}\n"
    assert signed(Writing(text=QUOTED), ADA).text == f"\n\n-- \n{ADA}\n\n{QUOTED.lstrip()}"
    assert signed(Writing(text=QUOTED), "").text == QUOTED


def test_another_mailbox_changes_the_signature_and_nothing_else() -> None:
    begun = signed(Writing(text=QUOTED), ADA)
    written = replace(begun, text="Yes, at nine.\n" + begun.text)
    changed = signed_anew(written, TEAM)
    assert changed.text == written.text.replace(ADA, TEAM)
    assert changed.signature == TEAM
    assert signed_anew(changed, ADA) == written, "and back again"
    assert ADA not in signed_anew(written, "").text


def test_a_signature_that_was_altered_by_hand_is_left_alone_and_none_is_added() -> None:
    written = replace(signed(Writing(), ADA), text="Hello\n\n-- \nAda, out of the office on Friday\n")
    assert signed_anew(written, TEAM) == written


def test_a_signature_is_known_again_after_the_draft_was_saved_and_opened() -> None:
    begun = signed(Writing(to="sam@r.example", subject="Rota"), ADA)
    raw = draft_of(begun, sender=Address("Ada", "ada@r.example"), at=AT, message_id="1@r.example")
    opened = writing_of(parse(raw))
    assert opened.signature == ADA
    assert TEAM in signed_anew(opened, TEAM).text
    assert ADA not in signed_anew(opened, TEAM).text


def test_a_message_taken_back_gets_no_second_signature() -> None:
    back = Writing(text=f"Hello\n\n-- \n{ADA}\n")
    assert known_again(back, TEAM).signature == ""
    changed = signed_anew(known_again(back, ADA), TEAM)
    assert changed.text == f"Hello\n\n-- \n{TEAM}\n"


def test_an_answer_quotes_no_signature_and_keeps_what_was_quoted_below_it() -> None:
    text = "Are you free?\n\n-- \nSam\nLab, 0300 555 0101\n\nOn Sunday, Ada wrote:\n> Hello Sam"
    assert without_signature(text) == "Are you free?\n\nOn Sunday, Ada wrote:\n> Hello Sam"
    assert without_signature("Short.\n--\nSam") == "Short."
    long = "One\n-- \n" + "\n".join(f"line {n}" for n in range(40))
    assert without_signature(long) == long, "somebody wrote on below it"
    original = parse(b"From: Sam <sam@r.example>\r\nSubject: Rota\r\n\r\nAre you free?\r\n\r\n-- \r\nSam\r\n")
    answer = reply_to(
        original,
        ours="ada@r.example",
        folder=1,
        uid=2,
        everybody=False,
        when="Monday",
        sender=Address("Sam", "s@r.example"),
    )
    assert "> Are you free?" in answer.text
    assert "> Sam" not in answer.text


def test_a_template_goes_below_what_was_written_and_above_signature_and_quotation() -> None:
    begun = signed(Writing(text=QUOTED), ADA)
    written = replace(begun, text="Dear Sam," + begun.text)
    with_words = with_template(written, "We are closed on Monday.")
    assert with_words.text.startswith("Dear Sam,\n\nWe are closed on Monday.\n\n-- \nDr Ada")
    assert with_words.text.endswith("> Are you free?\n> Sam\n")
    assert with_template(Writing(text="\n\n"), "Words").text == "Words\n"


def test_laid_out_text_gets_signature_and_template_in_the_same_places() -> None:
    html = "<div><b>Hello</b><br></div><div><br></div><div>--&nbsp;<br></div><div>Dr Ada Okafor</div><div>GP</div><div>Riverside</div>"
    written = Writing(text=f"Hello\n\n--\n{ADA}\n", html=html, signature=ADA)
    changed = signed_anew(written, TEAM)
    assert "<b>Hello</b>" in changed.html
    assert "Results team" in changed.html
    assert "Okafor" not in changed.html
    assert "Okafor" not in changed.text
    put = with_template(written, "Bring <this> & that")
    assert put.html.index("Bring &lt;this&gt; &amp; that") < put.html.index("Okafor")


def test_a_layout_in_which_the_signature_cannot_be_found_gives_way_to_the_text() -> None:
    written = Writing(text=f"Hello\n\n-- \n{ADA}\n", html="<div>Hello</div>", signature=ADA)
    changed = signed_anew(written, TEAM)
    assert changed.html == ""
    assert TEAM in changed.text


def wording(text: str, *, allows_own: bool = True) -> Wording:
    return Wording(
        id=1, kind=WordingKind.SIGNATURE, mailbox=None, name="", text=text, allows_own=allows_own, version=1,
        changed_by=None, changed_at=AT,
    )  # fmt: skip


def test_the_organisations_signature_holds_the_own_lines_where_it_says_and_only_if_it_allows_them() -> None:
    general = "{name}\n{role}\n{own}\n{practice}, 0300 555 0100"
    assert signature(wording(general), wording("Mondays only"), FILLING).splitlines() == [
        "Dr Ada Okafor", "GP", "Mondays only", "Riverside, 0300 555 0100",
    ]  # fmt: skip
    assert "Mondays" not in signature(wording(general, allows_own=False), wording("Mondays only"), FILLING)
    assert signature(wording("{practice}"), wording("Mondays only"), FILLING) == "Riverside\nMondays only"
    assert signature(None, wording("{name}, own"), FILLING) == "Dr Ada Okafor, own"
    assert signature(None, None, FILLING) == ""


def test_a_line_of_empty_blanks_is_left_out() -> None:
    team = replace(FILLING, role="")
    assert (
        filled("{name}\n{role}\nAsk {practice} on {today}", team) == "Dr Ada Okafor\nAsk Riverside on 23 November 2026"
    )


@pytest.mark.parametrize(
    ("kind", "name", "text", "says"),
    [
        (WordingKind.TEMPLATE, "", "Words", "name"),
        (WordingKind.TEMPLATE, "A", " \n ", "no words"),
        (WordingKind.TEMPLATE, "A", "Dear {patient}", "{patient}"),
        (WordingKind.TEMPLATE, "A", "{own}", "{own}"),
        (WordingKind.SIGNATURE, "", "\n".join("abc"[n % 3] for n in range(21)), "20 lines"),
        (WordingKind.SIGNATURE, "", "x" * 1501, "too long"),
    ],
)
def test_what_cannot_be_kept_is_told_with_what_to_mend(kind: WordingKind, name: str, text: str, says: str) -> None:
    with pytest.raises(Malformed, match=says.replace("{", r"\{").replace("}", r"\}")):
        checked(kind, name, text, whose="mailbox", policy=WordingPolicy())


def test_a_draft_that_is_opened_again_is_what_was_typed() -> None:
    kept = Writing(
        to="sam at riverside, ada@r.example",
        subject="Rota",
        text="Hello\n",
        secure=True,
        send_at="2026-11-24T08:30",
        reply_all=True,
        answers_to=AnswersTo(3, 4, was_bcc=True),
        in_reply_to="<1@x.example>",
        references=("<0@x.example>",),
        signature=ADA,
    )
    raw = draft_of(kept, sender=Address("Ada", "ada@r.example"), at=AT, message_id="1@r.example")
    opened = writing_of(parse(raw))
    assert replace(opened, message_id="", text=opened.text.strip() + "\n") == kept
