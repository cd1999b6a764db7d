"""Slices under a window that is dragged, in a real browser."""

import pytest
from moving_page import ROWS, check_pictures, document, set_slider, value_of

from livervlm.book.moving import WINDOWS, window_level


@pytest.fixture(scope="module")
def output(toy):
    return window_level(toy, ROWS)._repr_html_()


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
