"""The figures that move without a kernel, in a real browser and in every way that a page can take them in."""

import base64
import dataclasses
import json
import re
import shutil

import numpy as np
import pytest
import torch
from conftest import CLASSES, make_toy
from playwright.sync_api import sync_playwright
from scipy import stats
from scipy.ndimage import binary_erosion

from livervlm.comparisons import Comparison, power, verdicts
from livervlm.errors import InputError
from livervlm.grad_cam import on_pixels
from livervlm.metrics import calibration
from livervlm.moving import WINDOWS, interval_and_pairs, map_reader, phase_order, similarity_space, window_level
from livervlm.phases import order_names, orders
from livervlm.prompts import prompts_by_order

BROWSER = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
ARGUMENTS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
ROWS = [3, 0, 6]
PIXELS = "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"
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


@pytest.fixture(scope="module")
def browser():
    if BROWSER is None:
        pytest.skip("no chromium was found: the moving figures were not tried in a browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=ARGUMENTS.split())
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A page that must ask no network for anything and log no error."""
    page = browser.new_page(viewport={"width": 800, "height": 900})
    faults = []
    page.on("request", lambda request: request.url.startswith(("data:", "about:")) or faults.append(request.url))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    page.close()
    assert faults == []


@pytest.fixture(scope="module")
def output(toy):
    return window_level(toy, ROWS)._repr_html_()


@pytest.fixture(scope="module")
def space():
    """Cosines that know the class a little, and the class."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 60)
    return (0.2 + 0.1 * rng.normal(size=(60, 4)) + 0.1 * np.eye(4)[labels]).astype(np.float32), labels


@pytest.fixture(scope="module")
def answers():
    """Logits of two networks: (rows, orders, prompts, classes)."""
    rng = np.random.default_rng(0)
    return {name: rng.normal(scale=5, size=(len(ROWS), 6, 2, 4)) for name in ("plain", "augmented")}


def document(*outputs: str) -> str:
    return "\n".join(['<!doctype html><html lang="en"><meta charset="utf-8"><title>Test</title>', *outputs])


def drawn(canvas) -> np.ndarray:
    """(side, side, 4) uint8, what a canvas holds."""
    values = np.array(canvas.evaluate(PIXELS))
    side = int(len(values) ** 0.5 / 2)
    return values.reshape(side, side, 4)


def windowed(hu: np.ndarray, level: float, width: float) -> np.ndarray:
    return np.rint(np.clip((hu - (level - width / 2)) * 255 / width, 0, 255))


def check_pictures(scope, hu: np.ndarray, level: float, width: float) -> None:
    """Every canvas of `scope` shows its phase of hu (P, side, side) under the window, in grey and opaque."""
    for canvas, phase in zip(scope.locator("canvas").all(), hu, strict=True):
        pixels = drawn(canvas)
        assert (pixels[..., :3] == windowed(phase, level, width)[..., None]).all()
        assert (pixels[..., 3] == 255).all()


def set_slider(scope, name: str, value: float) -> None:
    scope.get_by_label(name, exact=True).evaluate(
        "(input, value) => { input.value = value; input.dispatchEvent(new Event('input', {bubbles: true})); }", value
    )


def value_of(scope, name: str) -> float:
    return float(scope.get_by_label(name, exact=True).input_value())


def test_pictures_follow_the_window(page, toy, output):
    page.set_content(document(output))
    check_pictures(page, toy.hu[ROWS[0]], 40, 400)
    for name, level, width in WINDOWS:
        page.get_by_role("button", name=name).click()
        check_pictures(page, toy.hu[ROWS[0]], level, width)
        assert page.get_by_role("button", name=name).get_attribute("aria-pressed") == "true"
    set_slider(page, "Level", 37)
    set_slider(page, "Width", 133)
    check_pictures(page, toy.hu[ROWS[0]], 37, 133)
    assert page.locator("button[aria-pressed=true]").all_inner_texts() == ["1 FNH"]
    assert page.get_by_role("status").inner_text() == "Black below −29.5 HU, white above 103.5 HU"


def test_slices_are_chosen(page, toy, output):
    page.set_content(document(output))
    for number, row in enumerate(ROWS, start=1):
        name = f"{number} {toy.classes[toy.label[row]]}"
        page.get_by_role("button", name=name).click()
        check_pictures(page, toy.hu[row], 40, 400)
    assert page.get_by_role("img", name=f"ART phase of slice 3, {toy.classes[toy.label[ROWS[2]]]}").count() == 1


def test_keys_and_drags_move_the_window(page, toy, output):
    page.set_content(document(output))
    canvas = page.locator("canvas").nth(1)
    canvas.focus()
    for key in ("ArrowUp", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowRight"):
        page.keyboard.press(key)
    check_pictures(page, toy.hu[ROWS[0]], 50, 380)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")  # past the last picture: the keyboard is not held
    assert page.evaluate("document.activeElement.type") == "range"

    frame = canvas.bounding_box()
    x, y = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y + 20)
    page.mouse.move(x + 300, y - 10)  # on beyond the picture
    page.mouse.up()
    page.mouse.move(x, y)
    check_pictures(page, toy.hu[ROWS[0]], 60, 980)
    assert (
        f"ART: {toy.hu[ROWS[0], 1, 8, 8]} HU here".replace("-", "−") == page.locator(".readout p").nth(1).inner_text()
    )
    page.mouse.move(0, 0)
    assert page.locator(".readout p").nth(1).inner_text() == ""


def test_a_finger_moves_the_window(browser, toy, output):
    page = browser.new_page(viewport={"width": 390, "height": 800}, has_touch=True)
    page.set_content(document('<meta name="viewport" content="width=device-width">', output))
    frame = page.locator("canvas").first.bounding_box()
    x, y = frame["x"] + 40, frame["y"] + 40
    fingers = page.context.new_cdp_session(page)
    for kind, points in (("Start", [(x, y)]), ("Move", [(x + 5, y - 30)]), ("Move", [(x + 10, y - 50)]), ("End", [])):
        touches = [{"x": a, "y": b} for a, b in points]
        fingers.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": touches})
    assert (value_of(page, "Level"), value_of(page, "Width")) == (90, 420)
    assert page.evaluate("[scrollX, scrollY, document.documentElement.scrollWidth]") == [0, 0, 390]
    page.close()


def test_a_window_stops_at_its_limits(page, toy, output):
    page.set_content(document(output))
    page.locator("canvas").first.focus()
    for _ in range(45):
        page.keyboard.press("ArrowLeft")
    check_pictures(page, toy.hu[ROWS[0]], 40, 10)


def test_figures_of_one_page_do_not_interfere(page, toy, output, space):
    other = window_level(toy, [10])._repr_html_()
    page.set_content(document(output, other, output, similarity_space(*space, CLASSES)._repr_html_()))
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


def test_without_script_there_is_a_still_picture(browser, output):
    page = browser.new_context(java_script_enabled=False).new_page()
    page.set_content(document(output))
    image = page.get_by_role("img", name="CT slices (FNH, CYST, HEM) in the phases NC, ART, PV, window -160 to 240 HU.")
    assert image.bounding_box()["width"] > 300
    page.close()


def test_names_are_text_and_never_markup(page):
    toy = make_toy(phases=("</script><b>", "B&C"))
    page.set_content(document(window_level(toy, [0])._repr_html_()))
    assert page.locator("canvas").count() == 2
    assert page.get_by_role("img", name="</script><b> phase of slice 1").count() == 1


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


@pytest.mark.parametrize(("n", "sd", "difference"), [(3, 1, 0), (5, 5, 2), (12, 1.5, 0.5), (46, 2.5, 1), (100, 8, 6)])
def test_pairs_spread_and_difference_move_interval_verdict_and_chances(page, n, sd, difference):
    page.set_content(document(interval_and_pairs(2)._repr_html_()))
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
    page.set_content(document(interval_and_pairs(2)._repr_html_()))
    page.get_by_label("Pairs", exact=True).focus()
    page.keyboard.press("ArrowRight")
    assert value_of(page, "Pairs") == 6
    assert page.locator("button[aria-pressed=true]").count() == 0
    page.get_by_role("button", name="46", exact=True).click()
    assert value_of(page, "Pairs") == 46
    assert page.locator("button[aria-pressed=true]").all_inner_texts() == ["46"]


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


@pytest.mark.parametrize("margin", [0, -2, 6, float("nan")])
def test_margins_that_cannot_be_shown(margin):
    with pytest.raises(InputError, match="above 0 and at most 5"):
        interval_and_pairs(margin)


@pytest.fixture(scope="module")
def seen_maps():
    """Raw maps of two networks, one of which says a tenth: (rows, classes, 5, 5)."""
    rng = np.random.default_rng(0)
    return {name: scale * rng.normal(size=(len(ROWS), 4, 5, 5)) for name, scale in (("loud", 1), ("soft", 0.1))}


def painted(hu: np.ndarray, one: np.ndarray, least: float, most: float) -> np.ndarray:
    """What a canvas should show: HU in grey under a map (g, g) spread over it, blue at `least`, red at `most`."""
    grey = windowed(hu, 40, 400)[..., None]
    values = on_pixels(torch.from_numpy(one)[None, None], len(hu))[0, 0].numpy()[..., None]
    strength = 2 * (values - least) / (most - least) - 1
    share = 0.75 * np.abs(strength)
    return grey * (1 - share) + np.where(strength < 0, [33, 102, 172], [178, 24, 43]) * share


def check_maps(page, toy, maps, network, slice_, phase, limit=None) -> None:
    """Every class's map lies over the chosen slice, without outlines; on its own scale where there is no limit."""
    hu, truth = toy.hu[ROWS[slice_], phase], toy.label[ROWS[slice_]]
    for canvas, one in zip(page.locator("canvas").all(), maps[network][slice_], strict=True):
        least, most = (-limit, limit) if limit else (one.min(), one.max())
        assert np.abs(drawn(canvas)[..., :3] - painted(hu, one, least, most)).max() < 1.5
    captions = page.locator(".maps span:first-child").all_inner_texts()
    assert captions == [f"{c} (true)" if i == truth else c for i, c in enumerate(toy.classes)]
    for panel, one in zip(page.locator(".maps > div").all(), maps[network][slice_], strict=True):
        assert numbers(panel.inner_text()) == pytest.approx([one.min(), one.max()], rel=0.05)


def numbers(text: str) -> list[float]:
    return [float(n) for n in re.findall(r"-?\d[\d.]*(?:e-\d+)?", text.replace("−", "-"))]


def ends_of_scale(page) -> list[float]:
    return numbers(" ".join(page.locator(".ramp-key span").all_inner_texts()))


def test_maps_are_read_by_network_slice_phase_and_scale(page, toy, seen_maps):
    page.set_content(document(map_reader(toy, ROWS, seen_maps)._repr_html_()))
    limit = max(np.abs(values).max() for values in seen_maps.values())
    page.get_by_role("button", name="none").click()
    check_maps(page, toy, seen_maps, "loud", 0, 1, limit)
    page.get_by_role("button", name="soft").click()
    page.get_by_role("button", name="3 ", exact=False).click()
    page.get_by_role("button", name="PV").click()
    check_maps(page, toy, seen_maps, "soft", 2, 2, limit)
    assert ends_of_scale(page) == pytest.approx([-limit, limit], rel=0.05)
    page.get_by_role("button", name="one for this slice").click()
    limit = np.abs(seen_maps["soft"][2]).max()
    check_maps(page, toy, seen_maps, "soft", 2, 2, limit)
    assert ends_of_scale(page) == pytest.approx([-limit, limit], rel=0.05)
    assert page.get_by_role("status").inner_text().endswith("one colour is one value in these maps only.")
    page.get_by_role("button", name="each by itself").focus()
    page.keyboard.press("Enter")
    check_maps(page, toy, seen_maps, "soft", 2, 2)
    assert page.locator(".ramp-key span").all_inner_texts() == ["its lowest", "its highest"]
    assert page.get_by_role("status").inner_text().endswith("one colour is another value in each map.")


def test_small_values_keep_their_digits(page, toy, seen_maps):
    faint = {name: 1e-7 * values for name, values in seen_maps.items()}
    page.set_content(document(map_reader(toy, ROWS, faint)._repr_html_()))
    limit = np.abs(faint["loud"]).max()
    assert ends_of_scale(page) == pytest.approx([-limit, limit], rel=0.05)


def test_fine_maps_over_large_slices(page):
    """An early layer's grid; a slice is shown at half its size, by means of 2 x 2 pixels."""
    large = make_toy(size=128)
    hu = np.rint(large.hu.reshape(-1, 3, 64, 2, 64, 2).mean(axis=(3, 5))).astype(np.int16)
    rng = np.random.default_rng(0)
    maps = {name: rng.normal(size=(len(ROWS), 4, 56, 56)) for name in "ABCDE"}
    page.set_content(document(map_reader(large, ROWS, maps)._repr_html_()))
    page.get_by_role("button", name="none").click()
    limit = max(np.abs(values).max() for values in maps.values())
    check_maps(page, dataclasses.replace(large, hu=hu, masks=None, mask_names=()), maps, "A", 0, 1, limit)


def test_lesion_and_part_are_outlined_and_nothing_else_changes(page, toy, seen_maps):
    page.set_content(document(map_reader(toy, ROWS, seen_maps)._repr_html_()))
    with_lines = drawn(page.locator("canvas").first)
    page.get_by_role("button", name="none").click()
    without = drawn(page.locator("canvas").first)
    lesion, scar = (toy.mask(name)[ROWS[0], 1] for name in ("lesion", "scar"))
    changed = (with_lines != without).any(axis=2)
    assert (with_lines[scar] == [240, 228, 66, 255]).all()
    inside = binary_erosion(lesion)
    assert (with_lines[lesion & ~inside] == [0, 0, 0, 255]).all()
    assert not changed[(inside & ~scar) | ~lesion].any()
    assert "Black" not in page.get_by_role("status").inner_text()
    page.get_by_role("button", name="lesion and parts").click()
    assert page.get_by_role("status").inner_text().endswith("Black: lesion; yellow: scar")


def test_a_part_within_a_part_is_outlined_and_no_part_is_named_that_is_not_there(page, toy, seen_maps):
    masks = np.zeros_like(toy.masks)
    masks[ROWS[0], :, 2:14, 2:14] = 1
    masks[ROWS[0], :, 4:12, 4:12] |= 2
    masks[ROWS[0], :, 6:10, 6:10] |= 4
    nested = dataclasses.replace(toy, masks=masks, mask_names=("lesion", "nodules", "scar", "rim"))
    page.set_content(document(map_reader(nested, ROWS, seen_maps)._repr_html_()))
    yellow = (drawn(page.locator("canvas").first) == [240, 228, 66, 255]).all(axis=2)
    parts = [nested.mask(name)[ROWS[0], 1] for name in ("nodules", "scar")]
    assert (yellow == np.any([part & ~binary_erosion(part) for part in parts], axis=0)).all()
    assert page.get_by_role("status").inner_text().endswith("yellow: nodules, scar")
    page.get_by_role("button", name="2 ", exact=False).click()
    assert page.get_by_role("status").inner_text().endswith("Black: lesion")


def test_maps_without_masks_fit_a_phone(browser, toy, seen_maps):
    page = browser.new_page(viewport={"width": 390, "height": 800})
    bare = dataclasses.replace(toy, masks=None, mask_names=())
    html = map_reader(bare, ROWS, seen_maps)._repr_html_()
    page.set_content(document('<meta name="viewport" content="width=device-width">', html))
    assert page.get_by_text("Outlines").count() == 0
    check_maps(page, toy, seen_maps, "loud", 0, 1, max(np.abs(values).max() for values in seen_maps.values()))
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.close()


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ({}, "at least one network"),
        ({"A": np.zeros((3, 4, 5, 4))}, r"maps of A: shape \(3, 4, 5, 4\); expected \(3, 4, 4, 4\)"),
        ({"A": np.zeros((3, 4, 5, 5)), "B": np.zeros((3, 4, 7, 7))}, "maps of "),
        ({"A": np.zeros((3, 4, 1, 1))}, "maps of A: shape"),
        ({"A": np.full((3, 4, 5, 5), np.nan)}, "maps of A: some are not finite"),
    ],
)
def test_maps_that_cannot_be_shown(toy, maps, message):
    with pytest.raises(InputError, match=message):
        map_reader(toy, ROWS, maps)


def test_outputs_stay_small():
    toy = make_toy(size=64)
    assert len(window_level(toy, range(8))._repr_html_()) < 600_000
    assert len(interval_and_pairs(2)._repr_html_()) < 200_000
    assert len(phase_order(toy, range(8), {"plain": np.zeros((8, 6, 2, 4))})._repr_html_()) < 600_000
    assert len(map_reader(make_toy(size=224), range(4), {"plain": np.zeros((4, 4, 7, 7))})._repr_html_()) < 800_000


def test_an_output_is_reproducible_and_carries_the_very_numbers(toy, output):
    assert window_level(toy, ROWS)._repr_html_() == output
    spec = json.loads(re.search(r'\)\("[0-9a-f]{16}", (\{.*\})\);</script>', output)[1])
    hu = np.frombuffer(base64.b64decode(spec["hu"]["data"]), "<i2").reshape(len(ROWS), 3, 16, 16)
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
