"""How an answer is judged: what any checker needs."""

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

CHECKERS: dict[str, Callable[[Callable], "Verdict"]] = {}


class Wrong(Exception):
    """An answer is wrong; the message tells the learner how."""


@dataclass(frozen=True, repr=False)
class Verdict:
    """What a checker found: true where the answer is right; as the last line of a cell it shows its words."""

    passed: bool
    words: str

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return self.words

    _repr_markdown_ = __repr__


def checker(check: Callable[[Callable], None]) -> Callable[[Callable], Verdict]:
    """Make a checker of `check`, which calls the answer that it is given and raises `Wrong`.

    Whatever can go wrong with any answer is told from here: not answered yet, stopped by an exception, nothing
    returned, the given arrays changed.
    """
    name = check.__name__

    def judge(answer: Callable) -> Verdict:
        if not callable(answer):
            return Verdict(False, f"Give the function and not what it returns: `exercises.{name}({name})`.")
        try:
            with np.errstate(all="ignore"):
                check(functools.partial(_call, answer))
        except Wrong as wrong:
            return Verdict(False, str(wrong))
        return Verdict(True, f"Right: `{name}` does what was asked.")

    judge.__name__ = judge.__qualname__ = name
    judge.__doc__ = check.__doc__
    CHECKERS[name] = judge
    return judge


def _call(answer: Callable, *given: Any) -> Any:
    before = copy.deepcopy(given)
    try:
        result = answer(*given)
    except NotImplementedError:
        raise Wrong("Not answered yet: put your answer into the function, then run the cell again.") from None
    except Exception as error:
        inside = error.__traceback__.tb_next  # None where the call itself failed
        where = f" in line {inside.tb_lineno} of its cell" if inside else ""
        said = f"{type(error).__name__}: {error}".replace("`", "'")
        raise Wrong(f"Your function stopped{where}: `{said}`.") from error
    if result is None:
        raise Wrong("Your function returns nothing: end it with `return` and the answer.")
    if any(not np.array_equal(a, b) for a, b in zip(given, before, strict=True)):
        raise Wrong("Your function changes the array that it is given: work on a new one.")
    return result


def array_of(result: Any, shape: tuple[int, ...], nan: str = "somewhere 0 is divided by 0.") -> np.ndarray:
    """`result` as numbers of this shape; `nan` says where a nan among them comes from."""
    try:
        array = np.asarray(result, dtype=float)
    except (TypeError, ValueError, RuntimeError):
        raise Wrong(f"Your function returns a {type(result).__name__} that is no array of numbers.") from None
    if array.shape != shape:
        shown = "one number" if shape == () else f"an array of shape {shape}"
        raise Wrong(f"Your answer has shape {array.shape}; asked for was {shown}.")
    if np.isnan(array).any():
        raise Wrong(f"Your answer holds nan: {nan}")
    return array


def expect(got: np.ndarray, expected: Any, example: str) -> None:
    """What remains to be said where no mistake could be named."""
    if not np.allclose(got, expected, atol=1e-4):
        raise Wrong(f"For {example}: expected `{as_text(expected)}`, got `{as_text(got)}`.")


def as_text(values: Any) -> str:
    return np.array2string(np.asarray(values), precision=3, suppress_small=True, separator=", ").replace("\n", "")
