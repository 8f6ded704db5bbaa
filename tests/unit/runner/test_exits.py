"""How the end of a process is told."""

import pytest

from penstock.runner.exits import Exit, explain


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (Exit(signal=9), "signal 9 (SIGKILL)"),
        (Exit(signal=15), "signal 15 (SIGTERM)"),
        (Exit(signal=11), "native libraries"),
        (Exit(code=137), "exit code 137, which stands for signal 9 (SIGKILL)"),
        (Exit(code=143), "exit code 143, which stands for signal 15 (SIGTERM)"),
        (Exit(code=125), "container"),
        (Exit(code=126), "cannot be executed"),
        (Exit(code=127), "was not found"),
        (Exit(code=247), "memory"),
        (Exit(code=3221225786), "Ctrl+C"),
        (Exit(code=0), "exit code 0: the process ended without a final state"),
        (Exit(code=77), "exit code 77"),
        (Exit(signal=34), "signal 34"),
        (Exit(lost=True), "nobody saw"),
    ],
)
def test_the_cause_is_named(end: Exit, told: str) -> None:
    assert told in explain(end)


def test_want_of_memory_is_told_with_how_much_was_used() -> None:
    end = Exit(signal=9, out_of_memory=True, peak_bytes=300 * 2**20)
    assert "memory ran out (it had used up to 300 MiB)" in explain(end)


@pytest.mark.parametrize(
    ("end", "status", "clean"),
    [
        (Exit(code=0), 0, True),
        (Exit(code=3), 3, False),
        (Exit(signal=9), -9, False),
        (Exit(lost=True), -1, False),
    ],
)
def test_the_status_is_that_of_a_process(end: Exit, status: int, clean: bool) -> None:
    assert (end.status, end.is_clean) == (status, clean)
