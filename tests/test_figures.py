"""Figures draw the numbers that they are given."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import same_color, to_hex
from scipy import stats

from livervlm.book import figures
from livervlm.book.figures import ARMS, PALETTE, arm_curves, type_one_rates


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
        | {"verdict": ["undecided", "not reproduced", "no verdict yet"]},
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
    (alone,) = figures.forest(lines, intervals={"95 %": ("low", "high")}).axes
    assert [s[:, 0].tolist() for s in alone.collections[0].get_segments() if len(s)][:2] == [[-1, 3], [-4, -2]]
    assert alone.collections[0].get_linewidth() == 5


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


def test_curves_of_arms_with_their_intervals():
    values = {
        "scratch": pd.DataFrame({20: [50.0, 52, 54], 85: [60.0, 61, np.nan]}),
        "model 1": pd.DataFrame({20: [55.0, np.nan, np.nan], 85: [np.nan] * 3}),
    }
    (axis,) = arm_curves(values, "accuracy, %", "patients").axes
    assert (axis.get_ylabel(), axis.get_xlabel(), axis.get_xscale()) == ("accuracy, %", "patients", "log")
    assert [label.get_text() for label in axis.get_xticklabels()] == ["20", "85"]
    scratch, model = axis.containers
    line, _, (bars,) = scratch
    assert same_color(line.get_color(), ARMS["scratch"])
    assert list(line.get_ydata()) == [52, 60.5]
    expected = [stats.t.interval(0.95, 2, 52, 2 / 3**0.5), stats.t.interval(0.95, 1, 60.5, 0.5)]
    assert [(low[1], high[1]) for low, high in bars.get_segments()] == [pytest.approx(pair) for pair in expected]
    line, _, (bars,) = model
    assert line.get_ydata()[0] == 55  # one cohort: a dot without an interval
    assert np.isnan(line.get_ydata()[1])
    assert not any(len(segment) and np.isfinite(segment).all() for segment in bars.get_segments())


def test_named_places_stand_side_by_side():
    table = pd.DataFrame({"noise": [1.0, 2], "half diameter": [3.0, 5]})
    (axis,) = arm_curves({"model 1": table, "model 2": table}, "points").axes
    assert [label.get_text() for label in axis.get_xticklabels()] == ["noise", "half diameter"]
    at = [container[0].get_xdata() for container in axis.containers]
    assert np.all(at[0] < at[1])
    assert np.mean(at, axis=0) == pytest.approx([0, 1])


def test_curves_without_a_record_are_empty_and_quiet(recwarn):
    empty = pd.DataFrame({20: pd.Series(dtype=float), 85: pd.Series(dtype=float)})
    figure = arm_curves({"scratch": empty}, "accuracy, %")
    figure.canvas.draw()
    assert not [warning for warning in recwarn if issubclass(warning.category, RuntimeWarning)]


def test_maps_share_one_scale_or_have_each_its_own():
    rng = np.random.default_rng(0)
    pictures, maps = (
        rng.random((3, 8, 8)),
        {"loud": rng.normal(size=(3, 8, 8)), "soft": 0.1 * rng.normal(size=(3, 8, 8))},
    )
    drawn = figures.map_grid(pictures, maps, ["a", "b", "c"])
    overlays = [axis.images[1] for axis in drawn.axes]
    every = [one for values in maps.values() for one in values]
    assert [image.get_clim() for image in overlays] == [(one.min(), one.max()) for one in every]
    assert all(np.array_equal(axis.images[0].get_array(), pictures[i % 3]) for i, axis in enumerate(drawn.axes))
    drawn = figures.map_grid(pictures, maps, ["a", "b", "c"], limit=2.0)
    assert len(drawn.axes) == 7  # and a colour bar
    assert {axis.images[1].get_clim() for axis in drawn.axes[:6]} == {(-2.0, 2.0)}


def test_scores_of_parts_stand_in_their_lines_with_their_intervals():
    index = pd.MultiIndex.from_tuples(
        [("model 1", "FNH", "scar"), ("model 1", "HEM", "nodules"), ("middle", "FNH", "scar")],
        names=["arm", "class", "part"],
    )
    scores = pd.DataFrame({"mean": [2.0, 1.0, 5.0], "low": [1.5, 0.9, 4.0], "high": [2.5, 1.1, 6.0]}, index=index)
    (axis,) = figures.part_scores(scores, "score", nothing=1).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["FNH: scar", "HEM: nodules"]
    assert axis.get_xscale() == "log"
    first, second = axis.containers
    assert same_color(first[0].get_color(), ARMS["model 1"])
    assert list(first[0].get_xdata()) == [2.0, 1.0]
    assert np.rint(np.array(first[0].get_ydata(), float)).tolist() == [0, 1]
    assert np.rint(np.array(second[0].get_ydata(), float)).tolist() == [0]
    assert second[2][0].get_segments()[0][:, 0].tolist() == [4.0, 6.0]
    (axis,) = figures.part_scores(scores, "correlation", nothing=0).axes
    assert axis.get_xscale() == "linear"
