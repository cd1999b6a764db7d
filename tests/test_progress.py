"""A bar says what is done, how much, how fast and how long yet: over itself in a terminal, in a few lines in a log."""

import os
import re
import subprocess
import sys

import pytest

from livervlm.base.progress import bar

SLOW = "import time; from livervlm.base.progress import bar\nfor _ in bar(range(20), 'slices'): time.sleep(0.03)"


@pytest.fixture(autouse=True)
def shown(monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)


@pytest.mark.parametrize(("seconds", "expected"), [(0, 12), (1, 2)])
def test_a_log_gets_a_line_at_the_start_one_for_each_slow_tenth_and_one_at_the_end(seconds, expected, capfd):
    run = bar(range(1000), "slices")
    assert run.mininterval == 1
    run.mininterval = seconds  # with 0, every tenth counts as slow
    assert list(run) == list(range(1000))
    said = capfd.readouterr().err
    lines = said.splitlines()
    assert len(lines) == expected
    assert "\r" not in said
    assert all(line.startswith("slices: ") for line in lines)
    assert "| 0/1000 [" in lines[0]
    assert "| 1000/1000 [" in lines[-1]


def test_a_log_of_work_without_a_length_and_of_one_step_has_both_ends(capfd):
    for work in (iter("a"), ["a"]):
        assert list(bar(work, "cells", total=1)) == ["a"]
        lines = capfd.readouterr().err.splitlines()
        assert "| 0/1 [" in lines[0]
        assert "| 1/1 [" in lines[-1]


@pytest.mark.parametrize("columns", [80, 0])  # some pseudo-terminals do not tell their width
def test_a_terminal_gets_one_line_that_moves_with_a_rate_and_the_time_left(columns):
    pty = pytest.importorskip("pty", reason="no pseudo-terminals on this system")
    from termios import tcsetwinsize

    reader, writer = pty.openpty()
    tcsetwinsize(writer, (24, columns))
    subprocess.run([sys.executable, "-c", SLOW], stderr=writer, check=True, timeout=60)
    said = ""
    while "\n" not in said:  # which the bar ends with
        said += os.read(reader, 10_000).decode()
    os.close(writer)
    os.close(reader)
    assert said.count("\n") == 1
    assert said.count("\r") > 3
    assert re.search(r"slices: +\d+%\|.*\| \d+/20 \[00:00<00:00, +\d+\.\d+it/s\]", said)


@pytest.mark.parametrize("how", ["unwanted", "disabled"])
def test_nothing_is_shown_where_it_is_not_wanted(how, capfd, monkeypatch):
    if how == "disabled":
        monkeypatch.setenv("TQDM_DISABLE", "1")
    assert list(bar(range(5), "slices", how == "disabled")) == [0, 1, 2, 3, 4]
    assert capfd.readouterr().err == ""
