"""A study that is scrolled and a sentence that is built, in a real browser."""

import numpy as np
import pytest
from moving_page import document, set_slider, value_of

from livervlm.base.errors import InputError
from livervlm.book.moving import key_slice
from livervlm.phantom.findings import ORGANS, Finding
from livervlm.phantom.series import Series

SLOTS = {"What": ["A cyst", "A stone"], "Where": ["", "in the liver", "on the left"]}


@pytest.fixture(scope="module")
def series():
    hu = np.int16(np.random.default_rng(0).integers(-160, 241, (21, 2, 16, 16)))
    area = np.zeros((21, 1), np.float32)
    area[8:11, 0] = 5, 9, 5
    finding = Finding(kind="renal cyst", organ="kidney", diameter=9.0, slices=(8, 10), marked=9)
    return Series(hu, 5.0, np.zeros((21, len(ORGANS)), np.float32), area, (finding,), {}, 0, ("ART", "PV"))


def score(series, sentences):
    """Each sentence has a place of its own: the more letters, the lower down; ART is better by a little."""
    slices = np.arange(len(series.hu))[:, None]
    return np.stack([-0.01 * abs(slices - len(s.text) / 2) - np.array([0, 0.002]) for s in sentences])


@pytest.fixture(scope="module")
def output(series):
    return key_slice(series, SLOTS, score)._repr_html_()


def shown(page) -> np.ndarray:
    """The grey picture, (16, 16)."""
    values = page.locator("canvas").evaluate("c => Array.from(c.getContext('2d').getImageData(0, 0, 16, 16).data)")
    return np.array(values).reshape(16, 16, 4)[..., 0]


def grey(series, slice_, phase) -> np.ndarray:
    return np.rint((series.hu[slice_, phase] + 160) / 400 * 255)


def test_a_sentence_is_built_and_its_best_slice_is_shown(page, series, output):
    page.set_content(document(output))
    for what, where, text in (
        ("A cyst", "(nothing)", "A cyst."),
        ("A stone", "on the left", "A stone on the left."),
        ("A cyst", "in the liver", "A cyst in the liver."),
    ):
        page.get_by_role("button", name=what).click()
        page.get_by_role("button", name=where).click()
        assert page.locator(".sentence").inner_text() == text
        cosine = score(series, [type("S", (), {"text": text})])[0][::2]
        best = 2 * int(cosine.max(axis=1).argmax())
        said = f"Best: slice {best + 1} in ART, {cosine.max() + 0:.3f}.".replace("-", "−")
        assert said in page.get_by_role("status").inner_text()
        assert np.abs(shown(page) - grey(series, best, 0)).max() <= 1


def test_slices_phases_and_the_truth_are_chosen(page, series, output):
    page.set_content(document(output))
    page.get_by_role("button", name="PV").click()
    set_slider(page, "Slice", 5)
    assert np.abs(shown(page) - grey(series, 8, 1)).max() <= 1
    assert page.get_by_role("status").inner_text().startswith("Slice 9 in PV: similarity −0.047; it shows the renal")
    page.get_by_role("button", name="the marked slice").click()
    assert value_of(page, "Slice") in (5, 6)  # every second slice is here: 8 and 10 lie as near to 9
    page.locator("canvas").focus()
    before = value_of(page, "Slice")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    assert value_of(page, "Slice") == before + 1
    for _ in range(30):
        page.keyboard.press("ArrowDown")
    assert value_of(page, "Slice") == 11
    assert page.get_by_role("status").inner_text().startswith("Slice 21 in PV: similarity −0.1")
    assert "shows" not in page.get_by_role("status").inner_text()


def test_the_curve_is_that_of_the_sentence(page, series, output):
    page.set_content(document(output))
    paths = page.locator(".along g g path").evaluate_all("all => all.map(p => p.getAttribute('d'))")
    cosine = np.rint(1000 * score(series, [type("S", (), {"text": "A cyst."})])[0][::2])
    for p, path in enumerate(paths):
        numbers = np.array(path.replace("M", "").replace("L", "").split(), dtype=float).reshape(-1, 2)
        assert np.allclose(numbers[:, 0], np.linspace(0, 100, 11))
        assert np.corrcoef(numbers[:, 1], cosine[:, p])[0, 1] == pytest.approx(1)


@pytest.mark.parametrize("slots", [{}, {"What": []}])
def test_slots_without_phrases(series, slots):
    with pytest.raises(InputError, match="slots: give one or more, each with its phrases"):
        key_slice(series, slots, score)
