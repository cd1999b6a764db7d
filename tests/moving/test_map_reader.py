"""Maps over the slices they belong to, in a real browser."""

import dataclasses
import re

import numpy as np
import pytest
import torch
from conftest import make_toy
from moving_page import ROWS, document, drawn, windowed
from scipy.ndimage import binary_erosion

from livervlm.base.errors import InputError
from livervlm.book.moving import map_reader
from livervlm.evaluation.grad_cam import on_pixels


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
