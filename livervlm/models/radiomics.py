"""A baseline without a network: measures of rings and texture in each phase, and trees.

It was made by somebody who knows how the phantom is made: the lesion lies in the middle of its ROI and fills about two
thirds of the side, and the classes differ by how centre, rim and surroundings enhance.  It sees what the network sees,
the ROI and no mask.  It leaves out the ROI's size in mm, which the network does not see either and which would tell
the class: by Table 1 an HCC has more slices than the others, so on the phantom it is larger.
"""

from collections.abc import Callable, Sequence
from itertools import combinations, pairwise

import numpy as np

from ..base.errors import InputError
from ..scans.conventions import WINDOW
from ..scans.lesions import LesionSet

EDGES = (0, 0.2, 0.4, 0.6, 0.8, 1)  # radii of the zones' borders over half the side; the lesion ends at about 2/3
ZONES = ("centre", *(f"ring {a:g}-{b:g}" for a, b in pairwise(EDGES[1:])), "corners")
STATISTICS = ("mean", "sd", "q10", "q50", "q90")
TEXTURES = ("contrast", "homogeneity", "correlation", "energy")
DISC = 0.4  # radius of the disc whose texture is measured, inside the lesion
LEVELS = 16  # grey levels over the window


def feature_names(phases: Sequence[str]) -> list[str]:
    """Names of the columns of `radiomics_features`, in their order."""
    names = [f"{p} {zone} {statistic}" for zone in ZONES for p in phases for statistic in STATISTICS]
    names += [f"{p} {zone} - corners" for zone in ZONES[:-1] for p in phases]
    names += [f"{b} - {a} {zone}" for zone in ZONES for a, b in combinations(phases, 2)]
    return names + [f"{p} {texture}" for p in phases for texture in TEXTURES]


def radiomics_features(lesions: LesionSet) -> np.ndarray:
    """(N, F) float32: HU of a central disc, of rings around it and of the corners, in each phase; NaN of missing ones.

    Differences of a zone are those of its means.  Texture is that of the grey-level co-occurrence matrix (Haralick
    1973) of neighbouring pixels in all four directions.  A turn by 90 degrees changes nothing.
    """
    n, n_phases, size = lesions.hu.shape[:3]
    if size < 16:
        raise InputError(f"ROIs of {size} pixels: rings need 16 and more; extract them at a higher resolution")
    radius = _radius(size)
    zones = [lesions.hu[:, :, (radius >= a) & (radius < b)] for a, b in pairwise((*EDGES, np.inf))]
    means = np.stack([zone.mean(axis=2) for zone in zones])  # (Z, N, P)
    columns = []
    for zone, mean in zip(zones, means, strict=True):
        columns += [np.stack([mean, zone.std(axis=2), *np.quantile(zone, (0.1, 0.5, 0.9), axis=2)], axis=-1)]
    columns += [mean - means[-1] for mean in means[:-1]]
    columns += [mean[:, b] - mean[:, a] for mean in means for a, b in combinations(range(n_phases), 2)]
    columns += [np.stack([_texture(phases) for phases in lesions.hu])]
    features = np.concatenate([column.reshape(n, -1) for column in columns], axis=1, dtype=np.float32)
    if lesions.present is not None:
        for p, phase in enumerate(lesions.phases):
            of_phase = [phase in name.split() for name in feature_names(lesions.phases)]
            features[np.ix_(~lesions.present[:, p], of_phase)] = np.nan
    return features


def fit(lesions: LesionSet, train: np.ndarray, seed: int) -> Callable[[LesionSet, np.ndarray], np.ndarray]:
    """Train extremely randomised trees (Geurts et al. 2006) on the slices `train`.

    Returns what answers for slices of any set: class probabilities, (n, C) float64; a class that `train` lacks gets
    0.  Classes are not weighted, as the network's loss does not weight them.  Nothing was tuned.
    """
    from sklearn.ensemble import ExtraTreesClassifier  # slow to import

    trees = ExtraTreesClassifier(n_estimators=500, random_state=seed)
    trees.fit(radiomics_features(lesions.subset(train)), lesions.label[train])

    def answer(tested: LesionSet, index: np.ndarray) -> np.ndarray:
        answers = trees.predict_proba(radiomics_features(tested.subset(index)))  # (n, classes in `train`)
        prob = np.zeros((len(answers), len(lesions.classes)))
        prob[:, trees.classes_] = answers
        return prob

    return answer


def _radius(size: int) -> np.ndarray:
    """Distance of each pixel from the middle, over half the side, (size, size)."""
    place = (np.arange(size) + 0.5) / size * 2 - 1
    return np.hypot(place[:, None], place)


def _texture(hu: np.ndarray) -> np.ndarray:
    """`TEXTURES` of each phase in the central disc.  hu: (P, S, S).  Returns (P, 4)."""
    from skimage.feature import graycomatrix, graycoprops

    low, high = WINDOW
    level = np.clip((hu - low) * (LEVELS / (high - low)), 0, LEVELS - 1).astype(np.uint8) + 1
    level[:, _radius(hu.shape[-1]) >= DISC] = 0  # a level of its own, left out below
    angles = np.arange(4) * np.pi / 4
    counts = [graycomatrix(phase, [1], angles, LEVELS + 1, symmetric=True)[1:, 1:].sum(axis=3) for phase in level]
    matrices = np.stack(counts, axis=-1)  # (levels, levels, 1, P): one matrix a phase, where skimage has angles
    return np.stack([graycoprops(matrices, texture)[0] for texture in TEXTURES], axis=1)
