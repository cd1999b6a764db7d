"""Promises of five folds, hospital by hospital, in a real browser."""

import re

import numpy as np
import pytest
from moving_page import document, set_slider

from livervlm.base.errors import InputError
from livervlm.book.moving import promises
from livervlm.book.moving.promises import HOSPITALS, OTHERS, REACH


def simulated(gain, between, folds, network):
    """What each fold finds, inside and outside, (..., HOSPITALS) each, from the same numbers, worked out apart."""
    own, trained, others, *of_folds = np.random.default_rng(0).standard_normal((HOSPITALS, 8)).T
    lasting, luck = gain + between * own, network * trained
    found = lasting + folds * np.sqrt(5) * np.array(of_folds)  # (5, HOSPITALS)
    return found, lasting + luck, gain + between * others / np.sqrt(OTHERS) + luck


def numbers(text: str) -> list[float]:
    return [float(found.replace("−", "-")) for found in re.findall(r"−?\d+(?:\.\d+)?", text)]


@pytest.mark.parametrize("sds", [(1, 1, 3, 1), (2, 4, 0.5, 0), (-1, 0, 2, 2)])
def test_hospitals_are_drawn_and_judged(page, sds):
    page.set_content(document(promises()._repr_html_()))
    for name, value in zip(
        ("Gain", "Between hospitals", "Luck of five folds", "Luck of the network"), sds, strict=True
    ):
        set_slider(page, name, value)
    found, inside, outside = simulated(*sds)
    promised = found.mean(axis=0)
    assert promised.std() == pytest.approx(np.hypot(sds[1], sds[2]), rel=0.4)
    for _ in range(2):
        page.get_by_role("button", name="One more hospital").click()
    said = numbers(page.get_by_role("status").inner_text())
    assert said == pytest.approx([3, *found[:, 2], promised[2], inside[2], outside[2]], abs=0.051)
    ticks = re.findall(r"M ([\d.]+) ([\d.-]+) v 8", page.locator("path.folds").get_attribute("d"))
    in_reach = found[abs(found[:, 2]) <= REACH, 2]
    assert [float(x) for x, _ in ticks] == pytest.approx(50 + 50 * in_reach / REACH, abs=0.01)
    assert [float(y) for _, y in ticks] == pytest.approx([46 + 50 * inside[2] / REACH] * len(in_reach), abs=0.01)
    assert page.locator("circle").count() == 3
    page.get_by_role("button", name=f"All {HOSPITALS}").click()
    shown, of, wrong_in, wrong_out, *r = numbers(page.locator("p").last.inner_text())
    assert (shown, of) == (HOSPITALS, HOSPITALS)
    assert (wrong_in, wrong_out) == ((inside * promised < 0).sum(), (outside * promised < 0).sum())
    wanted = [np.corrcoef(promised, truth)[0, 1] for truth in (inside, outside) if truth.std() > 0]
    assert r == pytest.approx(wanted, abs=0.0051)
    page.get_by_role("button", name="Begin again").click()
    assert page.locator("circle").count() == 1


@pytest.mark.parametrize("value", [-0.5, 4.5, float("nan")])
def test_spreads_that_cannot_be_shown(value):
    with pytest.raises(InputError, match=r"luck of five folds .+: give 0 to 4 points"):
        promises(folds=value)
