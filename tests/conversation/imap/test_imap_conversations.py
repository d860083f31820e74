"""Every conversation of this folder, as text."""

from pathlib import Path

import pytest
from tests.conversation.imap.runner import run_script, scripts


@pytest.mark.parametrize("path", list(scripts()), ids=lambda path: path.stem)
async def test_the_conversation_goes_as_written(path: Path) -> None:
    await run_script(path)
