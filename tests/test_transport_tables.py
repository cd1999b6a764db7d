"""Does a gain survive in the next hospital, and do five folds predict it: on tables of known answers."""

import numpy as np
import pandas as pd
import pytest
from conftest import CLASSES
from scipy import stats
from statsmodels.stats.multitest import multipletests
from transport_records import answers, around

from livervlm.analyses.transport import correlations, five_fold_intervals, survival
from livervlm.evaluation.comparisons import cluster_bootstrap, delong
from livervlm.evaluation.outcome import Outcome

pytest_plugins = ["transport_records"]
pytestmark = pytest.mark.usefixtures("few_resamples")


def effects(**columns) -> pd.DataFrame:
    """A table of effects from (contrasts, cohorts) arrays."""
    shape = np.shape(next(iter(columns.values())))
    index = pd.MultiIndex.from_product([[f"c{i}" for i in range(shape[0])], range(shape[1])])
    return pd.DataFrame(
        {name: np.ravel(values) for name, values in columns.items()}, index.set_names(["contrast", "cohort"])
    )


def outside_in(table: pd.DataFrame, apart=(0.0, 0.0)) -> pd.DataFrame:
    """The same difference outside in every other hospital, but for how far each lies from their mean."""
    return pd.DataFrame(table["outside"].to_numpy()[:, None] + np.asarray(apart), table.index)


def test_what_is_lost_outside_gets_its_word():
    rng = np.random.default_rng(0)
    mixed = [rng.permutation(30) for _ in range(5)]
    inside = np.stack([around(5, 1), around(-5, 1), around(5, 1), around(2, 1), around(2, 8)])
    lost = np.stack(
        [around(m, s)[p] for (m, s), p in zip([(5, 2), (-5, 2), (-5, 2), (0, 1), (2, 8)], mixed, strict=True)]
    )
    made = effects(inside=inside, outside=inside - lost)
    table = survival(made, outside_in(made), margin=2)
    assert table["word"].tolist() == ["lost outside", "lost outside", "gained outside", "the same", "undecided"]
    assert table["lost"].tolist() == pytest.approx([5, -5, -5, 0, 2])
    for column, values in (("inside", inside), ("outside", inside - lost), ("lost", lost)):
        each = [stats.ttest_1samp(one, 0).confidence_interval(0.95) for one in values]
        assert table[f"{column} low"].tolist() == pytest.approx([one.low for one in each])
        assert table[f"{column} high"].tolist() == pytest.approx([one.high for one in each])
    assert table.loc["c0", "lost bootstrap low"] == pytest.approx(table.loc["c0", "lost low"], abs=0.3)
    assert table.loc["c0", "inside"] == pytest.approx(5)
    p = [stats.ttest_1samp(one, 0).pvalue for one in lost]
    assert table["p, Holm"].tolist() == pytest.approx(multipletests(p, method="holm")[1].tolist())


def test_the_interval_that_draws_hospitals_too_is_wider_where_they_differ():
    """All cohorts share the other hospitals: what is chance between these is the same in every cohort."""
    made = effects(inside=[around(5, 1)], outside=[around(3, 1)[::-1]])
    apart = around(0, 6, 20)
    (alike,), (differ,) = (
        survival(made, outside_in(made, spread), margin=2).to_dict("records") for spread in (0 * apart, apart)
    )
    for part in ("outside", "lost"):
        assert differ[part] == pytest.approx(alike[part])
        assert differ[f"{part} high"] - differ[f"{part} low"] == pytest.approx(
            alike[f"{part} high"] - alike[f"{part} low"]
        )
        width = differ[f"{part} crossed high"] - differ[f"{part} crossed low"]
        sd = made["outside"].std() if part == "outside" else (made["inside"] - made["outside"]).std()
        assert width == pytest.approx(2 * 1.96 * np.sqrt(sd**2 / 30 + 6**2 / 20), rel=0.15)
        assert differ[f"{part} crossed low"] < differ[part] < differ[f"{part} crossed high"]


@pytest.mark.parametrize(("r", "word"), [(0.9, "predict"), (0.0, "do not predict"), (0.5, "undecided")])
def test_a_correlation_is_judged_by_its_interval(r, word):
    rng = np.random.default_rng(3)
    folds, other = rng.standard_normal((2, 8, 30))
    truth = r * folds + np.sqrt(1 - r**2) * other
    found = correlations(effects(folds=folds, inside=truth, outside=other))
    each = [np.corrcoef(f, t)[0, 1] for f, t in zip(folds, truth, strict=True)]
    assert found.loc["inside", "value"] == pytest.approx(np.tanh(np.mean(np.arctanh(each))))
    assert found.loc["inside", "low"] < found.loc["inside", "value"] < found.loc["inside", "high"]
    assert found.loc["inside", "word"] == word
    assert found.loc["outside", "word"] == "do not predict"


def test_contrasts_far_apart_do_not_make_a_correlation():
    """Within each contrast nothing goes together, though large effects are large in both."""
    rng = np.random.default_rng(1)
    middle = np.linspace(-20, 20, 8)[:, None]
    folds, inside, outside = middle + rng.standard_normal((3, 8, 30))
    assert abs(correlations(effects(folds=folds, inside=inside, outside=outside)).loc["inside", "value"]) < 0.25


def test_cohorts_are_drawn_whole():
    """Eight copies of one contrast tell no more than one of them."""
    rng = np.random.default_rng(2)
    folds, truth = rng.standard_normal((2, 1, 30))
    one = correlations(effects(folds=folds, inside=truth, outside=truth))
    eight = correlations(
        effects(**{k: np.repeat(v, 8, axis=0) for k, v in {"folds": folds, "inside": truth, "outside": truth}.items()})
    )
    assert np.allclose(one[["value", "low", "high"]], eight[["value", "low", "high"]], atol=1e-9)


@pytest.mark.parametrize("folds", [5, 10])
def test_the_intervals_of_a_laboratory(folds):
    sides = []
    for share, seed in ((0.8, 0), (0.6, 1)):
        y_true, prob, patient = answers(share, seed)
        sides.append(Outcome(y_true, prob, patient % folds, patient, CLASSES, {}))
    found = five_fold_intervals(*sides)
    a, b = (side.by_fold for side in sides)
    assert found["t over folds"] == pytest.approx(tuple(stats.ttest_rel(a, b).confidence_interval(0.95)))
    wide = np.ptp(found["Nadeau-Bengio"]) / np.ptp(found["t over folds"])
    assert wide == pytest.approx(np.sqrt((1 / folds + 1 / (folds - 1)) / (1 / folds)))
    gained = 100 * ((sides[0].y_pred == sides[0].y_true) - 1.0 * (sides[1].y_pred == sides[1].y_true))
    _, *slow = cluster_bootstrap(np.mean, sides[0].patient, gained)
    assert found["bootstrap of patients"] == pytest.approx(slow, abs=4)
    cancer = CLASSES.index("HCC")
    wanted = delong(sides[0].y_true == cancer, *(side.prob[:, cancer] for side in sides))
    assert found["DeLong"] == pytest.approx(wanted.interval())
    assert wanted.difference > 0
