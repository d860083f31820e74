"""Notes that travel through browsers, forms, paths, headers, templates."""

from datetime import timedelta
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from carepost.base.clock import FixedClock
from carepost.base.errors import Malformed, NotPossible
from carepost.message.sanitise import _ATTRIBUTES
from carepost.message.sanitise_tags import ATTRIBUTES, TAGS
from carepost.web.content.site import disposition
from carepost.web.forms import Form
from carepost.web.headers import content_headers, site_headers
from carepost.web.icons import ICONS, icon
from carepost.web.render import HERE, Frame, static_addresses, templates
from carepost.web.sealing import ContentNote, Notes, SaidNote
from carepost.web.shell import own_path

NOTE = ContentNote(1, 2, 3, 4, 5, 6, "1.2", "view")
MINUTE = timedelta(minutes=1)


@pytest.fixture
def notes() -> Notes:
    return Notes(b"k" * 32, FixedClock())


def test_a_note_comes_back_as_it_was_written(notes: Notes) -> None:
    assert notes.open(ContentNote, notes.seal(NOTE, bound_to="", lasts=MINUTE), bound_to="") == NOTE


def test_a_note_is_not_readable_on_its_way(notes: Notes) -> None:
    said = notes.seal(SaidNote("3 messages moved to the bin."), bound_to="s", lasts=MINUTE)
    assert "bin" not in said
    assert said != notes.seal(SaidNote("3 messages moved to the bin."), bound_to="s", lasts=MINUTE)


def test_any_changed_character_spoils_a_note(notes: Notes) -> None:
    sealed = notes.seal(NOTE, bound_to="", lasts=MINUTE)
    for at in range(0, len(sealed) - 1, 7):
        changed = sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :]
        with pytest.raises(Malformed):
            notes.open(ContentNote, changed, bound_to="")


@pytest.mark.parametrize("text", ["", "x", "====", "é", "A" * 10_000])
def test_what_was_never_a_note_is_refused(notes: Notes, text: str) -> None:
    with pytest.raises(Malformed):
        notes.open(ContentNote, text, bound_to="")


def test_a_note_of_one_session_kind_or_secret_does_not_fit_another(notes: Notes) -> None:
    sealed = notes.seal(SaidNote("x"), bound_to="mine", lasts=MINUTE)
    with pytest.raises(Malformed):
        notes.open(SaidNote, sealed, bound_to="yours")
    with pytest.raises(Malformed):
        notes.open(ContentNote, sealed, bound_to="mine")
    with pytest.raises(Malformed):
        Notes(b"o" * 32, FixedClock()).open(SaidNote, sealed, bound_to="mine")


def test_a_note_runs_out() -> None:
    clock = FixedClock()
    notes = Notes(b"k" * 32, clock)
    sealed = notes.seal(NOTE, bound_to="", lasts=MINUTE)
    clock.advance(timedelta(seconds=59))
    assert notes.open(ContentNote, sealed, bound_to="") == NOTE
    clock.advance(timedelta(seconds=2))
    with pytest.raises(NotPossible):
        notes.open(ContentNote, sealed, bound_to="")


def test_the_proof_of_a_form_fits_one_cookie(notes: Notes) -> None:
    assert notes.is_ours(notes.form_proof("cookie"), "cookie")
    assert not notes.is_ours(notes.form_proof("cookie"), "another")
    assert not notes.is_ours("", "cookie")
    assert not notes.is_ours("é", "cookie")


@pytest.mark.parametrize(
    ("to", "goes"),
    [
        ("/mail/1?x=2", "/mail/1?x=2"),
        ("", "/"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/\r\nSet-Cookie: x", "/"),
        ("/" + "x" * 9_000, "/"),
        ("mail", "/"),
    ],
)
def test_nobody_is_led_away(to: str, goes: str) -> None:
    assert own_path(to) == goes


def test_a_form_cleans_what_is_read_and_keeps_what_is_secret() -> None:
    form = Form(values={"name": " a\u202eb\r\nc ", "password": " p\u202e "}, many={"uid": ["1", "x", "٣", "2"]})
    assert form.text("name") == "ab c"
    assert form.secret("password") == " p\u202e "
    assert form.numbers("uid") == [1, 2]
    assert form.number("name") is None
    assert form.require("missing", "Say it") == ""
    assert form.errors == {"missing": "Say it"}


def test_the_site_runs_its_own_script_and_nothing_else() -> None:
    policy = site_headers(content_origin="https://c.example", secure=True)["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-src https://c.example;" in policy


def test_a_page_of_content_can_do_nothing_and_is_framed_by_us_only() -> None:
    headers = content_headers(web_origin="https://w.example", secure=False)
    policy = headers["content-security-policy"]
    assert policy.startswith("sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'")
    assert "script" not in policy
    assert policy.endswith("frame-ancestors https://w.example")
    assert "strict-transport-security" not in headers


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("Letter.pdf", "attachment; filename=\"Letter.pdf\"; filename*=UTF-8''Letter.pdf"),
        ('a"b;c.pdf', "attachment; filename=\"a_b;c.pdf\"; filename*=UTF-8''a_b%3Bc.pdf"),
        ("Röntgen 1.pdf", "attachment; filename=\"R_ntgen 1.pdf\"; filename*=UTF-8''R%C3%B6ntgen%201.pdf"),
        (
            "a\r\nSet-Cookie: x.pdf",
            "attachment; filename=\"a Set-Cookie_ x.pdf\"; filename*=UTF-8''a%20Set-Cookie_%20x.pdf",
        ),
        ("gpj\u202e.exe", "attachment; filename=\"gpj.exe\"; filename*=UTF-8''gpj.exe"),
    ],
)
def test_a_file_is_named_for_every_browser_and_breaks_no_header(name: str, header: str) -> None:
    assert disposition("attachment", name) == header


def test_a_template_that_misspells_a_name_fails() -> None:
    environment = templates(lambda name: name).environment
    with pytest.raises(UndefinedError):
        environment.from_string("{{ lien.subject }}").render()


def test_what_a_stranger_writes_is_escaped_in_every_template() -> None:
    environment = templates(lambda name: name).environment
    assert environment.from_string("{{ x }}").render(x="<b>'\"&") == "&lt;b&gt;&#39;&#34;&amp;"
    used = [path.read_text() for path in (HERE / "templates").rglob("*.html")]
    assert used
    assert not any("|safe" in text or "| safe" in text or "autoescape false" in text for text in used)


def test_every_template_can_be_read() -> None:
    environment = templates(lambda name: name).environment
    for path in (HERE / "templates").rglob("*.html"):
        environment.get_template(str(path.relative_to(HERE / "templates")))


def test_no_template_carries_a_script_or_a_style_of_its_own() -> None:
    for path in (HERE / "templates").rglob("*.html"):
        text = path.read_text()
        assert " style=" not in text, path.name
        assert "<style" not in text, path.name
        assert "javascript:" not in text
        assert "<script>" not in text
        assert not any(f" on{event}=" in text for event in ("click", "load", "error", "submit", "change"))


def test_an_icon_is_a_drawing_of_ours_and_an_unknown_one_fails() -> None:
    assert all(isinstance(drawing, Markup) and "<svg" in drawing for drawing in ICONS.values())
    with pytest.raises(KeyError):
        icon("no such drawing")


def test_static_addresses_change_with_their_content(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("x")
    before = static_addresses(tmp_path)["a.css"]
    (tmp_path / "a.css").write_text("y")
    assert static_addresses(tmp_path)["a.css"] != before


def test_the_script_is_small_and_the_site_vendors_a_font_with_its_licence() -> None:
    assert (HERE / "static" / "carepost.js").stat().st_size < 10_000
    assert "SIL OPEN FONT LICENSE" in (HERE / "static" / "fonts" / "OFL.txt").read_text()


def test_nothing_passes_itself_off_as_the_national_service() -> None:
    words = "".join(path.read_text() for path in HERE.rglob("*") if path.suffix in {".html", ".css", ".svg", ".js"})
    assert "Frutiger" not in words
    assert "#005eb8" not in words.lower()  # NHS Blue
    assert "nhsuk" not in words.lower()


def test_a_frame_is_nobodys_until_somebody_is_signed_in() -> None:
    frame = Frame(product="Carepost", csrf="x")
    assert (frame.person, frame.keyboard, frame.said) == ("", False, "")


def test_both_passes_of_the_sanitiser_know_the_same_names() -> None:
    named = set().union(*_ATTRIBUTES.values()) - {"target"}
    assert named <= ATTRIBUTES
    assert set(_ATTRIBUTES) - {"*"} <= TAGS
