"""What can be made again is made once, whoever asks, and its name knows all that decides it."""

import multiprocessing
import time
from dataclasses import dataclass

import pytest

from livervlm.base.cache import changed, made_once, short_hash


def make_slowly(path):
    time.sleep(0.2)
    with open(path.with_name("made"), "a") as log:
        log.write("x")
    path.write_text("whole")


def ask(_):
    return made_once("slow", [1], make_slowly, ".txt").read_text()


def test_processes_that_want_the_same_thing_at_once_make_it_once(empty_cache):
    with multiprocessing.get_context("fork").Pool(3) as pool:
        assert pool.map(ask, range(3)) == ["whole"] * 3
    assert (empty_cache / "slow" / "made").read_text() == "x"


def test_what_failed_is_made_again(empty_cache):
    def fail(path):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made_once("slow", [1], fail, ".txt")
    assert ask(0) == "whole"


def test_other_settings_are_another_thing(empty_cache):
    paths = {made_once("slow", settings, make_slowly, ".txt") for settings in ([1], [2], {"a": 1}, {"a": 2})}
    assert len(paths) == 4
    assert short_hash({"a": 1, "b": 2}) == short_hash({"b": 2, "a": 1})


def test_a_field_that_is_added_later_renames_nothing():
    @dataclass
    class Before:
        size: int
        depth: int = 3

    @dataclass
    class After:
        size: int
        depth: int = 3
        width: int = 1

    assert changed(Before(8)) == changed(After(8)) == {"size": 8}
    assert changed(After(8, 3, 2)) == {"size": 8, "width": 2}
