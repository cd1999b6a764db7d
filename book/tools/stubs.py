"""The exercises of a page.  A solution is the only source; the stub that a learner fills in is made from it.

The task stands between `{exercise-start} Title, 10 minutes` and `{exercise-end}`; its one code cell is the stub, which
is generated.  The solution stands between `{solution-start} ex-name` and `{solution-end}`; its one code cell is a
function and the check that judges it.
"""

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from markdown_it.token import Token

ANSWER = "    raise NotImplementedError  # put your answer here"
FENCE = re.compile(r"\{(code-cell|(?:exercise|solution)-(?:start|end))\}\s*(.*)")
MINUTES = re.compile(r".+, (\d+) minutes")
FORM = "the code of a solution is one function with a docstring, then 'exercises.NAME(NAME)'"


class SourceError(ValueError):
    """A source that cannot become a notebook; the message names its file and line."""

    def __init__(self, path: Path, line: int, message: str):
        super().__init__(f"{path.as_posix()}:{line}: {message}")


@dataclass(frozen=True)
class Exercise:
    """An exercise of a page, with the code of its two cells."""

    name: str  # of the function that is asked for, and of its checker in livervlm.exercises
    label: str
    minutes: int
    stub: str
    solution: str
    place: slice  # the lines of the page that the stub's cell takes


def exercises(path: Path, tokens: Iterable[Token]) -> list[Exercise]:
    """The exercises with code on a page, in order, by the block tokens of its text."""
    found, tasks = [], {}
    opening, cells = None, []
    for token in tokens:
        match = FENCE.match(token.info.strip()) if token.type in ("fence", "colon_fence") else None
        if not match:
            continue
        kind, argument = match.groups()
        if kind == "code-cell":
            cells.append(token)
        elif kind.endswith("start"):
            opening, cells, title = token, [], argument
        elif opening is None:
            raise SourceError(path, token.map[0] + 1, f"{{{kind}}} has no start")
        elif kind == "exercise-end":
            label, minutes = option(opening, "label"), MINUTES.fullmatch(title)
            line = opening.map[0] + 1
            if not label:
                raise SourceError(path, line, "{exercise-start} has no ':label: ex-name'")
            if not minutes:
                raise SourceError(path, line, "{exercise-start} needs a title with minutes: 'Title, 10 minutes'")
            if len(cells) > 1:
                raise SourceError(path, line, "an exercise holds one code cell, its stub, which is generated")
            place = slice(*cells[0].map) if cells else slice(token.map[0], token.map[0])
            tasks[label] = (line, int(minutes[1]), place)
            opening = None
        else:
            line = opening.map[0] + 1
            if title not in tasks:
                raise SourceError(path, line, f"{{solution-start}} {title} follows no exercise with that label")
            if option(opening, "class") != "dropdown":
                raise SourceError(path, line, "{solution-start} needs ':class: dropdown', or it lies open")
            if len(cells) != 1:
                raise SourceError(path, line, f"a solution holds one code cell; this one has {len(cells)}")
            _, minutes, place = tasks.pop(title)
            solution = cells[0].content.rstrip("\n")
            try:
                name, stub = stub_of(solution)
            except (SyntaxError, ValueError) as error:
                raise SourceError(path, cells[0].map[0] + 1, str(error)) from error
            found.append(Exercise(name, title, minutes, stub, solution, place))
            opening = None
    for label, (line, *_) in tasks.items():
        raise SourceError(path, line, f"exercise '{label}' has no {{solution-start}} {label}")
    return found


def option(fence: Token, name: str) -> str:
    match = re.search(rf"^:{name}:\s*(\S+)\s*$", fence.content, re.MULTILINE)
    return match[1] if match else ""


def stub_of(solution: str) -> tuple[str, str]:
    """The name of the function in a solution, and the solution with all after its docstring taken out."""
    tree, lines = ast.parse(solution), solution.splitlines()
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    if len(functions) != 1 or ast.get_docstring(functions[0]) is None:
        raise ValueError(FORM)
    (function,) = functions
    if ast.unparse(tree.body[-1]) != f"exercises.{function.name}({function.name})":
        raise ValueError(FORM)
    return function.name, "\n".join([*lines[: function.body[0].end_lineno], ANSWER, *lines[function.end_lineno :]])


def with_stubs(text: str, exercises: Iterable[Exercise]) -> str:
    """The text of a page with the stub of each exercise as its solution gives it."""
    lines = text.splitlines()
    for exercise in sorted(exercises, key=lambda exercise: exercise.place.start, reverse=True):
        new = exercise.place.start == exercise.place.stop
        cell = ["```{code-cell} ipython3", *exercise.stub.splitlines(), "```"]
        lines[exercise.place] = [*cell, ""] if new else cell
    return "\n".join(lines) + "\n"
