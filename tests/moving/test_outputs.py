"""The output of any figure that moves: it stands alone, in every way that a page can take it in."""

import base64
from pathlib import Path

import numpy as np
import pytest
from conftest import CLASSES, make_toy
from moving_page import ROWS, check_pictures, document, set_slider, spec_of

from livervlm.base.errors import InputError
from livervlm.book import moving
from livervlm.book.moving import (
    interval_and_pairs,
    key_slice,
    map_reader,
    name_the_lesion,
    phase_order,
    promises,
    quadrants,
    similarity_space,
    thresholds,
    window_level,
)
from livervlm.phantom.series import Series

SCRIPTS = {path.stem: path.read_text().strip() for path in Path(moving.__file__).parent.glob("*.js")}
FIGURES = (
    *("window_level", "similarity_space", "interval_and_pairs", "phase_order", "map_reader", "key_slice"),
    *("quadrants", "thresholds", "name_the_lesion", "promises"),
)
# JupyterLab sets the HTML of a node, then puts a copy in the place of each script, which runs once it is in the page.
LIKE_JUPYTERLAB = """html => {
    const host = document.createElement('div');
    host.innerHTML = html;
    for (const script of host.querySelectorAll('script')) {
        const copy = document.createElement('script');
        copy.textContent = script.textContent;
        script.replaceWith(copy);
    }
    document.body.append(host);
}"""


def small_series(slices: int = 6, side: int = 16) -> Series:
    nothing = np.zeros((slices, 0), np.float32)
    return Series(np.zeros((slices, 2, side, side), np.int16), 5.0, nothing, nothing, (), {}, 0, ("ART", "PV"))


@pytest.fixture(scope="module")
def outputs(toy):
    """The output of every figure, by its name."""
    rng = np.random.default_rng(0)
    figures = {
        "window_level": window_level(toy, ROWS),
        "similarity_space": similarity_space(rng.uniform(-1, 1, (60, 4)), rng.integers(0, 4, 60), CLASSES),
        "interval_and_pairs": interval_and_pairs(2, [5, 46]),
        "phase_order": phase_order(toy, ROWS, {"plain": rng.normal(size=(len(ROWS), 6, 2, 4))}),
        "map_reader": map_reader(toy, ROWS, {"plain": rng.normal(size=(len(ROWS), 4, 5, 5))}),
        "key_slice": key_slice(
            small_series(), {"What": ["a cyst", "a stone"]}, lambda one, said: rng.normal(size=(2, 6, 2))
        ),
        "quadrants": quadrants(toy, ROWS, "ART", rng.normal(size=(len(ROWS), 2, 5, 20))),
        "name_the_lesion": name_the_lesion(toy, ROWS, dict.fromkeys(CLASSES, "one"), dict.fromkeys(CLASSES, "So.")),
        "promises": promises(),
        "thresholds": thresholds([0.9, 0.8, 0], [0.7, 0.2, 0.9], [True, False, True], [0.3], [0.6], 2),
    }
    return {name: figure._repr_html_() for name, figure in figures.items()}


@pytest.fixture
def output(outputs):
    return outputs["window_level"]


@pytest.mark.parametrize("name", FIGURES)
def test_an_output_carries_what_is_shared_and_its_own_script_and_no_other(outputs, name):
    assert set(SCRIPTS) == {"shared", *FIGURES}
    assert {script for script, text in SCRIPTS.items() if text in outputs[name]} == {"shared", name}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_moved_by_keyboard_with_nothing_but_its_own_output(page, outputs, name):
    page.set_content(document(outputs[name]))
    assert page.locator("img").count() == 0
    button = page.locator("button[aria-pressed=false]").first.element_handle()
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"


@pytest.mark.parametrize(
    ("name", "alt"),
    [
        ("window_level", "CT slices (FNH, CYST, HEM) in the phases NC, ART, PV, window -160 to 240 HU."),
        ("similarity_space", "Bars: the probability of CYST, FNH, HCC, HEM for one example at scale 1/0.07."),
        ("interval_and_pairs", "A 95 % interval of 2 plus or minus 6.2 points, from 5 pairs"),
        ("phase_order", "A lesion (FNH) with its phases in the order PV, ART, NC, and bars: the logits of plain"),
        ("key_slice", "Similarity of each slice to the sentence: a cyst. Beside it the slice that fits best."),
        ("quadrants", "A lesion (FNH) in the phase ART, and bars: the logit of each class, aggregated over five"),
        ("name_the_lesion", "A lesion to name, in the phases NC, ART, PV."),
        ("promises", "What came over what five folds promised, for 30 simulated hospitals"),
        ("thresholds", "Cancers that are found and called malignant against false alarms a study"),
        ("map_reader", "A lesion (FNH) under the map of each class: red for it, blue against it; network plain."),
    ],
)
def test_without_script_there_is_a_still_picture(browser, outputs, name, alt):
    page = browser.new_page(java_script_enabled=False)
    page.set_content(document(outputs[name]))
    assert page.get_by_role("img", name=alt).bounding_box()["width"] > 300
    assert page.get_by_role("button").count() == 0
    page.close()


def test_figures_of_one_page_do_not_interfere(page, toy, output, outputs):
    other = window_level(toy, [10])._repr_html_()
    page.set_content(document(output, other, output, outputs["similarity_space"]))
    boxes = page.locator(".livervlm-moving")
    assert boxes.count() == 4
    boxes.nth(1).get_by_role("button", name="narrow").click()
    set_slider(boxes.nth(2), "Level", -90)
    check_pictures(boxes.nth(0), toy.hu[ROWS[0]], 40, 400)
    check_pictures(boxes.nth(1), toy.hu[10], 60, 150)
    check_pictures(boxes.nth(2), toy.hu[ROWS[0]], -90, 400)
    assert boxes.nth(3).locator("canvas").count() == 0


def test_running_a_script_again_changes_nothing(page, toy, output):
    page.set_content(document(output))
    page.get_by_role("button", name="narrow").click()
    page.evaluate("new Function(document.querySelector('script').textContent)()")
    assert page.locator("canvas").count() == 3
    check_pictures(page, toy.hu[ROWS[0]], 60, 150)


def test_as_jupyterlab_inserts_it(page, toy, output):
    page.set_content(document())
    page.evaluate(LIKE_JUPYTERLAB, output)
    page.evaluate(LIKE_JUPYTERLAB, output)  # the same output in a second view
    page.get_by_role("button", name="narrow").nth(1).click()
    boxes = page.locator(".livervlm-moving")
    check_pictures(boxes.nth(0), toy.hu[ROWS[0]], 40, 400)
    check_pictures(boxes.nth(1), toy.hu[ROWS[0]], 60, 150)


def test_in_a_sandboxed_frame_as_in_colab(page, toy, output):
    page.set_content(document('<iframe sandbox="allow-scripts" width="700" height="700" title="Output"></iframe>'))
    page.locator("iframe").evaluate("(frame, html) => { frame.srcdoc = html; }", document(output))
    frame = page.frame_locator("iframe")
    frame.get_by_role("button", name="narrow").click()
    check_pictures(frame, toy.hu[ROWS[0]], 60, 150)


def test_names_are_text_and_never_markup(page):
    toy = make_toy(phases=("</script><b>", "B&C"))
    page.set_content(document(window_level(toy, [0])._repr_html_()))
    assert page.locator("canvas").count() == 2
    assert page.get_by_role("img", name="</script><b> phase of slice 1").count() == 1


def test_outputs_stay_small():
    toy = make_toy(size=64)
    assert len(window_level(toy, range(8))._repr_html_()) < 600_000
    assert len(interval_and_pairs(2, [5])._repr_html_()) < 200_000
    assert len(phase_order(toy, range(8), {"plain": np.zeros((8, 6, 2, 4))})._repr_html_()) < 600_000
    assert len(map_reader(make_toy(size=224), range(4), {"plain": np.zeros((4, 4, 7, 7))})._repr_html_()) < 800_000


def test_an_output_is_reproducible_and_carries_the_very_numbers(toy, output):
    assert window_level(toy, ROWS)._repr_html_() == output
    hu = np.frombuffer(base64.b64decode(spec_of(output)["hu"]["data"]), "<i2").reshape(len(ROWS), 3, 16, 16)
    assert (hu == toy.hu[ROWS]).all()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no rows"),
        (3, "no rows"),
        ([0, 40], "from 0 to 39"),
        ([-1], "from 0 to 39"),
        ([1.5], "from 0 to 39"),
        (range(25), "at most 24"),
    ],
)
def test_rows_that_are_not_there(toy, rows, message):
    with pytest.raises(InputError, match=message):
        window_level(toy, rows)
    with pytest.raises(InputError, match=message):
        phase_order(toy, rows, {})
