"""Renew what `book/teaching.md` takes from the chapters: schedules, points, minutes, wrong answers.

A block stands between `% begin NAME` and `% end`; NAME is a schedule or a chapter.  All else on the page is written
by hand.

    python book/tools/teaching.py            write the blocks
    python book/tools/teaching.py --check    exit 1 if the page differs from what the chapters give
"""

import argparse
import math
import re
import sys
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pages import Book, Source
from stubs import SourceError

ROOT = Path(__file__).resolve().parents[2]
PAGE = Path("book/teaching.md")
BLOCK = re.compile(r"^% begin ([\w-]+)\n.*?^% end$", re.M | re.S)
READING = re.compile(r"\*\*Time:\*\* (half an hour|(\d+) minutes) to read")
CELLS = re.compile(r"[Tt]he\s+cells\s+take\s+(.+?)\.")
POINT = re.compile(r"^\*\*The point\.\*\* (.+?)\n\n", re.M | re.S)
TITLE = re.compile(r"\{exercise-start\} (.+), \d+ minutes$", re.M)
CHECK = 10  # minutes at a stop for its question, and for votes and what was asked on the way
TOLD = 3  # wrong answers of an exercise that the page names
CAPTION = "Stops of the schedule, with the time since the beginning, the minutes that each takes, and its exercises."


@dataclass(frozen=True)
class Stop:
    """One entry of a schedule: a chapter to the end of a section, or some sections, with exercises; or a pause."""

    what: str  # the file of a chapter, or words
    through: str = ""  # the last section that is taught; empty for the whole chapter
    only: tuple[str, ...] = ()  # or these sections alone
    exercises: tuple[str, ...] = ()  # the functions that are asked for
    pause: int = 0  # minutes, where `what` is words


WELCOME = "Welcome: who is here, machines, the notebooks"
CLOSE = "Close: each pair chooses one claim and what it would take to believe it; three pairs are heard"
ENDS = "No difference found, or no difference that matters?"  # a section of "Was it luck?"

SCHEDULES = {
    "half-day": [
        Stop(WELCOME, pause=15),
        Stop("reading_ct"),
        Stop("liver_vlm", "Five folds"),
        Stop("Break", pause=15),
        Stop("phase_shuffle", "What does the network read?"),
        Stop("phantom_split", only=("Two splits",)),
        Stop("Break", pause=10),
        Stop("luck", only=("One model, two results", "Four kinds of chance", ENDS)),
        Stop("report", "Claims and verdicts"),
        Stop(CLOSE, pause=10),
    ],
    "full-day": [
        Stop(WELCOME, pause=20),
        Stop("reading_ct", exercises=("window",)),
        Stop("phantom_split", "Two splits"),
        Stop("Break", pause=15),
        Stop("liver_vlm", "Five folds", exercises=("scaled_softmax",)),
        Stop(
            "luck",
            only=("One model, two results", "Four kinds of chance", "Is a p-value calibrated?", ENDS),
            exercises=("false_alarms",),
        ),
        Stop("Lunch", pause=60),
        Stop("phase_shuffle", "What does the network read?", exercises=("sorted_order",)),
        Stop("prompts", "Training with false names"),
        Stop("Break", pause=15),
        Stop("grad_cam", "What happens without the scar?", exercises=("cam",)),
        Stop("report", "Claims and verdicts", exercises=("verdict_of",)),
        Stop(CLOSE, pause=15),
    ],
}


class Lesson:
    """What teachers, and the front page, take from one chapter."""

    def __init__(self, source: Source):
        self.source = source
        self.name = source.path.stem
        self.point = " ".join(self._found(POINT, "a paragraph '**The point.**'")[1].split())
        reading = self._found(READING, "'**Time:** ... to read'")
        self.reading = int(reading[2] or 30)  # minutes
        self.cells = " ".join(self._found(CELLS, "'the cells take ...'")[1].split())
        titles = TITLE.findall(source.text)
        self.titles = {task.name: title for task, title in zip(source.exercises, titles, strict=True)}
        self.minutes = {task.name: task.minutes for task in source.exercises}
        self.exercising = sum(self.minutes.values())

    def _found(self, pattern: re.Pattern, what: str) -> re.Match:
        if match := pattern.search(self.source.text):
            return match
        raise self.source.error(1, f"the page for teachers needs {what}")

    @cached_property
    def sections(self) -> list[tuple[str, int]]:
        """Each section of the chapter before its exercises, with its words; the first is what stands before any."""
        text = "\n\n".join(cell.source for cell in self.source.cells if cell.cell_type == "markdown")
        before, *rest = re.split(r"^## (.+)$", text.partition("\n## Exercises\n")[0], flags=re.M)
        return [("", len(before.split()))] + [(a, len(b.split())) for a, b in zip(rest[::2], rest[1::2], strict=True)]

    def minutes_through(self, section: str) -> int:
        """The minutes to read to the end of `section`, by its share of the words, in steps of five."""
        self._check(section)
        names = [name for name, _ in self.sections]
        return self.minutes_of(names[: names.index(section) + 1])

    def minutes_of(self, sections: Collection[str]) -> int:
        """The minutes to read some sections, by their share of the words, in steps of five."""
        words = dict(self.sections)
        for section in sections:
            self._check(section)
        share = sum(words[section] for section in sections) / sum(words.values())
        return 5 * math.ceil(self.reading * share / 5)

    def _check(self, section: str) -> None:
        if section not in dict(self.sections):
            raise self.source.error(1, f"a schedule of {PAGE} teaches '{section}', which is no section here")


def lessons(book: Book) -> dict[str, Lesson]:
    return {source.path.stem: Lesson(source) for source in book.sources if source.executable}


def rows(stops: list[Stop], taught: dict[str, Lesson], titles: dict[str, str]) -> list[tuple[int, str, str]]:
    """(minutes, what is taught, its exercises) of each stop."""
    found = []
    for stop in stops:
        if stop.pause:
            found.append((stop.pause, stop.what, ""))
            continue
        lesson = taught[stop.what]
        reading, what = lesson.reading, f"[{titles[lesson.source.page]}]({stop.what}.md)"
        if stop.through:
            reading, what = lesson.minutes_through(stop.through), f"{what} to the end of *{stop.through}*"
        elif stop.only:
            reading, what = lesson.minutes_of(stop.only), f"{what}: {', '.join(f'*{name}*' for name in stop.only)}"
        if unknown := set(stop.exercises) - lesson.minutes.keys():
            raise lesson.source.error(1, f"a schedule of {PAGE} has the exercise '{unknown.pop()}', which is not here")
        exercises = sum(lesson.minutes[name] for name in stop.exercises)
        found.append((reading + exercises + CHECK, what, ", ".join(lesson.titles[name] for name in stop.exercises)))
    return found


def schedule(entries: list[tuple[int, str, str]]) -> str:
    lines, start = [f":::{{table}} {CAPTION}", "| from | minutes | what | exercises |", "| --- | --- | --- | --- |"], 0
    for minutes, what, exercises in entries:
        lines.append(f"| {clock(start)} | {minutes} | {what} | {exercises} |")
        start += minutes
    return "\n".join([*lines, f"| {clock(start)} | **{start}** | **the end** | |", ":::"])


def clock(minutes: int) -> str:
    return f"{minutes // 60}:{minutes % 60:02d}"


def summary(title: str, lesson: Lesson, heard: dict[str, list[str]]) -> str:
    """The block of one chapter."""
    exercises = ", ".join(f"*{title}* {lesson.minutes[name]}" for name, title in lesson.titles.items())
    exercises = f"{lesson.exercising} for the exercises ({exercises})" if exercises else "no exercises"
    lines = [
        f"### {title}",
        "",
        f"**The point.** {lesson.point}",
        "",
        f"**Minutes.** {lesson.reading} to read, {exercises}; the cells take {lesson.cells}. "
        f'[The chapter]({lesson.name}.md), <a href="../slides/{lesson.name}.html">its slides</a>.',
    ]
    if lesson.titles:
        lines += ["", ":::{admonition} Wrong answers, and what the checker says to them", ":class: dropdown"]
        for name, title in lesson.titles.items():
            lines += [f"**{title}** (`{name}`)", "", *(f"- {words}" for words in heard[name]), ""]
        lines[-1] = ":::"
    return "\n".join(lines)


def wrong_answers() -> dict[str, list[str]]:
    """checker -> what it says to the first typical wrong answers, where it names the mistake."""
    sys.path.insert(0, str(ROOT / "tests"))
    from test_wrong_answers import WRONG  # a right place for them: there each is tried

    from livervlm.book import exercises

    heard: dict[str, list[str]] = {}
    for name, answer, _ in WRONG:
        words = exercises.CHECKERS[name](answer).words
        told = heard.setdefault(name, [])
        if "expected `" not in words and words not in told and len(told) < TOLD:
            told.append(words)
    return heard


def renewed(book: Book, text: str, heard: dict[str, list[str]]) -> str:
    """The text of the page with every block made anew."""
    taught = lessons(book)
    made = {name: schedule(rows(stops, taught, book.titles)) for name, stops in SCHEDULES.items()}
    made |= {name: summary(book.titles[one.source.page], one, heard) for name, one in taught.items()}
    there = BLOCK.findall(text)
    if sorted(there) != sorted(made):
        wrong = sorted({*there} ^ {*made}) or sorted(name for name in there if there.count(name) > 1)
        raise SourceError(PAGE, 1, f"one block each for schedules and chapters; look at {', '.join(wrong)}")
    return BLOCK.sub(lambda match: f"% begin {match[1]}\n{made[match[1]]}\n\n% end", text)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 on a difference")
    arguments = parser.parse_args(argv)
    page = ROOT / PAGE
    text = page.read_text(encoding="utf-8")
    try:
        new = renewed(Book(ROOT), text, wrong_answers())
    except SourceError as error:
        print(error, file=sys.stderr)
        return 1
    if arguments.check:
        if new != text:
            print(f"{PAGE} differs from what the chapters give: run `make notebooks`", file=sys.stderr)
        return int(new != text)
    page.write_text(new, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
