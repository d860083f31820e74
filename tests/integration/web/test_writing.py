"""Writing, checking, sending and what becomes of it, as a browser without scripts does it."""

import csv
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.fakes.asgi_browser import AsgiBrowser, Page
from tests.fakes.outbound_desk import draft_at, outgoing_row
from tests.fakes.web_world import WebPerson, WebWorld

from carepost.base.address import EmailAddress
from carepost.base.errors import TryLater
from carepost.base.ids import TraceId
from carepost.directory.correspondents_model import Source, Suggestion
from carepost.gateway.out.outgoing import (
    Choice,
    OutgoingRow,
    OutState,
    Question,
    Quoted,
    Recall,
    RecallReport,
    RecallResult,
    RecipientState,
    Route,
)
from carepost.message.parse import parse
from carepost.message.summary import summarise
from carepost.portal.model import (
    AccessRequest,
    AccessRequestId,
    Agreed,
    Happened,
    Level,
    RecipientRecord,
    SecureMessageId,
    State,
    What,
)
from carepost.store.model import SpecialUse
from carepost.store.objects import prepare_object, store_object
from carepost.store.sent import KnownObject, Target, lay_in_own

PORTER, SAM = "j.porter@gmail.example", "sam@riverside.example"


@pytest.fixture
async def ada(world: WebWorld) -> WebPerson:
    return await world.web_person(await world.organisation("A81001"), "Ada Okafor")


@pytest.fixture
async def browser(world: WebWorld, ada: WebPerson) -> AsgiBrowser:
    return world.browser(await world.session_of(ada))


def at(ada: WebPerson) -> str:
    return f"/write/{ada.mailbox.id}"


def fields(page: Page, **typed: str) -> dict[str, str]:
    """The form as it stands, with what is typed into it."""
    form = page.tree.css_first("#compose")
    found = {str(n.attributes.get("name")): n.attributes.get("value") or "" for n in form.css("input[type=hidden]")}
    for area in form.css("textarea"):
        found[str(area.attributes["name"])] = area.text().lstrip("\n")
    found["subject"] = form.css_first("#subject").attributes.get("value") or ""
    return found | typed


async def write(browser: AsgiBrowser, ada: WebPerson, deed: str = "send", **typed: str) -> Page:
    page = await browser.get(at(ada))
    given = {"to": SAM, "subject": "Rota", "text": "Thursday please."}
    return await browser.post_files(at(ada), fields(page, **(given | typed), do=deed))


async def drafts_of(world: WebWorld, ada: WebPerson) -> list[bytes]:
    folder = next(one for one in await world.folders.all(ada.mailbox) if one.special_use is SpecialUse.DRAFTS)
    outlines = await world.messages.outlines(ada.mailbox, folder.id)
    found = [await world.messages.body(ada.mailbox, folder.id, one.uid) for one in outlines]
    return [raw for raw in found if raw is not None]


async def test_a_message_is_handed_to_the_walk_whole_and_its_draft_goes(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    page = await write(browser, ada, to=f"Sam Mbeki <{SAM}>; {PORTER}", bcc="records@riverside.example")
    (sent,) = world.desk.submitted
    message = parse(sent.raw)
    assert [str(one.address) for one in sent.recipients] == [SAM, PORTER, "records@riverside.example"]
    assert (message.subject, sent.mailbox, sent.person) == ("Rota", ada.mailbox.id, ada.actor.person)
    assert b"Thursday please." in sent.raw
    assert b"X-Carepost" not in sent.raw, "what belongs to the draft stays with the draft"
    assert b"Bcc: records@riverside.example" in sent.raw, "the walk keeps it for Sent, and strips it"
    assert await drafts_of(world, ada) == []
    page = await browser.follow(page)
    assert "leaves in 10 seconds" in page.words(".said")
    assert page.tree.css_first(".said form").attributes["action"] == "/outgoing/1"


async def test_what_is_no_address_is_told_where_it_was_typed_and_nothing_is_lost(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    page = await write(browser, ada, to=f"{SAM}, sam at riverside", text="A long letter.")
    assert page.status == 400
    assert "This is not an email address: sam at riverside" in page.words("#to-wrong")
    assert "A long letter." in page.words("#text")
    assert world.desk.submitted == []
    (draft,) = await drafts_of(world, ada)
    assert b"A long letter." in draft


async def test_a_message_for_nobody_is_not_sent(world: WebWorld, browser: AsgiBrowser, ada: WebPerson) -> None:
    page = await write(browser, ada, to="")
    assert "Say whom the message is for." in page.words("#summary")
    assert world.desk.submitted == []


async def test_a_secure_link_is_shown_first_and_sent_at_the_second_press(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    world.desk.routes[PORTER] = Route.PORTAL
    page = await write(browser, ada, to=PORTER)
    assert world.desk.submitted == []
    assert "Check before you send" in page.words("#summary")
    assert "By secure link" in page.words("#how")
    again = await browser.post_files(at(ada), fields(page, phrase="copper lantern walks", do="send"))
    assert again.status == 303
    assert world.desk.submitted[0].passphrase == "copper lantern walks"


async def test_a_second_press_on_another_plan_shows_that_plan(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    world.desk.routes[PORTER] = Route.PORTAL
    page = await write(browser, ada, to=PORTER)
    world.desk.routes["other@gmail.example"] = Route.PORTAL
    again = await browser.post_files(at(ada), fields(page, to=f"{PORTER}, other@gmail.example", do="send"))
    assert again.status == 400
    assert world.desk.submitted == []
    assert "other@gmail.example" in again.words("#how")


def question() -> Question:
    return Question(
        card="subject-names-people",
        version="1",
        title="The subject names a patient",
        sentence="When the subject holds a number of a patient: ask the sender for a reason.",
        says=("An NHS number in the subject.",),
        choices=(Choice.REASON, Choice.PORTAL),
        recipients=(EmailAddress.parse(PORTER),),
        because="Subjects are not protected.",
    )


async def test_before_sending_a_recipient_can_be_asked_whether_this_is_them_and_the_draft_stays(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    world.desk.questions.append(replace(question(), card="first-time"))
    page = await write(browser, ada, to=PORTER, text="Your result is back.")
    button = page.tree.css_first("button[value^='ask-first:']")
    assert "is this you?" in button.text()
    stranger = await browser.post_files(at(ada), fields(page, do="ask-first:somebody@else.example"))
    assert stranger.status == 400
    asked = await browser.post_files(at(ada), fields(stranger, do=str(button.attributes["value"])))
    draft = await browser.follow(asked)
    assert world.desk.submitted == []
    assert world.desk.done == [("ask first", (PORTER, "Ada Okafor"))]
    assert "kept as a draft" in draft.text
    assert "Your result is back." in draft.tree.css_first("#text").text()
    assert len(await drafts_of(world, ada)) == 1


async def test_a_question_is_asked_with_the_cards_own_sentence_and_its_answer_goes_along(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    asked = question()
    world.desk.questions.append(asked)
    page = await write(browser, ada)
    assert asked.sentence in page.words(".question")
    mark = asked.fingerprint
    page = await browser.post_files(at(ada), fields(page, do="send"))
    assert page.status == 400
    without_reason = await browser.post_files(at(ada), fields(page, do="send", **{f"answer-{mark}": "reason"}))
    assert without_reason.status == 400
    assert without_reason.tree.css_first(f"#answer-{mark}-reason").attributes.get("checked", "no") != "no"
    page = without_reason
    said = {f"answer-{mark}": "reason", f"reason-{mark}": "The patient asked for it"}
    sent = await browser.post_files(at(ada), fields(page, do="send", **said))
    assert sent.status == 303
    (answer,) = world.desk.submitted[0].answers
    assert (answer.card, answer.choice, answer.reason) == (asked.card, Choice.REASON, "The patient asked for it")


async def test_a_refusal_is_told_in_its_own_words(world: WebWorld, browser: AsgiBrowser, ada: WebPerson) -> None:
    world.desk.refusals.append("That is more than 500 recipients.")
    page = await write(browser, ada)
    assert page.status == 400
    assert "That is more than 500 recipients." in page.words("#summary")


async def test_when_the_walk_cannot_answer_the_message_is_safe_among_the_drafts(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    world.desk.fails = TryLater("The service cannot do this just now.")
    page = await write(browser, ada)
    assert "safe among your drafts" in page.words("#summary")
    assert len(await drafts_of(world, ada)) == 1
    world.desk.fails = None
    assert (await browser.post_files(at(ada), fields(page, do="send"))).status == 303


async def test_files_are_kept_with_the_draft_taken_out_and_sent(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    page = await browser.get(at(ada))
    files = [("Letter.pdf", "application/pdf", b"%PDF-1.4 a"), ("räkning.txt", "text/plain", b"words")]
    page = await browser.post_files(at(ada), fields(page, to=SAM, subject="With files", do="attach"), files)
    assert "Letter.pdf" in page.words(".chosen-files")
    page = await browser.post_files(at(ada), fields(page, remove="0"))
    assert "Letter.pdf" not in page.words("#compose")
    await browser.post_files(at(ada), fields(page, do="send"), [("late.csv", "text/csv", b"a,b")])
    message = parse(world.desk.submitted[0].raw)
    names = [part.filename for _, part in message.leaves() if part.is_attachment()]
    assert names == ["räkning.txt", "late.csv"]


async def test_too_much_attached_is_told_and_not_sent(world: WebWorld, browser: AsgiBrowser, ada: WebPerson) -> None:
    page = await browser.get(at(ada))
    big = [("a.bin", "application/octet-stream", b"x" * 18_000_000), ("b.bin", "application/zip", b"y" * 18_000_000)]
    page = await browser.post_files(at(ada), fields(page, to=SAM, do="send"), big)
    assert "more than 35.0 MB" in page.words("#files-wrong")
    assert world.desk.submitted == []


async def test_a_form_larger_than_any_message_is_refused_unread(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    page = await browser.get(at(ada))
    refused = await browser.post_files(at(ada), fields(page, do="save"), headers={"content-length": "999999999"})
    assert refused.status == 400
    assert "too large" in refused.words()


async def test_a_draft_is_gone_on_with_and_two_windows_never_overwrite_each_other(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    first = await write(browser, ada, "save", text="first words")
    second = await browser.post_files(at(ada), fields(first, text="first window", do="save"))
    assert "kept as a draft of its own" not in second.words("#saved")
    other = await browser.post_files(at(ada), fields(first, text="second window", do="save"))
    assert "kept as a draft of its own" in other.words("#saved")
    assert sorted(b"first window" in raw for raw in await drafts_of(world, ada)) == [False, True]
    uid = fields(other)["draft"]
    opened = await browser.get(f"{at(ada)}?draft={uid}")
    assert opened.words("#text") == "second window"


async def test_the_script_saves_by_itself_and_hears_the_drafts_number(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    page = await browser.get(at(ada))
    answer = await browser.post_files(
        at(ada), fields(page, text="half a", do="save"), headers={"x-carepost-part": "saved"}
    )
    assert re.fullmatch(r'\{"uid":\d+,"says":"Saved \d\d:\d\d","not_urgent":""\}', answer.text)


async def test_a_message_that_is_being_sent_is_not_sent_twice(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    first = await write(browser, ada, "save")
    again = fields(first, do="send")
    assert (await browser.post_files(at(ada), again)).status == 303
    second = await browser.post_files(at(ada), again)
    assert len(world.desk.submitted) in {1, 2}
    if second.status == 303:
        one, two = (parse(sent.raw).message_id for sent in world.desk.submitted)
        assert one != two, "a draft of its own, told as such"


async def test_an_answer_quotes_knows_its_thread_and_whom_it_answers(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    letter = (
        b"From: Sam Mbeki <sam@trust.example>\r\nTo: ada.okafor@riverside.example, Joe <joe@trust.example>\r\n"
        b"Cc: team@trust.example\r\nSubject: Bloods\r\nMessage-ID: <b1@trust.example>\r\n\r\nPotassium 5.4\r\n"
    )
    await world.letter(ada.mailbox, letter)
    inbox = await world.inbox(ada.mailbox)
    page = await browser.get(f"{at(ada)}?reply={inbox}-1")
    assert page.words("#to") == "Sam Mbeki <sam@trust.example>"
    assert "> Potassium 5.4" in page.tree.css_first("#text").text()
    everybody = await browser.get(f"{at(ada)}?all={inbox}-1")
    assert everybody.words("#cc") == "Joe <joe@trust.example>, team@trust.example"
    await browser.post_files(at(ada), fields(everybody, do="send"))
    (sent,) = world.desk.submitted
    message = parse(sent.raw)
    assert message.subject == "Re: Bloods"
    assert b"In-Reply-To: <b1@trust.example>" in sent.raw
    assert sent.answers_to is not None
    assert (sent.answers_to.uid, sent.answers_to.was_bcc, sent.reply_all) == (1, False, True)


async def test_a_hidden_recipient_is_known_as_one(world: WebWorld, browser: AsgiBrowser, ada: WebPerson) -> None:
    await world.letter(
        ada.mailbox,
        b"From: Sam <sam@trust.example>\r\nTo: joe@trust.example\r\nSubject: x\r\n\r\nwords\r\n",
    )
    page = await browser.get(f"{at(ada)}?all={await world.inbox(ada.mailbox)}-1")
    await browser.post_files(at(ada), fields(page, do="send"))
    assert world.desk.submitted[0].answers_to.was_bcc is True


async def test_a_forwarded_message_takes_its_files_along(world: WebWorld, browser: AsgiBrowser, ada: WebPerson) -> None:
    await world.letter(
        ada.mailbox,
        b"From: Sam <sam@trust.example>\r\nTo: ada.okafor@riverside.example\r\nSubject: Scan\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/mixed; boundary="m"\r\n\r\n--m\r\nContent-Type: text/plain\r\n\r\nsee scan\r\n'
        b'--m\r\nContent-Type: application/pdf; name="s.pdf"\r\nContent-Disposition: attachment; filename="s.pdf"\r\n\r\n'
        b"%PDF\r\n--m--\r\n",
    )
    page = await browser.get(f"{at(ada)}?forward={await world.inbox(ada.mailbox)}-1")
    assert "s.pdf" in page.words(".chosen-files")
    await browser.post_files(at(ada), fields(page, to=SAM, do="send"))
    [sent] = world.desk.submitted
    assert b"s.pdf" in sent.raw
    message = parse(sent.raw)
    assert [message.body_bytes(part).strip() for _, part in message.leaves()][-1] == b"%PDF"


async def test_text_changed_without_the_script_is_not_sent_in_its_old_layout(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    page = await write(browser, ada, "save", text="Take 5 mg.", laid="yes", html="<b>Take</b> 5 mg.")
    page = await browser.post_files(at(ada), fields(page, do="save"))
    assert "<b>Take</b>" in (page.tree.css_first("#html").attributes["value"] or ""), "nothing was changed"
    await browser.post_files(at(ada), fields(page, text="Take 2 mg.", do="send"))
    [sent] = world.desk.submitted
    assert b"2 mg" in sent.raw
    assert b"5 mg" not in sent.raw


async def test_a_second_press_on_a_draft_that_was_sent_sends_nothing(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    page = await write(browser, ada, "save", text="Once.")
    first = await browser.post_files(at(ada), fields(page, do="send"))
    again = await browser.post_files(at(ada), fields(page, do="send"))
    assert (first.status, again.status) == (303, 400)
    assert "Look into Sent first" in again.words("#summary")
    assert len(world.desk.submitted) == 1


async def test_laid_out_text_is_cleaned_and_has_plain_text_beside_it(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    await write(browser, ada, text="Bold words", laid="yes", html="<b>Bold</b> words<script>alert(1)</script>")
    message = parse(world.desk.submitted[0].raw)
    kinds = {part.media_type: message.text(part) for _, part in message.leaves()}
    assert kinds["text/plain"].strip() == "Bold words"
    assert "<b>Bold</b>" in kinds["text/html"]
    assert "script" not in kinds["text/html"]


@pytest.mark.parametrize("subject", ["Hello\r\nBcc: x@evil.example", "Hello\nX-Evil: 1", "a\u2028b", "a\u0085b"])
async def test_no_field_becomes_a_header_of_its_own(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson, subject: str
) -> None:
    await write(browser, ada, subject=subject)
    raw = world.desk.submitted[0].raw
    head = raw.partition(b"\r\n\r\n")[0].lower()
    assert b"\r\nbcc:" not in head
    assert b"\r\nx-evil" not in head


async def test_later_is_the_persons_own_time_and_the_past_is_refused(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    page = await write(browser, ada, send_at="2001-01-01T08:00")
    assert "has passed" in page.words("#summary")
    soon = (world.clock.now() + timedelta(days=1)).replace(tzinfo=None, second=0, microsecond=0)
    page = await write(browser, ada, send_at=soon.isoformat(timespec="minutes"))
    assert page.status == 303
    assert world.desk.submitted[0].send_at is not None


async def test_suggestions_name_the_organisation_and_choose_nobody(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    for number, organisation in ((1, "Riverside"), (2, "St Jude's")):
        world.desk.suggestions.append(
            Suggestion(
                name="Sam Mbeki",
                address=EmailAddress.parse(f"sam{number}@riverside.example"),
                organisation=organisation,
                role="Nurse",
                initials="SM",
                chip="inside",
                source=Source.DIRECTORY,
            )
        )
    page = await browser.get(f"{at(ada)}/suggest?q=sam")
    assert '"organisation":"St Jude\'s"' in page.text
    assert page.text.count('"name":"Sam Mbeki"') == 2


# -- what became of it --


def row(world: WebWorld, ada: WebPerson, *states: RecipientState, state: OutState = OutState.RELEASED) -> OutgoingRow:
    made = outgoing_row(world.clock.now(), ada.mailbox.id, *states, state=state, number=len(world.desk.rows) + 1)
    world.desk.rows.append(made)
    return made


async def settle(browser: AsgiBrowser, outgoing: OutgoingRow, deed: str, **more: str) -> Page:
    page = await browser.get(f"/outgoing/{outgoing.id}")
    return await browser.post(f"/outgoing/{outgoing.id}", {"csrf": page.proof(), "do": deed, **more})


async def test_what_was_not_delivered_stands_first_with_its_reason_and_can_be_sent_again(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    row(world, ada, RecipientState.OPENED)
    bad = row(world, ada, RecipientState.FAILED, RecipientState.OPENED)
    page = await browser.get(f"/sent/{ada.mailbox.id}")
    assert "Not delivered to 1 of 2" in page.words(".tray")
    one = await browser.get(f"/outgoing/{bad.id}")
    assert "there is no such mailbox" in one.words("table")
    assert "opened" in one.words("table")
    assert (await settle(browser, bad, "resend-0")).status == 303
    assert (await settle(browser, bad, "clear-0")).status == 303
    assert world.desk.done == [("resend", 0), ("clear", 0)]


async def test_what_waits_because_no_safe_way_leads_there_can_go_by_link(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    waits = row(world, ada, RecipientState.QUEUED, RecipientState.QUEUED)
    late = replace(waits.recipients[0], route=Route.RELAY, delayed=True)
    world.desk.rows[-1] = replace(waits, recipients=(late, waits.recipients[1]))
    page = await browser.get(f"/outgoing/{waits.id}")
    assert page.words("table").count("Send a secure link instead") == 1
    assert (await settle(browser, waits, "link-0")).status == 303
    assert world.desk.done == [("link", 0)]


async def test_taking_back_asks_from_whom_and_tells_the_result_for_each(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    sent = row(world, ada, RecipientState.NOTICED, RecipientState.DELIVERED)
    assert (await settle(browser, sent, "recall")).status == 404, "nobody was chosen"
    world.desk.report = RecallReport(
        (RecallResult(EmailAddress.parse("p1@gmail.example"), 1, Recall.REMOVED, "It had not been read."),),
        (Quoted(TraceId("TQUOTED"), ada.mailbox.id, world.clock.now()),),
    )
    sent = replace(sent, subject="=cmd()")
    world.desk.rows[-1] = sent
    page = await settle(browser, sent, "recall", seq="1")
    assert "It had not been read." in page.words("table")
    assert world.desk.done == [("recall", ("p1@gmail.example",))]
    assert "1 reply of our own people quotes it" in page.text
    assert "TQUOTED" in page.words("ul")
    # The file for the breach report: of what was shown, once more by its sender's own hand.
    carried = page.tree.css_first("input[name=report]").attributes["value"] or ""
    file = await settle(browser, sent, "csv", report=carried)
    assert dict(file.headers)["content-disposition"] == 'attachment; filename="T1.csv"'
    lines = list(csv.reader(file.body.decode("utf-8-sig").splitlines()))
    assert ["p1@gmail.example", "removed", "It had not been read.", "", "Delivered"] in lines
    assert lines[0] == ["Message", "'=cmd()"], "no cell begins a formula"
    assert lines[-1][0] == "TQUOTED"
    assert (await settle(browser, sent, "csv", report='{"lines": [[9, "removed", "", ""]]}')).status == 400
    assert world.desk.done == [("recall", ("p1@gmail.example",))], "the file takes nothing back"


async def test_a_letter_in_sent_leads_to_what_became_of_it(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    sent = row(world, ada, RecipientState.NOTICED)
    folder = await world.folder(ada.mailbox, SpecialUse.SENT)
    raw = b"From: Ada <ada.okafor@riverside.example>\r\nSubject: x\r\n\r\nHello\r\n"
    uid = await world.letter(ada.mailbox, raw)
    none = await browser.get(f"/sent/{ada.mailbox.id}/{await world.inbox(ada.mailbox)}/{uid}")
    assert none.status == 404
    async with world.db.transaction(ada.mailbox.organisation) as tx:
        prepared = prepare_object(ada.mailbox.organisation, raw, summary=summarise(parse(raw)), words="")
        await store_object(tx, prepared, at=world.clock.now())
        known = KnownObject(organisation=ada.mailbox.organisation, id=prepared.id, key=prepared.key, size=prepared.size)
        assert ada.mailbox.intake_public is not None
        target = Target(ada.mailbox.id, ada.mailbox.intake_public)
        laid = await lay_in_own(
            tx, known, target, special_use=SpecialUse.SENT, flags=1, trace=sent.trace, at=world.clock.now()
        )
    letter = await browser.get(f"/mail/{ada.mailbox.id}/{folder}/{laid.uid}")
    [link] = [one for one in letter.tree.css("a") if "wrong person" in one.text()]
    page = await browser.get(str(link.attributes["href"]))
    assert page.location == f"/outgoing/{sent.id}"
    assert "I sent this to the wrong person" in (await browser.follow(page)).words("#wrong")


async def test_undo_leads_back_to_the_draft_and_too_late_is_told(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    waiting = row(world, ada, RecipientState.WAITING, state=OutState.WAITING)
    late = await settle(browser, waiting, "undo")
    assert "It has left already." in late.words()
    world.desk.draft = draft_at(ada.mailbox.id, 1, 7)
    page = await settle(browser, waiting, "undo")
    assert page.location.startswith(f"/write/{ada.mailbox.id}?draft=7")


# -- secure links --


def record(world: WebWorld, state: State = State.OPEN) -> RecipientRecord:
    now = world.clock.now()
    return RecipientRecord(
        id=SecureMessageId(4),
        seq=0,
        address=PORTER,
        level=Level.MAILBOX,
        state=state,
        expires_at=now + timedelta(days=5),
        frozen=False,
        replies=0,
        happened=(Happened(at=now, what=What.NOTICED), Happened(at=now, what=What.READ)),
    )


async def test_what_happened_to_each_link_is_told_and_it_can_be_given_more_time(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    sent = row(world, ada, RecipientState.OPENED)
    world.desk.records.append(record(world))
    page = await browser.get(f"/outgoing/{sent.id}/secure")
    assert "Read: " in page.words("table")
    answer = await browser.post(f"/outgoing/{sent.id}/secure", {"csrf": page.proof(), "do": "extend-0"})
    assert answer.status == 303
    ((deed, (seq, until)),) = world.desk.done
    assert (deed, seq, until - world.clock.now()) == ("extend", 0, timedelta(days=33))


@pytest.mark.parametrize("deed", ["extend-7", "extend-x", "yes-9", "no", "burn-0"])
async def test_what_the_page_did_not_offer_is_not_done(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson, deed: str
) -> None:
    sent = row(world, ada, RecipientState.REVOKED)
    world.desk.records.append(record(world, State.REVOKED))
    page = await browser.get(f"/outgoing/{sent.id}/secure")
    answer = await browser.post(f"/outgoing/{sent.id}/secure", {"csrf": page.proof(), "do": deed})
    assert answer.status == 400
    assert world.desk.done == []


async def test_whoever_was_forwarded_a_notice_is_let_in_or_not_by_the_sender(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    sent = row(world, ada, RecipientState.NOTICED)
    world.desk.asking.append(
        AccessRequest(
            id=AccessRequestId(9),
            message=SecureMessageId(4),
            name="Jo Porter",
            address="jo@gmail.example",
            words="I am her daughter",
            asked_at=world.clock.now(),
            state="waiting",
        )
    )
    page = await browser.get(f"/outgoing/{sent.id}/secure")
    assert "I am her daughter" in page.words(".tray")
    await browser.post(f"/outgoing/{sent.id}/secure", {"csrf": page.proof(), "do": "no-9"})
    assert world.desk.done == [("settle", (SecureMessageId(4), AccessRequestId(9), False))]


async def test_somebody_outside_is_asked_to_write_first(world: WebWorld, browser: AsgiBrowser, ada: WebPerson) -> None:
    page = await browser.get(f"/invite/{ada.mailbox.id}")
    wrong = await browser.post(f"/invite/{ada.mailbox.id}", {"csrf": page.proof(), "address": "porter at home"})
    assert "This is not an email address" in wrong.words("#summary")
    sent = await browser.post(f"/invite/{ada.mailbox.id}", {"csrf": page.proof(), "address": PORTER})
    assert sent.status == 303
    assert world.desk.done == [("invite", (PORTER, "Ada Okafor"))]


async def test_what_readers_prove_is_chosen_where_the_link_is_shown_and_goes_with_the_message(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    world.desk.routes[PORTER] = Route.PORTAL
    page = await write(browser, ada, to=PORTER)
    offered = [one.attributes["value"] for one in page.tree.css("#proof input[type=radio]")]
    assert offered == ["code", "phrase", "birth"], "nobody sends text messages here"
    words = page.tree.css_first("#phrase").attributes["value"] or ""
    assert len(words.split()) == 6
    # Left as it was suggested, and not chosen: the code alone.
    await browser.post_files(at(ada), fields(page, proof="code", phrase=words, do="send"))
    assert world.desk.submitted[-1].passphrase is None
    page = await write(browser, ada, to=PORTER)
    await browser.post_files(at(ada), fields(page, proof="code", phrase="copper lantern", do="send"))
    assert world.desk.submitted[-1].passphrase == "copper lantern", "whoever types words wants them asked for"
    page = await write(browser, ada, to=PORTER)
    await browser.post_files(at(ada), fields(page, proof="birth", birth="7 3 1958", phrase=words, do="send"))
    assert (world.desk.submitted[-1].passphrase, world.desk.submitted[-1].agreed) == ("7 3 1958", Agreed.BIRTH)


async def test_less_than_the_organisation_asks_for_is_not_offered(
    world: WebWorld, browser: AsgiBrowser, ada: WebPerson
) -> None:
    other = "other@gmail.example"
    world.desk.routes |= {PORTER: Route.PORTAL, other: Route.PORTAL}
    world.desk.least = Level.AGREED
    page = await write(browser, ada, to=f"{PORTER}, {other}")
    assert [one.attributes["value"] for one in page.tree.css("#proof input[type=radio]")] == ["phrase"]
    assert page.tree.css_first("#proof input[checked]") is None, "words that nobody told them are not chosen for them"
    assert "wants more than a code" in page.words("#proof")
