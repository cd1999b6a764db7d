"""The claims of the paper on key slices (Bioengineering 2025): what its own numbers bear, and the phantom's verdict.

The claims are in our words and stand in `data/key_slices.json`: the public copies have the paper's tables, and hardly
any of its text.
"""

from collections.abc import Sequence

import pandas as pd

from ...evaluation.retrieval import printed
from .summary import contrasts, declared

FINDINGS = 87  # all printed shares are whole numbers of these
COLUMNS = ["in the paper", "its own numbers", "phantom", "difference on the phantom"]


def claims(records: Sequence[dict]) -> pd.DataFrame:
    """A line for each claim, then one for each contrast that the paper has no claim about; `COLUMNS` are words.

    records: of all cohorts.
    """
    mine, lines, judged = declared()["claims"], {}, contrasts(records)

    def phantom(name: str) -> tuple[str, str]:
        found = judged.loc[name]
        return found["on the paper"], "{difference:+.1f} ({low:+.1f} to {high:+.1f}), n = {n:.0f}".format(**found)

    for one in mine:
        told = phantom(one["contrast"]) if "contrast" in one else (one["phantom"], "")
        numbers = "; ".join(own_numbers(one["table"], *pair) for pair in one["pairs"])
        lines[one["claim"]] = (one["where"], numbers, *told)
    about = {one.get("contrast") for one in mine}
    for one in declared()["contrasts"]:
        if one["name"] not in about:
            lines[one["claim"]] = ("no claim: the book asks", "none", *phantom(one["name"]))
    return pd.DataFrame.from_dict(lines, orient="index", columns=COLUMNS)


def own_numbers(table: str, worse: str, better: str) -> str:
    """What a printed table says of two of its rows, in words.

    Shares of the findings: both counts and their difference in points, with Newcombe's 95 % interval for two separate
    samples, as the paper does not print which findings both had right.  Organ presence: the means over the organs, and
    in how many of them the second is higher; a side is a model and "word" or "sentence".
    """
    from statsmodels.stats.proportion import confint_proportions_2indep  # slow to import

    if table == "organ presence":
        every = printed(table)
        low, high = (every[tuple(side.split(", "))] for side in (worse, better))
        more = f"higher in {(high > low).sum()} of {len(low)} organs"
        return f"{better} {high.mean():.3f}, {worse} {low.mean():.3f}, {more}"
    shares = printed(table).iloc[:, 0]
    a, b = (round(FINDINGS * shares[name] / 100) for name in (better, worse))
    ends = confint_proportions_2indep(a, FINDINGS, b, FINDINGS, method="newcomb")
    points, low, high = (100 * value for value in ((a - b) / FINDINGS, *ends))
    return f"{better} {a} of {FINDINGS}, {worse} {b}: {points:+.1f} points ({low:+.1f} to {high:+.1f})"
