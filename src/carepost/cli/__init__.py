"""The one command, `carepost`: parses arguments, calls one function, prints the result.

Modules here are thin and alike: one noun each. What takes time to import is imported in the function that needs it,
so that `carepost --version` and `--help` answer at once.
"""

import sys


def main() -> None:
    if sys.argv[1:] in (["--version"], ["-V"]):
        from carepost import __version__

        sys.stdout.write(f"carepost {__version__}\n")
        return
    from carepost.cli.commands import run

    run()
