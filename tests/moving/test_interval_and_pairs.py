"""A paired t under a number of pairs that is moved, in a real browser."""

import re

import numpy as np
import pytest
from moving_page import document, set_slider, spec_of, value_of
from scipy import stats

from livervlm.base.errors import InputError
from livervlm.book.moving import interval_and_pairs
from livervlm.evaluation.comparisons import Comparison, power, verdicts

PLANS = (5, 12, 46)


@pytest.mark.parametrize(("n", "sd", "difference"), [(3, 1, 0), (5, 5, 2), (12, 1.5, 0.5), (46, 2.5, 1), (100, 8, 6)])
def test_pairs_spread_and_difference_move_interval_verdict_and_chances(page, n, sd, difference):
    page.set_content(document(interval_and_pairs(2, PLANS)._repr_html_()))
    for name, value in {"Pairs": n, "sd": sd, "Difference": difference}.items():
        set_slider(page, name, value)
    expected = Comparison(difference, sd / np.sqrt(n), n - 1, n)
    said = page.get_by_role("status").inner_text()
    ends = [float(end.replace("−", "-")) for end in re.findall(r"−?\d+\.\d", said)]
    assert ends == pytest.approx(expected.interval(), abs=0.051)
    assert said.endswith(f"verdict: {verdicts([expected], 2)[0]}")
    sample = stats.norm(difference, sd / np.sqrt(n)).rvs(100_000, random_state=0)
    error = sd * np.sqrt(stats.chi2(n - 1).rvs(100_000, random_state=1) / (n - 1) / n)
    equal = np.mean(np.abs(sample) + stats.t.ppf(0.95, n - 1) * error < 2)
    shown = [float(re.search(r"[\d.]+(?= %)", bar)[0]) for bar in page.locator(".bar").all_inner_texts()]
    assert shown[0] == pytest.approx(100 * power(difference, sd, n), abs=0.06)
    assert shown[1] == pytest.approx(100 * equal, abs=0.7)


def test_pairs_are_chosen_by_key_and_by_button(page):
    page.set_content(document(interval_and_pairs(2, PLANS)._repr_html_()))
    page.get_by_label("Pairs", exact=True).focus()
    page.keyboard.press("ArrowRight")
    assert value_of(page, "Pairs") == 6
    assert page.locator("button[aria-pressed=true]").count() == 0
    page.get_by_role("button", name="46", exact=True).click()
    assert value_of(page, "Pairs") == 46
    assert page.locator("button[aria-pressed=true]").all_inner_texts() == ["46"]


@pytest.mark.parametrize("margin", [0, -2, 6, float("nan")])
def test_margins_that_cannot_be_shown(margin):
    with pytest.raises(InputError, match="above 0 and at most 5"):
        interval_and_pairs(margin, PLANS)


def test_plans_are_sorted_and_named_once_and_the_smallest_comes_first():
    spec = spec_of(interval_and_pairs(2, np.array([46, 12, 46, 30]))._repr_html_())
    assert spec["presets"] == [12, 30, 46]
    assert spec["start"][0] == 12


@pytest.mark.parametrize("plans", [[], [2], [5, 101], [5.0, 30], ["five"], [5, None]])
def test_plans_that_cannot_be_shown(plans):
    with pytest.raises(InputError, match="numbers of pairs from 3 to 100"):
        interval_and_pairs(2, plans)
