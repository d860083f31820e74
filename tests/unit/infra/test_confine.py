import os
from collections.abc import Callable
from pathlib import Path

import pytest

from carepost.infra.confine import confine, is_supported

pytestmark = pytest.mark.skipif(not is_supported(), reason="this kernel has no Landlock")


def in_a_child(work: Callable[[], object]) -> bool:
    """Whether `work` raised nothing, in a process of its own."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    keys, spool, tls = tmp_path / "keys", tmp_path / "spool", tmp_path / "tls"
    for folder in (keys, spool, tls):
        folder.mkdir()
        (folder / "file").write_text("x")
    (keys / "edge.key").write_text("e")
    return keys, spool, tls


def test_a_confined_process_reads_no_key_that_it_was_not_given(folders: tuple[Path, Path, Path]) -> None:
    keys, spool, tls = folders

    def confined(then: Callable[[], object]) -> Callable[[], object]:
        def work() -> None:
            assert confine(readable=[tls, keys / "edge.key", keys / "not there"], writable=[spool])
            then()

        return work

    assert in_a_child((keys / "file").read_text)  # the control: nothing else forbids it
    assert not in_a_child(confined((keys / "file").read_text))
    assert not in_a_child(confined(lambda: list(keys.iterdir())))
    assert not in_a_child(confined(lambda: os.system(f"cat {keys / 'file'}") and 1 / 0))
    assert not in_a_child(confined(lambda: (tls / "file").write_text("y")))
    assert not in_a_child(confined(lambda: Path("/etc/shadow").read_text()))
    assert in_a_child(confined((keys / "edge.key").read_text))
    assert in_a_child(confined((tls / "file").read_text))
    assert in_a_child(confined(lambda: (spool / "new").write_text("y")))
    assert in_a_child(confined((spool / "file").unlink))
