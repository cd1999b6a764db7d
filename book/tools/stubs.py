"""The exercises of a page.  A solution is the only source; the stub that a learner fills in is made from it.

The task stands between `{exercise-start} Title, 10 minutes` and `{exercise-end}`; its one code cell is the stub, which
is generated.  The solution stands between `{solution-start} ex-name` and `{solution-end}`; its one code cell is a
function and the check that judges it.
"""

import ast
import re
from collections.abc import Iterable, Iterator
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
    minutes: int
    stub: str
    solution: str
    place: slice  # the lines of the page that the stub's cell takes


@dataclass
class Gate:
    """What stands between a `-start` and its `-end`."""

    kind: str  # "exercise" or "solution"
    argument: str
    options: str
    line: int  # of the start, from 1
    cells: list[Token]
    end: int = 0  # from 0, as in tokens

    def option(self, name: str) -> str:
        match = re.search(rf"^:{name}:\s*(\S+)\s*$", self.options, re.MULTILINE)
        return match[1] if match else ""


def gates(path: Path, tokens: Iterable[Token]) -> Iterator[Gate]:
    gate = None
    for token in tokens:
        match = FENCE.match(token.info.strip()) if token.type in ("fence", "colon_fence") else None
        if not match:
            continue
        (kind, _, end), line = match[1].partition("-"), token.map[0] + 1
        if kind == "code":
            if gate:
                gate.cells.append(token)
        elif end == "start":
            if gate:
                raise SourceError(path, gate.line, f"{{{gate.kind}-start}} has no end before line {line}")
            gate = Gate(kind, match[2], token.content, line, [])
        elif not gate or gate.kind != kind:
            raise SourceError(path, line, f"{{{kind}-end}} has no start")
        else:
            gate.end = token.map[0]
            yield gate
            gate = None
    if gate:
        raise SourceError(path, gate.line, f"{{{gate.kind}-start}} has no end")


def exercises(path: Path, tokens: Iterable[Token]) -> list[Exercise]:
    """The exercises with code on a page, in order, by the block tokens of its text."""
    found, tasks = [], {}
    for gate in gates(path, tokens):
        if gate.kind == "exercise":
            if not gate.option("label"):
                raise SourceError(path, gate.line, "{exercise-start} has no ':label: ex-name'")
            if not MINUTES.fullmatch(gate.argument):
                raise SourceError(path, gate.line, "{exercise-start} needs a title with minutes: 'Title, 10 minutes'")
            if len(gate.cells) > 1:
                raise SourceError(path, gate.line, "an exercise holds one code cell, its stub, which is generated")
            tasks[gate.option("label")] = gate
            continue
        if gate.argument not in tasks:
            raise SourceError(path, gate.line, f"{{solution-start}} {gate.argument} follows no exercise of that label")
        if gate.option("class") != "dropdown":
            raise SourceError(path, gate.line, "{solution-start} needs ':class: dropdown', or it lies open")
        if len(gate.cells) != 1:
            raise SourceError(path, gate.line, f"a solution holds one code cell; this one has {len(gate.cells)}")
        task, (cell,) = tasks.pop(gate.argument), gate.cells
        solution = cell.content.rstrip("\n")
        try:
            name, stub = stub_of(solution)
        except (SyntaxError, ValueError) as error:
            raise SourceError(path, cell.map[0] + 1, str(error)) from error
        minutes = int(MINUTES.fullmatch(task.argument)[1])
        place = slice(*task.cells[0].map) if task.cells else slice(task.end, task.end)
        found.append(Exercise(name, minutes, stub, solution, place))
    for label, task in tasks.items():
        raise SourceError(path, task.line, f"exercise '{label}' has no {{solution-start}} {label}")
    return found


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
