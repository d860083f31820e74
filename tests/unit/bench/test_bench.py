"""The measuring itself: the same letters every time, percentiles that are percentiles, a page that invents nothing."""

import json
import math
import socket
import threading
from collections import Counter
from pathlib import Path

import pytest
from bench import report, results
from bench.corpus import Corpus, prepared, public_key
from bench.load import Plan, carry_out
from bench.processes import pss_mib, tree
from bench.results import percentile

from carepost.message.parse import parse


def test_letter_n_is_the_same_whoever_makes_it_and_in_whatever_order() -> None:
    one, other = Corpus(shrink=50), Corpus(shrink=50)
    later = other.letter(33).raw
    assert [one.letter(n).raw for n in (3, 33)] == [other.letter(3).raw, later]
    assert one.letter(3).raw != Corpus(seed=1, shrink=50).letter(3).raw


def test_every_fifty_letters_have_the_mixture_that_is_published() -> None:
    corpus = Corpus()
    for start in (0, 50, 1000):
        kinds = Counter(corpus.kind(n) for n in range(start, start + 50))
        assert kinds == {"short": 30, "document": 15, "large": 4, "invitation": 1}


def test_no_letter_has_anything_wrong_in_it() -> None:
    corpus = Corpus(shrink=50)
    assert [n for n in range(100) if parse(corpus.letter(n).raw).defects] == []


def test_prepared_letters_are_written_once_and_the_domains_that_sign_have_signed(tmp_path: Path) -> None:
    first = list(prepared(tmp_path, 12))
    key = public_key(tmp_path)
    assert [one.raw for one in prepared(tmp_path, 12)] == [one.raw for one in first]
    assert public_key(tmp_path) == key
    assert sum(one.raw.startswith(b"DKIM-Signature:") for one in first) > 0


@pytest.mark.parametrize(
    ("values", "share", "wanted"),
    [([1.0], 99, 1.0), ([3.0, 1.0, 2.0], 50, 2.0), (list(range(1, 101)), 99, 99), (list(range(1, 101)), 100, 100)],
)
def test_a_percentile_is_a_value_that_was_measured(values: list[float], share: float, wanted: float) -> None:
    assert percentile(values, share) == wanted


def test_a_percentile_of_nothing_is_not_a_number() -> None:
    assert math.isnan(percentile([], 50))


def test_the_load_generator_pipelines_doubles_dots_and_notes_every_answer(tmp_path: Path) -> None:
    letter = tmp_path / "a.eml"
    letter.write_bytes(b"Subject: x\r\n\r\n.one\r\n..two")
    server = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []
    answering = threading.Thread(target=_answer, args=(server, heard), daemon=True)
    answering.start()
    run = carry_out(
        Plan(
            port=server.getsockname()[1],
            letters=[(letter, "a@b.example")],
            recipients=["c@d.example"],
            tag="t",
            connections=1,
        )
    )
    answering.join(60)
    server.close()
    assert heard[1] == b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n"
    assert heard[2] == b"X-Bench-Id: t-0\r\nSubject: x\r\n\r\n..one\r\n...two\r\n.\r\n"
    assert [(one.mark, one.reply) for one in run.accepted] == [("t-0", "250 ok")]


def _answer(server: socket.socket, heard: list[bytes]) -> None:
    """Just enough of a server."""
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"220 hello\r\n")
        for ends, answer in (
            (b"\r\n", b"250-hello\r\n250 PIPELINING\r\n"),
            (b"DATA\r\n", b"250 ok\r\n250 ok\r\n354 go\r\n"),
            (b"\r\n.\r\n", b"250 ok\r\n"),
            (b"QUIT\r\n", b"221 bye\r\n"),
        ):
            octets = b""
            while not octets.endswith(ends):
                octets += connection.recv(65536)
            heard.append(octets)
            connection.sendall(answer)


def test_a_process_tree_holds_itself_and_weighs_something() -> None:
    import os

    assert os.getpid() in tree([os.getpid()])
    assert pss_mib([os.getpid()]) > 1


def test_a_page_without_figures_says_that_nothing_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path / "none")
    monkeypatch.setattr(report, "PAGE", tmp_path / "performance.md")
    report.write()
    assert (tmp_path / "performance.md").read_text().count("not measured") == 7


def test_a_missed_target_is_called_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = {"at": "x", "cores": 2, "memory_gib": 4, "kernel": "k", "python": "3", "commit": "c", "load": 0.0}
    figures = {
        "idle_mib": 301.0,
        "clients": 200,
        "with_clients_mib": 400.0,
        "parts": {},
        "command": "m",
        "machine": machine,
    }
    (tmp_path / "memory.json").write_text(json.dumps(figures))
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    monkeypatch.setattr(report, "PAGE", tmp_path / "performance.md")
    report.write()
    page = (tmp_path / "performance.md").read_text()
    assert "under 300: **missed**" in page
    assert "200 under 150: **met**" in page
