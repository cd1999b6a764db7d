"""How a difference changes with ordinary augmentation on both sides, and in larger pictures."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from transport_records import COHORTS, LARGE, PATIENTS, RECORDED, around, by_row

from livervlm.analyses.transport import AUGMENTED, SCALED, changes, same_signs
from livervlm.base.errors import InputError
from livervlm.runs.rows import all_rows, declared

pytest_plugins = ["transport_records"]
pytestmark = pytest.mark.usefixtures("few_resamples")


@pytest.mark.parametrize(
    ("family", "before", "extra"),
    [("hospitals, geometric", "narrow, geometric: ", {"geometry": "affine"}), ("224 pixels", "224 pixels: ", {})],
)
def test_each_contrast_has_one_that_differs_in_one_thing(family, before, extra):
    families = [declared()["contrasts"][name] for name in ("hospitals", family)]
    for plain, other in zip(*families, strict=True):
        for side in ("better", "worse"):
            one, two = all_rows()[plain[side]].method, all_rows()[other[side]].method
            assert replace(one.recipe, **extra) == two.recipe
            assert one.config == two.config
        assert other["name"].replace(before, "narrow: ") == plain["name"]


@pytest.mark.parametrize(("family", "words"), [("hospitals, geometric", AUGMENTED), ("224 pixels", SCALED)])
def test_what_is_left_of_a_gain(family, words, tested, few_cohorts, monkeypatch):
    monkeypatch.setitem(declared()["plan"]["cohorts"], family, COHORTS)
    profile = RECORDED if words == AUGMENTED else LARGE
    wobble = np.resize([1, 0, -1, 0, 0], COHORTS)
    before = tested(*by_row("hospitals", {"model 1": 10 + wobble, "SimSiam": 2 + wobble}))
    runs = tested(*by_row(family, {}), cohorts=COHORTS - 1, profile=profile)
    with pytest.raises(InputError, match=f"pixels: {COHORTS - 1} of {COHORTS} cohorts are there"):
        changes((runs, family), (before, "hospitals"), words)
    gains = {"model 1": 4 + np.roll(wobble, 1), "SimSiam": np.roll(wobble, 1) - 6}
    runs = tested(*by_row(family, gains), profile=profile)
    table = changes((runs, family), (before, "hospitals"), words)
    first, none = table.loc["narrow: phase shuffle against scratch"], table.loc["narrow: prompts against FC, augmented"]
    each = np.roll(wobble, 1) - wobble - 6
    assert first[["before", "now", "change", "n"]].tolist() == pytest.approx([10, 4, -6, COHORTS])
    t = stats.ttest_1samp(each, 0).confidence_interval(0.95)
    assert first[["change low", "change high"]].tolist() == pytest.approx([t.low, t.high], abs=0.01)
    t = stats.ttest_1samp(gains["model 1"], 0).confidence_interval(0.95)
    assert first[["now low", "now high"]].tolist() == pytest.approx([t.low, t.high], abs=0.01)
    assert (first["verdict"], first["word"]) == ("reproduced", words[0])
    assert (none["verdict"], none["word"]) == ("equivalent", "the same")
    assert table.loc["narrow: augmentation against none", "word"] == words[0]
    larger = table.loc["narrow: phase shuffle against SimSiam"]
    assert larger[["before", "now", "change"]].tolist() == pytest.approx([8, 10, 2])
    assert larger["word"] == words[1]


def test_a_change_is_judged_with_holms_correction(tested, few_cohorts):
    """By itself the change of one contrast has p = 0.02; of eight such questions this is no answer."""
    change = around(-4, 4 / stats.t.ppf(0.99, COHORTS - 1) * np.sqrt(COHORTS), COHORTS)
    wild = {
        name: np.roll(around(0, 9, COHORTS), i) for i, name in enumerate(("model 0", "SimSiam", "FC, phase shuffle"))
    }
    wild["scratch, twice the steps"] = around(0, 9, COHORTS)[::-1]
    before = tested(*by_row("hospitals", {"model 1": np.full(COHORTS, 10.0)}))
    now = tested(*by_row("hospitals, geometric", {"model 1": 10 + change, **wild}))
    table = changes((now, "hospitals, geometric"), (before, "hospitals"), AUGMENTED)
    line = table.loc["narrow: phase shuffle against scratch"]
    assert line["change high"] < 0
    assert 0.05 < line["p, Holm"] <= 8 * 0.021
    assert line["word"] == "undecided"


def test_the_verdict_with_augmentation_counts_the_wider_interval(tested, few_cohorts):
    """The gain lies in two test patients that all cohorts share: with other patients there may be none."""
    of_patient = np.zeros(PATIENTS)
    of_patient[:2] = 45
    level = np.resize([1, 0, -1, 0, 0], COHORTS)
    before = tested(*by_row("hospitals", {}))
    rows, _ = by_row("hospitals, geometric", {})
    model_1 = rows.index("narrow, geometric: model 1")
    now = tested(rows, {"standard": lambda i, cohort: 50 + (i == model_1) * (of_patient + level[cohort])})
    line = changes((now, "hospitals, geometric"), (before, "hospitals"), AUGMENTED).loc[
        "narrow: phase shuffle against scratch"
    ]
    assert line["now"] == pytest.approx(4.5)
    assert line["now low"] > 3
    assert line["verdict"] == "undecided"


def test_signs_in_large_pictures_are_counted_against_the_mean_in_small_ones(tested, monkeypatch):
    for name, n in (("core", 4), ("224 pixels, ResNet18", 3)):
        monkeypatch.setitem(declared()["plan"]["cohorts"], name, n)
    rows = ("scratch", "model 1", "model 2", "FC, phase shuffle")
    small = tested(rows, {"standard": lambda i, cohort: 50 + [0, 2, -2, 1][i]}, 4)
    gains = np.array([[0, 0, 0], [1, 1, -1], [3, 0, -4], [2, -1, 1]])
    names = [f"224 pixels, ResNet18: {name}" for name in rows]
    with pytest.raises(InputError, match="224 pixels: 2 of 3 cohorts are there"):
        same_signs(tested(names, {"standard": lambda i, cohort: 50 + gains[i, cohort]}, 2, LARGE), small)
    table = same_signs(tested(names, {"standard": lambda i, cohort: 50 + gains[i, cohort]}, 3, LARGE), small)
    assert table["at 64"].to_dict() == pytest.approx({
        "phase shuffle against scratch": 2, "augmentation against none": -4,
        "proposed against phase shuffle with FC": -3, "prompts against FC, pretrained": 1,
    })  # fmt: skip
    assert table["same sign"].tolist() == [2, 2, 1, 1]
    assert (table["of"] == 3).all()
