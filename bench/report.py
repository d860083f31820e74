"""docs/performance.md from the measured figures."""


def write() -> None:
    pass
