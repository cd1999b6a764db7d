"""Cosines under a temperature that is moved, in a real browser."""

import re

import numpy as np
import pytest
import torch
from conftest import CLASSES
from moving_page import document, set_slider

from livervlm.base.errors import InputError
from livervlm.book.moving import similarity_space
from livervlm.evaluation.metrics import calibration


@pytest.fixture(scope="module")
def space():
    """Cosines that know the class a little, and the class."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 60)
    return (0.2 + 0.1 * rng.normal(size=(60, 4)) + 0.1 * np.eye(4)[labels]).astype(np.float32), labels


def test_the_temperature_moves_probabilities_loss_and_calibration(page, space):
    cosine, labels = space
    page.set_content(document(similarity_space(cosine, labels, CLASSES)._repr_html_()))
    scales = {"1": 1, "10": 10, "1/0.07": 1 / 0.07}
    for name, scale in {**scales, "slider": 10**1.3}.items():
        if name in scales:
            page.get_by_role("button", name=name, exact=True).click()
        else:
            set_slider(page, "Scale", 1.3)
        logits = scale * torch.tensor(cosine, dtype=torch.float64)
        prob = logits.softmax(1).numpy()
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(labels)).item()
        expected = [loss, calibration(labels, prob)[1], prob.max(1).mean(), (prob.argmax(1) == labels).mean()]
        shown = [float(n) for n in re.findall(r"\d\.\d+", page.get_by_role("status").inner_text())]
        assert shown == pytest.approx(expected, abs=1e-4)
        for example in (1, 17):
            set_slider(page, "Example", example)
            bars = page.locator(".bar").all_inner_texts()
            shown = [float(re.search(r"[\d.]+(?= %)", bar)[0]) / 100 for bar in bars]
            assert shown == pytest.approx(prob[example - 1], abs=1e-4)
            assert [i for i, bar in enumerate(bars) if "(true)" in bar] == [labels[example - 1]]


@pytest.mark.parametrize(
    ("cosine", "labels", "message"),
    [
        (np.zeros((2, 3)), [0, 1], r"expected \(2, 4\)"),
        (np.zeros((0, 4)), [], r"expected \(0, 4\)"),
        (np.full((2, 4), 14.0), [0, 1], "between -1 and 1"),
        (np.full((2, 4), np.nan), [0, 1], "between -1 and 1"),
        (np.zeros((2, 4)), [0, 4], "from 0 to 3"),
        (np.zeros((2, 4)), [0.0, 1.0], "from 0 to 3"),
    ],
)
def test_cosines_that_cannot_be_shown(cosine, labels, message):
    with pytest.raises(InputError, match=message):
        similarity_space(cosine, labels, CLASSES)
