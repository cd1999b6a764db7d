"""Hand-crafted features on pictures whose rings and textures are known, and the trees that read them."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from livervlm.base.errors import InputError
from livervlm.models.radiomics import feature_names, fit, radiomics_features
from livervlm.scans.conventions import PHASE_NAMES
from livervlm.scans.lesions import LesionSet

PHASES = tuple(PHASE_NAMES)


def of(hu: np.ndarray) -> LesionSet:
    """A set of these slices, (N, P, S, S)."""
    n, n_phases = hu.shape[:2]
    ones = np.ones(n, dtype=int)
    names = (*PHASES, "5", "6")[:n_phases]
    return LesionSet(hu.astype(np.int16), 0 * ones, ones, ones, np.ones((n, 3)), phases=names)


def named(hu: np.ndarray) -> dict[str, float]:
    """Name -> feature of one slice, (P, S, S)."""
    lesions = of(hu[None])
    return dict(zip(feature_names(lesions.phases), radiomics_features(lesions)[0].tolist(), strict=True))


def picture(size: int, *zones: tuple[float, float]) -> np.ndarray:
    """One phase: from the inside out, (outer radius over half the side, HU)."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    radius, hu = np.hypot(y, x) / (size / 2), np.zeros((size, size))
    for outer, level in reversed(zones):
        hu[radius < outer] = level
    return hu


def noise(seed: int = 0, shape: tuple[int, ...] = (3, 32, 32)) -> np.ndarray:
    return np.random.default_rng(seed).integers(-150, 230, shape)


@pytest.mark.parametrize("size", [16, 33, 64])
def test_every_zone_has_its_hu(size):
    levels = {"centre": -20, "ring 0.2-0.4": 10, "ring 0.4-0.6": 35, "ring 0.6-0.8": 140, "ring 0.8-1": 60}
    radii = (0.2, 0.4, 0.6, 0.8, 1)
    found = named(picture(size, *zip(radii, levels.values(), strict=True), (2, 100))[None])
    for zone, level in {**levels, "corners": 100}.items():
        assert [found[f"NC {zone} {s}"] for s in ("mean", "q10", "q50", "q90")] == [level] * 4
        assert found[f"NC {zone} sd"] == 0
    for zone, level in levels.items():
        assert found[f"NC {zone} - corners"] == level - 100


def test_statistics_are_those_of_the_pixels():
    hu = noise()
    y, x = (np.mgrid[:32, :32] - 15.5) / 16
    ring = hu[1][(np.hypot(y, x) >= 0.6) & (np.hypot(y, x) < 0.8)]
    found = named(hu)
    assert found["ART ring 0.6-0.8 mean"] == pytest.approx(ring.mean(), abs=1e-3)
    assert found["ART ring 0.6-0.8 sd"] == pytest.approx(ring.std(), abs=1e-3)
    for q in (10, 50, 90):
        assert found[f"ART ring 0.6-0.8 q{q}"] == pytest.approx(np.percentile(ring, q), abs=1e-3)


def test_a_rim_that_enhances_and_washes_out_is_seen_phase_by_phase():
    rim = [picture(64, (0.6, 30), (0.8, level), (2, 60)) for level in (40, 150, 90)]
    found = named(np.stack(rim))
    assert [found[f"{p} ring 0.6-0.8 mean"] for p in ("NC", "ART", "PV")] == [40, 150, 90]
    steps = {"ART - NC": 110, "PV - NC": 50, "PV - ART": -60}
    assert {step: found[f"{step} ring 0.6-0.8"] for step in steps} == steps
    assert all(found[f"{step} centre"] == found[f"{step} corners"] == 0 for step in steps)


def test_texture_is_that_of_a_matrix_counted_by_hand():
    hu = noise()[:1]
    level = np.clip((hu[0] + 160) // 25, 0, 15)
    y, x = (np.mgrid[:32, :32] - 15.5) / 16
    inside = np.hypot(y, x) < 0.4
    pairs = [
        (level[i, j], level[i + di, j + dj])
        for i in range(1, 31)
        for j in range(1, 31)
        for di in (-1, 0, 1)
        for dj in (-1, 0, 1)
        if (di, dj) != (0, 0) and inside[i, j] and inside[i + di, j + dj]
    ]
    a, b = np.array(pairs).T
    counts = np.zeros((16, 16))
    np.add.at(counts, (a, b), 1)
    found = named(hu)
    assert found["NC contrast"] == pytest.approx(np.mean((a - b) ** 2), rel=1e-5)
    assert found["NC homogeneity"] == pytest.approx(np.mean(1 / (1 + (a - b) ** 2)), rel=1e-5)
    assert found["NC correlation"] == pytest.approx(np.corrcoef(a, b)[0, 1], rel=1e-4)
    assert found["NC energy"] == pytest.approx(math.sqrt(((counts / len(pairs)) ** 2).sum()), rel=1e-5)


def test_texture_knows_the_disc_alone():
    hu = noise()[:1]
    outside = hu.copy()
    outside[picture(32, (0.4, 1), (2, 0))[None] == 0] = 777
    before, after = named(hu), named(outside)
    assert all(before[f"NC {t}"] == after[f"NC {t}"] for t in ("contrast", "homogeneity", "correlation", "energy"))


@pytest.mark.parametrize("size", [16, 31])
def test_turning_and_mirroring_change_nothing(size):
    hu = noise(shape=(3, size, size))
    wanted = radiomics_features(of(hu[None]))
    for turned in (*(np.rot90(hu, k, axes=(1, 2)) for k in (1, 2, 3)), hu[..., ::-1]):
        assert np.allclose(radiomics_features(of(turned[None])), wanted, atol=1e-3)


@given(st.integers(1, 200))
def test_brighter_by_so_much_is_brighter_by_so_much(rise):
    hu = noise()
    brighter = hu.copy()
    brighter[1] += rise
    before, after = named(hu), named(brighter)
    for name, value in before.items():
        moved = after[name] - value
        level = name.startswith("ART") and name.endswith(("mean", "q10", "q50", "q90", "- corners"))
        if name.startswith("PV - ART"):
            assert moved == pytest.approx(-rise, abs=1e-2)
        elif name.startswith("ART - NC") or (level and " - " not in name):
            assert moved == pytest.approx(rise, abs=1e-2)
        elif level or "ART" not in name or name.endswith("sd"):
            assert moved == pytest.approx(0, abs=1e-2)


@given(hnp.arrays(np.int16, st.tuples(st.just(2), st.integers(1, 6), st.just(17), st.just(17))))
def test_no_feature_is_ever_missing(hu):
    lesions = of(hu)
    features = radiomics_features(lesions)
    assert features.dtype == np.float32
    assert features.shape == (2, len(feature_names(lesions.phases)))
    assert np.isfinite(features).all()


def test_names_are_unique_and_the_size_in_mm_is_not_looked_at(toy):
    assert len(set(feature_names(PHASES))) == len(feature_names(PHASES))
    larger = replace(toy, spacing=3 * toy.spacing, masks=None, mask_names=())
    assert np.array_equal(radiomics_features(larger), radiomics_features(toy))


def test_too_small_a_picture_is_refused():
    with pytest.raises(InputError, match="ROIs of 15 pixels: rings need 16 and more"):
        radiomics_features(of(np.zeros((1, 1, 15, 15))))


def test_trees_beat_the_most_frequent_class(toy):
    _, train, test = next(toy.folds())
    prob = fit(toy, train, seed=0)(toy, test)
    assert prob.shape == (len(test), 4)
    assert np.allclose(prob.sum(axis=1), 1)
    most = np.bincount(toy.label[test]).max() / len(test)
    assert np.mean(prob.argmax(axis=1) == toy.label[test]) > most + 0.3


def test_trees_learn_nothing_from_shuffled_labels(toy):
    shuffled = replace(toy, label=np.random.default_rng(0).permutation(toy.label))
    _, train, test = next(toy.folds())
    prob = fit(shuffled, train, seed=0)(shuffled, test)
    assert np.mean(prob.argmax(axis=1) == toy.label[test]) < 0.7


def test_a_class_that_training_lacks_gets_nothing_and_the_seed_decides(toy):
    _, train, test = next(toy.folds())
    train = train[toy.label[train] != 2]
    prob = fit(toy, train, seed=1)(toy, test)
    assert prob.shape == (len(test), 4)
    assert not prob[:, 2].any()
    assert np.allclose(prob.sum(axis=1), 1)
    assert np.array_equal(prob, fit(toy, train, seed=1)(toy, test))
    assert not np.array_equal(prob, fit(toy, train, seed=2)(toy, test))
