"""Two thresholds in a row, in a real browser."""

import re

import numpy as np
import pytest
from moving_page import document, set_slider, value_of

from livervlm.base.errors import InputError
from livervlm.book.moving import thresholds

FOUND = [0.95, 0.6, 0.3, 0.0, 0.8, 0.2]
MALIGNANT = [0.9, 0.45, 0.7, 0.9, 0.6, 0.1]
CANCER = [True, True, True, True, False, False]
FALSE_FOUND, FALSE_MALIGNANT = [0.4, 0.15, 0.7], [0.8, 0.9, 0.05]


@pytest.fixture
def opened(page):
    figure = thresholds(FOUND, MALIGNANT, CANCER, FALSE_FOUND, FALSE_MALIGNANT, studies=4)
    page.set_content(document(figure._repr_html_()))
    return page


def counts(page) -> tuple[list[int], list[int]]:
    bars = [int(re.search(r"(\d+) of 4", text)[1]) for text in page.locator(".bar").all_inner_texts()]
    said = page.get_by_role("status").inner_text()
    return bars, [float(re.search(r"^[\d.]+", said)[0]), *map(int, re.findall(r"(\d+) (?:benign|boxes)", said))]


def expected(first, second) -> tuple[list[int], list[int]]:
    found, malignant, cancer = map(np.array, (FOUND, MALIGNANT, CANCER))
    hit = (cancer & (found >= first) & (malignant >= second)).sum()
    missed = (cancer & (found < first)).sum()
    wrong = (~cancer & (found >= first) & (malignant >= second)).sum()
    nothing = ((np.array(FALSE_FOUND) >= first) & (np.array(FALSE_MALIGNANT) >= second)).sum()
    return [hit, missed, cancer.sum() - hit - missed], [(wrong + nothing) / 4, wrong, nothing]


def test_thresholds_count_cancers_and_false_alarms(opened):
    assert counts(opened) == expected(0.25, 0.5) == ([2, 1, 1], [0.5, 1, 1])
    for first, second in ((0.1, 0.4), (0.7, 0.5), (0.97, 0.01)):
        set_slider(opened, "Box", first)
        set_slider(opened, "Malignant", second)
        assert counts(opened) == expected(first, second)
    assert opened.locator("button[aria-pressed=true]").count() == 0


def test_a_set_moves_both(opened):
    opened.get_by_role("button", name="wary").click()
    assert (value_of(opened, "Box"), value_of(opened, "Malignant")) == (0.1, 0.2)
    assert counts(opened) == expected(0.1, 0.2)
    assert opened.locator("button[aria-pressed=true]").inner_text() == "wary"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"found": [1.5, *FOUND[1:]]}, "found: give a number from 0 to 1 for each"),
        ({"malignant": MALIGNANT[1:]}, "give one of each for every lesion"),
        ({"false_found": [0.5]}, "give one of each for every box"),
        ({"cancer": [True] * 6}, "lesions of both kinds"),
        ({"studies": 0}, "how many studies"),
    ],
)
def test_bad_input(change, message):
    given = {"found": FOUND, "malignant": MALIGNANT, "cancer": CANCER}
    given |= {"false_found": FALSE_FOUND, "false_malignant": FALSE_MALIGNANT, "studies": 4}
    with pytest.raises(InputError, match=message):
        thresholds(**given | change)
