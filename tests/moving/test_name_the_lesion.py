"""The game in which lesions are named, in a real browser."""

import pytest
from conftest import CLASSES
from moving_page import ROWS, check_pictures, document

from livervlm.base.errors import InputError
from livervlm.book.moving import name_the_lesion

NAMES = {kind: f"a {kind.lower()}" for kind in CLASSES}
REASONS = {kind: f"{kind} does so." for kind in CLASSES}


@pytest.fixture
def opened(page, toy):
    page.set_content(document(name_the_lesion(toy, ROWS, NAMES, REASONS)._repr_html_()))
    return page


def press(page, group: str, name: str) -> None:
    page.get_by_role("group", name=group, exact=True).get_by_role("button", name=name).click()


def score(page) -> str:
    return page.locator("p:not([role])").inner_text()


def test_answers_are_told_with_their_reason_and_the_first_one_counts(opened, toy):
    truth = [toy.classes[toy.label[row]] for row in ROWS]
    other = next(kind for kind in CLASSES if kind != truth[0])
    status = opened.get_by_role("status")
    assert status.inner_text() == "Look at all phases, then choose."
    assert score(opened) == "3 to go."
    press(opened, "It is", NAMES[other])
    assert status.inner_text() == f"You said {NAMES[other]}. It is {NAMES[truth[0]]}. {REASONS[truth[0]]}"
    press(opened, "It is", NAMES[truth[0]])  # too late
    assert score(opened) == "0 of 1 right, 2 to go."
    press(opened, "Lesion", "2")
    assert status.inner_text() == "Look at all phases, then choose."
    press(opened, "It is", NAMES[truth[1]])
    assert status.inner_text() == f"Right, {NAMES[truth[1]]}. {REASONS[truth[1]]}"
    assert score(opened) == "1 of 2 right, 1 to go."
    marks = opened.get_by_role("group", name="Lesion").get_by_role("button").all_inner_texts()
    assert marks == ["1 ✗", "2 ✓", "3"]


def test_each_lesion_is_shown_in_all_its_phases_without_its_name(opened, toy):
    for number, row in enumerate(ROWS, start=1):
        press(opened, "Lesion", f"{number}")
        check_pictures(opened, toy.hu[row], 40, 400)
        label = opened.locator("canvas").first.get_attribute("aria-label")
        assert label == f"Lesion {number}, NC phase"


def test_every_class_needs_a_name_and_a_reason(toy):
    some = {kind: NAMES[kind] for kind in CLASSES[1:]}
    with pytest.raises(InputError, match=f"names: none for {CLASSES[0]}; give one for each class"):
        name_the_lesion(toy, ROWS, some, REASONS)
    with pytest.raises(InputError, match=f"reasons: none for {CLASSES[0]}"):
        name_the_lesion(toy, ROWS, NAMES, some)
