"""Slices whose phases are reordered, in a real browser."""

import re

import numpy as np
import pytest
from conftest import make_toy
from moving_page import ROWS, check_pictures, document

from livervlm.base.errors import InputError
from livervlm.book.moving import phase_order
from livervlm.models.prompts import prompts_by_order
from livervlm.scans.phases import order_names, orders


@pytest.fixture(scope="module")
def answers():
    """Logits of two networks: (rows, orders, prompts, classes)."""
    rng = np.random.default_rng(0)
    return {name: rng.normal(scale=5, size=(len(ROWS), 6, 2, 4)) for name in ("plain", "augmented")}


def check_orders(page, toy, answers, network, slice_, order) -> None:
    """Channels, prompt, bars and words are those of one network, one slice and one order of its phases."""
    row = ROWS[slice_]
    truth = toy.label[row]
    check_pictures(page, toy.hu[row][orders(3)[order].numpy()], 40, 400)
    captions = page.locator(".phases > div").all_inner_texts()
    assert [caption.strip() for caption in captions] == list(order_names(toy.phases)[order])
    (prompt,) = prompts_by_order("enriched", toy.classes, toy.phases)[order][truth]
    assert page.locator(".sentence").inner_text() == prompt
    logits = answers[network][slice_, order]
    bars = page.locator(".bar")
    shown = [float(text.split("\n")[-1].replace("−", "-")) for text in bars.all_inner_texts()]
    assert shown == pytest.approx(logits.ravel(), abs=0.0051)
    assert [i for i, text in enumerate(bars.all_inner_texts()) if "(true)" in text] == [truth, 4 + truth]
    said = page.get_by_role("status").inner_text()
    assert said.startswith(f"{network}, {' '.join(order_names(toy.phases)[order])}:")
    assert re.findall("CYST|FNH|HCC|HEM", said) == [toy.classes[i] for i in logits.argmax(axis=1)]
    assert float(re.search(r"[\d.]+$", said)[0]) == pytest.approx(np.abs(logits[0] - logits[1]).max(), abs=0.0051)
    pressed = page.locator("button[aria-pressed=true]").all_inner_texts()
    assert pressed == [network, f"{slice_ + 1} {toy.classes[truth]}", " ".join(order_names(toy.phases)[order])]


def test_the_order_moves_channels_prompt_and_logits(page, toy, answers):
    page.set_content(document(phase_order(toy, ROWS, answers)._repr_html_()))
    check_orders(page, toy, answers, "plain", 0, 5)
    page.get_by_role("button", name="NC ART PV").click()
    check_orders(page, toy, answers, "plain", 0, 0)
    page.get_by_role("button", name="3 ", exact=False).click()
    page.get_by_role("button", name="augmented").click()
    check_orders(page, toy, answers, "augmented", 2, 0)
    page.get_by_role("button", name="ART PV NC").focus()
    page.keyboard.press("Enter")
    check_orders(page, toy, answers, "augmented", 2, 3)


def test_bars_go_to_their_side_of_zero_and_share_one_axis(page, toy, answers):
    page.set_content(document(phase_order(toy, ROWS, answers)._repr_html_()))
    top = max(np.abs(values).max() for values in answers.values())
    ends = page.locator(".bar div").evaluate_all(
        """areas => areas.map(area => {
            const style = getComputedStyle(area);
            const [place, size] = [style.backgroundPosition, style.backgroundSize].map(
                (list) => parseFloat(list.split(", ").at(-1)));
            const left = place * (100 - size) / 100;
            return [left, left + size];
        })"""
    )
    for (left, right), logit in zip(ends, answers["plain"][0, 5].ravel(), strict=True):
        reach = 50 + 50 * logit / top
        assert (left, right) == pytest.approx((min(50, reach), max(50, reach)), abs=0.01)


def test_any_number_of_phases_is_reordered_and_fits_a_phone(browser):
    toy, rng = make_toy(phases=("NC", "ART", "PV", "DL")), np.random.default_rng(0)
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.set_content(
        document(
            '<meta name="viewport" content="width=device-width">',
            phase_order(toy, [0], {"plain": rng.normal(size=(1, 24, 2, 4))})._repr_html_(),
        )
    )
    page.get_by_role("button", name="DL NC PV ART").click()
    check_pictures(page, toy.hu[0][[3, 0, 2, 1]], 40, 400)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.close()


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        ({}, "at least one network"),
        ({"plain": np.zeros((3, 6, 4))}, r"logits of plain: shape \(3, 6, 4\); expected \(3, 6, 2, 4\)"),
        ({"plain": np.full((3, 6, 2, 4), np.nan)}, "logits of plain: some are not finite"),
    ],
)
def test_logits_that_cannot_be_shown(toy, logits, message):
    with pytest.raises(InputError, match=message):
        phase_order(toy, ROWS, logits)
