"""Readers and a machine on the same patients: agreement beyond chance, who errs where, the best of several readers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from ..base.errors import InputError
from .comparisons import Comparison, cluster_bootstrap, paired_t


def counts_of(answers: np.ndarray) -> np.ndarray:
    """How many readers gave each answer to each patient, (n, C) int, answers in sorted order.  answers: (n, readers).

    No answer has to be an answer of its own, such as "none": Fleiss' kappa needs as many answers of every patient.
    """
    answers = np.asarray(answers)
    if answers.ndim != 2 or answers.shape[0] < 2 or answers.shape[1] < 2:
        raise InputError(f"answers {answers.shape}: give two or more patients x two or more readers")
    names, places = np.unique(answers, return_inverse=True)
    return (places.reshape(*answers.shape, 1) == np.arange(len(names))).sum(axis=1)


def fleiss_kappa(counts: np.ndarray) -> float:
    """Agreement of readers beyond chance (Fleiss 1971).  counts: (n, C), as `counts_of` gives them.

    1: all agree on every patient.  0: as often as if each drew from the answers of all.  nan where only one answer was
    ever given, for then chance alone agrees always.
    """
    counts = np.asarray(counts)
    if counts.ndim != 2 or not len(counts) or counts.min() < 0 or np.ptp(counts.sum(axis=1)) or counts[0].sum() < 2:
        raise InputError(f"counts {counts.shape}: give patients x answers, with the same two or more readers in each")
    readers = counts[0].sum()
    observed = (counts * (counts - 1)).sum() / (len(counts) * readers * (readers - 1))
    chance = ((counts.sum(axis=0) / counts.sum()) ** 2).sum()
    return float((observed - chance) / (1 - chance)) if chance < 1 else np.nan


def kappa_interval(answers: np.ndarray, n_boot: int = 2000, seed: int = 0) -> tuple[float, float, float]:
    """`fleiss_kappa` and its 95 % interval when patients are drawn again; the readers stay.  answers: (n, readers).

    InputError where a resample holds one answer only.
    """
    counts = counts_of(answers)
    return cluster_bootstrap(fleiss_kappa, np.arange(len(counts)), counts, n_boot=n_boot, seed=seed)


def agreement(a: np.ndarray, b: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    """How many patients got each pair of answers: rows what a said, columns what b said, both in the order of `names`.

    a, b: (n,).  With the truth for a, it is the confusion matrix of b.  InputError for an answer that is not named.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.ndim != 1:
        raise InputError(f"a {a.shape}, b {b.shape}: give one answer of each to every patient")
    if strange := sorted({*a.tolist(), *b.tolist()} - {*names}):
        raise InputError(f"answer {strange[0]!r}: not among the names; add it to {', '.join(names)}")
    return pd.crosstab(a, b).reindex(index=list(names), columns=list(names), fill_value=0)


@dataclass(frozen=True)
class Errors:
    """Who is right where: numbers of patients."""

    both_right: int
    a_only: int  # a right, b wrong
    b_only: int
    both_wrong: int
    difference: Comparison  # accuracy of a less that of b, as shares, paired by patient

    @property
    def n(self) -> int:
        return self.both_right + self.a_only + self.b_only + self.both_wrong

    @property
    def p(self) -> float:
        """McNemar's exact test: of the patients in whom one errs alone, is each as often that one?"""
        alone = self.a_only + self.b_only
        return float(stats.binomtest(self.a_only, alone).pvalue) if alone else 1.0


def paired_errors(right_a: np.ndarray, right_b: np.ndarray) -> Errors:
    """Who errs where the other does not.  right_a, right_b: (n,) bool, of the same patients, two or more."""
    a, b = _right(right_a, 1), _right(right_b, 1)
    difference = paired_t(a, b)  # checks the shapes
    return Errors(int((a & b).sum()), int((a & ~b).sum()), int((~a & b).sum()), int((~a & ~b).sum()), difference)


@dataclass(frozen=True)
class Best:
    """A machine against the best of several readers in each group; shares of patients.

    low, high: 95 % interval of `difference` when patients are drawn again within their groups and the best is chosen
    again.  optimism: how much better, on average, a best reader looks on the patients that chose it than on others
    (Efron 1983): the winner's curse.  It flatters the readers, so the machine's lead over the reader who would be
    chosen is underrated by about as much.
    """

    chosen: dict  # group -> place of the reader
    machine: float
    best: float
    low: float
    high: float
    optimism: float

    @property
    def difference(self) -> float:
        """The machine less the best readers."""
        return self.machine - self.best


def against_best(
    machine: np.ndarray, readers: np.ndarray, group: np.ndarray, n_boot: int = 2000, seed: int = 0
) -> Best:
    """In each group the reader who is right most often there, the first of equals; together set against the machine.

    machine: (n,) bool, whether right.  readers: (n, R) bool.  group: (n,), such as the true class.
    """
    machine, readers, group = _right(machine, 1), _right(readers, 2), np.asarray(group)
    if not (len(machine) == len(readers) == len(group)) or not len(group):
        raise InputError(f"machine {machine.shape}, readers {readers.shape}, group {group.shape}: one row per patient")
    rng, n = np.random.default_rng(seed), len(group)
    chosen, best, differences, optimism = {}, 0, np.zeros(n_boot), np.zeros(n_boot)
    for name in np.unique(group).tolist():
        here = group == name
        of_all = readers[here].mean(axis=0)  # (R,)
        chosen[name] = int(of_all.argmax())
        best += readers[here].sum(axis=0).max()
        times = rng.multinomial(here.sum(), np.full(here.sum(), 1 / here.sum()), n_boot)  # drawn: (n_boot, patients)
        right = times @ readers[here]  # (n_boot, R)
        winner = right.argmax(axis=1)
        differences += times @ machine[here] - right.max(axis=1)
        optimism += right.max(axis=1) - here.sum() * of_all[winner]
    low, high = np.quantile(differences / n, (0.025, 0.975))
    return Best(chosen, float(machine.mean()), float(best / n), float(low), float(high), float(optimism.mean() / n))


def _right(values: np.ndarray, ndim: int) -> np.ndarray:
    values = np.asarray(values)
    if values.dtype != bool or values.ndim != ndim:
        raise InputError(f"right: {values.dtype} of shape {values.shape}; give True where an answer is right")
    return values
