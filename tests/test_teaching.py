"""The page for teachers follows the chapters: schedules add up, stops exist, wrong answers are the checkers' own."""

import json
import re
from pathlib import Path

import pages
import pytest
import teaching
from stubs import SourceError
from test_chapters import CONFIG, EXERCISE, FRONT, cell

ROOT = Path(__file__).resolve().parents[1]

LONGEST = {"half-day": 4 * 60, "full-day": 8 * 60}  # minutes, pauses included


@pytest.fixture(scope="module")
def book():
    return pages.Book(ROOT)


@pytest.fixture(scope="module")
def page():
    return (ROOT / teaching.PAGE).read_text(encoding="utf-8")


def table(page, name):
    """The rows of a schedule as they stand on the page: from, minutes, what."""
    block = page.partition(f"% begin {name}\n")[2].partition("% end")[0]
    rows = [line for line in block.splitlines() if line.startswith("|")]
    return [[part.strip() for part in row.split("|")[1:4]] for row in rows[2:]]


def test_the_page_is_what_the_chapters_give(book, page):
    assert teaching.renewed(book, page, teaching.wrong_answers()) == page


@pytest.mark.parametrize("name", teaching.SCHEDULES)
def test_the_minutes_of_a_schedule_add_up(page, name):
    *stops, (end, total, _) = table(page, name)
    at = 0
    for start, minutes, _ in stops:
        hours, rest = map(int, start.split(":"))
        assert 60 * hours + rest == at
        at += int(minutes)
    assert total == f"**{at}**"
    assert end == f"{at // 60}:{at % 60:02d}"
    assert at <= LONGEST[name]


def test_the_half_day_is_the_path_of_the_front_page(page):
    rows = "\n".join(what for _, _, what in table(page, "half-day"))
    taught = re.findall(r"\]\((\w+)\.md\)(?: to the end of |: )?(.*)", rows)
    [row] = re.findall(r"^\| half a day \|.+", (ROOT / "book/index.md").read_text(encoding="utf-8"), re.MULTILINE)
    for chapter, stop in taught[2:]:  # the first two are those of the hour, and called the same
        assert f"]({chapter}.md)" in row
        assert stop in row


def test_every_chapter_has_its_four_notes(book, page):
    for part in page.split("% begin ")[3:]:
        labels = re.findall(r"^\*\*(\w[\w ]*)\.\*\* \S", part.partition("% end")[2], re.MULTILINE)
        assert labels == ["Say", "Listen for", "Skip", "Check"], part.partition("\n")[0]


def test_every_exercise_has_wrong_answers_in_words(book):
    heard = teaching.wrong_answers()
    assert heard.keys() == {name for lesson in teaching.lessons(book).values() for name in lesson.titles}
    assert all(1 <= len(told) <= teaching.TOLD for told in heard.values())
    assert not [words for told in heard.values() for words in told if words.startswith("Right: ")]


# -- A chapter made for it --------------------------------------------------------------------------------------------

CHAPTER = """# One

**The point.** One thing
is shown.

**Time:** 40 minutes to read, 5 more for the exercises; the
cells take no time.

## First

{first}

## Second

{second}

{cell}## Exercises

{exercise}
"""


@pytest.fixture
def made(tmp_path):
    def make(text):
        (tmp_path / "_config.yml").write_text(CONFIG)
        (tmp_path / "_toc.yml").write_text(json.dumps({"root": "one"}))
        (tmp_path / "one.md").write_text(FRONT + text)
        return pages.Book(tmp_path)

    return make


def chapter(first, second):
    return CHAPTER.format(first="word " * first, second="word " * second, cell=cell(), exercise=EXERCISE)


@pytest.mark.parametrize(("first", "second", "minutes"), [(450, 530, 20), (650, 330, 30), (20, 960, 5)])
def test_a_stop_takes_its_share_of_the_minutes_in_steps_of_five(made, first, second, minutes):
    lesson = teaching.lessons(made(chapter(first, second)))["one"]
    assert (lesson.point, lesson.cells) == ("One thing is shown.", "no time")
    assert lesson.minutes_through("First") == minutes
    assert lesson.minutes_through("Second") == lesson.reading == 40


def test_a_schedule_adds_exercises_and_the_question(made):
    book = made(chapter(650, 330))
    stops = [teaching.Stop("one", "First", exercises=("double",)), teaching.Stop("Tea", pause=15), teaching.Stop("one")]
    rows = teaching.rows(stops, teaching.lessons(book), book.titles)
    assert rows == [(45, "[One](one.md) to the end of *First*", "Double"), (15, "Tea", ""), (50, "[One](one.md)", "")]
    assert teaching.schedule(rows).splitlines()[-2:] == ["| 1:50 | **110** | **the end** | |", ":::"]


def test_a_stop_of_some_sections_takes_their_share_and_names_them(made):
    book = made(chapter(650, 330))
    [row] = teaching.rows([teaching.Stop("one", only=("Second",))], teaching.lessons(book), book.titles)
    assert row == (15 + teaching.CHECK, "[One](one.md): *Second*", "")


@pytest.mark.parametrize("name", teaching.SCHEDULES)
def test_nobody_sits_too_long(name, book):
    """Minutes between two pauses, of which the welcome and the close are none."""
    stops = teaching.SCHEDULES[name]
    rows = teaching.rows(stops, teaching.lessons(book), book.titles)
    sat = 0
    for stop, (minutes, _, _) in zip(stops, rows, strict=True):
        sat = 0 if stop.what in ("Break", "Lunch") else sat + minutes
        assert sat <= 105


@pytest.mark.parametrize(
    ("stop", "words"),
    [
        (teaching.Stop("one", "Lost"), "teaches 'Lost'"),
        (teaching.Stop("one", only=("First", "Lost")), "teaches 'Lost'"),
        (teaching.Stop("one", exercises=("lost",)), "exercise 'lost'"),
    ],
)
def test_a_stop_that_is_not_there_is_named(made, stop, words):
    book = made(chapter(10, 10))
    with pytest.raises(SourceError, match=words):
        teaching.rows([stop], teaching.lessons(book), book.titles)


def test_a_chapter_without_its_line_of_minutes_is_named(made):
    book = made(chapter(10, 10).replace("**Time:**", "Time:"))
    with pytest.raises(SourceError, match=r"one\.md:1: the page for teachers needs"):
        teaching.lessons(book)


@pytest.mark.parametrize("text", [("% begin luck", "% begin unlucky"), ("% begin luck", "% begin report")])
def test_a_page_with_a_block_missing_or_too_many_is_refused(book, page, text):
    with pytest.raises(SourceError, match=r"look at .*luck"):
        teaching.renewed(book, page.replace(*text), teaching.wrong_answers())
