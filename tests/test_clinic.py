"""Figures of what a clinic asks draw the numbers that they are given."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import same_color
from test_patients import answers

from livervlm.book.clinic import accuracy_lines, roc_curves
from livervlm.book.figures import PALETTE


def test_each_targets_curve_has_its_colour_and_the_specificity_is_dashed():
    found = answers()
    (axis,) = roc_curves(found, specificity=0.8).axes
    _, level, *curves = axis.get_lines()
    assert level.get_xdata() == pytest.approx([20, 20])
    assert [curve.get_label() for curve in curves] == list(found.classes)
    for curve, colour in zip(curves, PALETTE, strict=False):
        alarms, sensitivity = found.roc(curve.get_label())
        assert curve.get_xdata() == pytest.approx(100 * alarms)
        assert curve.get_ydata() == pytest.approx(100 * sensitivity)
        assert same_color(curve.get_color(), colour)


def test_a_panel_for_each_quantity_and_a_line_for_each_group():
    table = pd.DataFrame({"median": [10.0, 30.0], "accuracy": [50.0, 70.0], "low": [45.0, 60.0], "high": [52.0, 75.0]})
    groups = {"all": table, "CYST": table + 1}
    panels = accuracy_lines({"diameter, mm": groups, "contrast, HU": {"all": table}}).axes
    assert [axis.get_xlabel() for axis in panels] == ["diameter, mm", "contrast, HU"]
    assert [[c.get_label() for c in axis.containers] for axis in panels] == [["all", "CYST"], ["all"]]
    line, _, (bars,) = panels[0].containers[1]
    assert (line.get_xdata().tolist(), line.get_ydata().tolist()) == ([11, 31], [51, 71])
    assert same_color(line.get_color(), PALETTE[0])
    assert np.array([ends[:, 1] for ends in bars.get_segments()]) == pytest.approx(np.array([[46, 53], [61, 76]]))
