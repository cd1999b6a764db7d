"""Figures draw the numbers that they are given."""

import pytest
from matplotlib.colors import same_color

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
