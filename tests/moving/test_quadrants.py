"""Feature maps that lose a quadrant, in a real browser."""

import numpy as np
import pytest
from moving_page import ROWS, document, drawn, windowed
from scipy.special import softmax

from livervlm.base.errors import InputError
from livervlm.book.moving import quadrants
from livervlm.book.moving.quadrants import TRANSFORMS


@pytest.fixture(scope="module")
def joint():
    return np.random.default_rng(1).normal(scale=3, size=(len(ROWS), 2, 5, 20)).astype(np.float32)


@pytest.fixture
def opened(page, toy, joint):
    page.set_content(document(quadrants(toy, ROWS, "PV", joint)._repr_html_()))
    return page


def together(page) -> list[float]:
    bars = page.get_by_role("group", name="Together").locator(".bar").all_inner_texts()
    return [float(text.split("\n")[-1].removesuffix(" %")) for text in bars]


def aggregate(joint, slice_, transforms, depths) -> np.ndarray:
    """The mean over transforms and depths of the joint logit of each class at that very transform."""
    return np.mean([joint[slice_, d, i].reshape(4, 5)[:, i] for d in depths for i in transforms], axis=0)


def press(page, group: str, name: str) -> None:
    page.get_by_role("group", name=group, exact=True).get_by_role("button", name=name, exact=True).click()


def test_ticked_transforms_and_heads_are_aggregated(opened, toy, joint):
    assert together(opened) == pytest.approx(100 * softmax(aggregate(joint, 0, range(5), (0, 1))), abs=0.51)
    press(opened, "Counted", "no upper left")
    press(opened, "Counted", "whole")
    press(opened, "Heads", "shallow")
    opened.get_by_role("button", name="2 ", exact=False).first.click()
    mean = aggregate(joint, 1, (2, 3, 4), (0,))
    assert together(opened) == pytest.approx(100 * softmax(mean), abs=0.51)
    said = opened.get_by_role("status").inner_text()
    assert f"3 of 5 transforms answer {toy.classes[mean.argmax()]}, with a logit of {mean.max():.2f}." in said


def test_the_last_one_cannot_be_taken_away(opened, joint):
    for name in TRANSFORMS:
        press(opened, "Counted", name)
    assert together(opened) == pytest.approx(100 * softmax(aggregate(joint, 0, [4], (0, 1))), abs=0.51)


def test_the_picture_loses_the_quadrant_and_the_joint_label_is_named(opened, toy, joint):
    half, grey = toy.size // 2, windowed(toy.hu[ROWS[0], 2], 40, 400)
    press(opened, "Features", "no lower left")
    pixels = drawn(opened.locator("canvas"))[..., 0]
    assert not pixels[half:, :half].any()
    assert (pixels[:half] == grey[:half]).all()
    assert (pixels[half:, half:] == grey[half:, half:]).all()
    chance = softmax(joint[0, :, 3].mean(axis=0))
    first = opened.get_by_role("group", name="Likeliest joint labels").locator(".bar").first.inner_text()
    assert first.startswith(f"{toy.classes[chance.argmax() // 5]}, {TRANSFORMS[chance.argmax() % 5]}")
    names = "names" if chance.argmax() % 5 == 3 else "does not name"
    assert f"joint label {names} what" in opened.get_by_role("status").inner_text()


@pytest.mark.parametrize(
    ("phase", "change", "message"),
    [
        ("DL", lambda joint: joint, "phase 'DL': this set has NC, ART, PV"),
        ("PV", lambda joint: joint[:, :1], r"shape \(3, 1, 5, 20\); expected \(3, 2, 5, 20\)"),
        ("PV", lambda joint: joint * np.nan, "some are not finite"),
    ],
)
def test_bad_input(toy, joint, phase, change, message):
    with pytest.raises(InputError, match=message):
        quadrants(toy, ROWS, phase, change(joint))
