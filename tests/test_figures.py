"""Figures draw the numbers that they are given."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import same_color, to_hex
from scipy import stats

from livervlm import figures
from livervlm.figures import PALETTE, type_one_rates


def test_rates_of_false_alarm_with_their_errors():
    rates = {
        0.0: {"slices": (0.05, 0.01), "patients": (0.06, 0.02)},
        0.5: {"slices": (0.25, 0.03), "patients": (0.0, 0.0)},
    }
    (axis,) = type_one_rates(rates, alpha=0.1).axes
    level, *_ = axis.get_lines()
    assert list(level.get_ydata()) == [10, 10]
    for unit, container, colour in zip(("slices", "patients"), axis.containers, PALETTE, strict=False):
        line, _, (bars,) = container
        assert container.get_label() == f"counting {unit}"
        assert same_color(line.get_color(), colour)
        assert list(line.get_xdata()) == [0, 0.5]
        assert line.get_ydata() == pytest.approx([100 * found[unit][0] for found in rates.values()])
        for (low, high), found in zip(bars.get_segments(), rates.values(), strict=True):
            rate, error = found[unit]
            assert (low[1], high[1]) == pytest.approx((100 * (rate - 2 * error), 100 * (rate + 2 * error)))


def test_a_forest_of_cohorts_shows_both_intervals_the_margin_and_the_verdicts():
    lines = pd.DataFrame(
        {"difference": [1.0, -3.0, np.nan], "low": [-1, -4, np.nan], "high": [3, -2, np.nan]}
        | {"low 90": [-0.5, -3.8, np.nan], "high 90": [2.5, -2.2, np.nan]}
        | {"verdict": ["undecided", "not reproduced", "no record yet"]},
        index=["first", "second", "third"],
    )
    (axis,) = figures.forest(lines, margin=2).axes
    drawn = {c.get_label(): [s[:, 0].tolist() for s in c.get_segments() if len(s)] for c in axis.collections[:2]}
    assert drawn["95 %"][:2] == [[-1, 3], [-4, -2]]
    assert drawn["90 %"][:2] == [[-0.5, 2.5], [-3.8, -2.2]]
    dots = {c.get_label(): (c.get_offsets().tolist(), to_hex(c.get_facecolor()[0])) for c in axis.collections[2:]}
    assert dots == {
        "undecided": ([[1.0, 0.0]], to_hex(figures.VERDICTS["undecided"])),
        "not reproduced": ([[-3.0, 1.0]], to_hex(figures.VERDICTS["not reproduced"])),
    }
    (grey,) = axis.patches
    assert (grey.get_x(), grey.get_width()) == (-2, 4)


def test_cohort_dots_leave_out_what_is_not_recorded_and_end_at_the_t_interval():
    accuracy = pd.DataFrame({"model 1": [70.0, 74.0, 78.0], "model 2": [71.0, np.nan, np.nan], "none": [np.nan] * 3})
    (axis,) = figures.cohort_dots(accuracy, ideal=95).axes
    dots = [c.get_offsets()[:, 0].tolist() for c in axis.collections if isinstance(c, PathCollection)]
    assert [70.0, 74.0, 78.0] in dots
    assert [71.0] in dots
    (bars,) = axis.containers
    low, high = stats.ttest_1samp([70, 74, 78], 0).confidence_interval()
    assert bars[2][0].get_segments()[0][:, 0] == pytest.approx([low, high])
    assert 95 in [line.get_xdata()[0] for line in axis.lines]
