"""What any model could reach on the phantom: a near-ideal observer from below and from above.

python benchmarks/phantom_observer.py [patients of each class]

Lower: boosted trees on HU statistics under the true masks of the lesion, of its rim and of the liver around it, a slice
at a time.  Upper: the class's posterior, by trees on ten times as many patients, for one who knows without noise the HU
of liver and of lesion, its size, and which parts it has.  Balanced accuracy by patient group; chance is 25 %.
"""

import sys

import numpy as np
from phantom_audit import answers, hu_of
from scipy.ndimage import distance_transform_edt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import cross_val_predict

from livervlm.lesions import CLASS_NAMES, LesionSet
from livervlm.phantom import Knobs, Patient, draw_patients, make_cohort
from livervlm.phantom.anatomy import INSTEAD, MAIN

SEED = 200


def masked(lesions: LesionSet, aligned: bool) -> np.ndarray:
    """(N, F): HU statistics of shells of the lesion; misregistered, the mask is the last phase's, as a box would be."""
    inside = lesions.mask("lesion")
    if not aligned:
        inside = np.repeat(inside[:, -1:], len(lesions.phases), axis=1)
    depth = np.stack([[distance_transform_edt(m) - distance_transform_edt(~m) for m in ms] for ms in inside])
    width = depth.max(axis=(2, 3), keepdims=True).clip(1)
    shells = [(0.6, 2), (0.25, 0.6), (0, 0.25)]
    parts = [hu_of(lesions, (depth > a * width) & (depth <= b * width)) for a, b in shells]
    return np.hstack([*parts, hu_of(lesions, (depth < -3) & (depth > -10)), lesions.spacing])


def latent(patient: Patient) -> list[float]:
    """What the upper observer knows of a patient, in the phases of a cohort."""
    main = next((INSTEAD[p] for p in patient.patterns if p in INSTEAD), MAIN[patient.kind])
    washed = f"{patient.kind} washout" in patient.patterns
    hu = [*patient.hu[main][:2], patient.hu["washout" if washed else main][2], *patient.hu["liver"][:3]]
    parts = [any(p.endswith(part) for p in patient.patterns) for part in (" scar", " capsule", " necrosis")]
    return [*hu, *parts, main == "hemangioma", patient.diameter]


def by(name: str, right: np.ndarray, label: np.ndarray, value: np.ndarray, edges: tuple[float, ...]) -> None:
    said = []
    for low, high in zip((0, *edges), (*edges, np.inf), strict=True):
        here = (value >= low) & (value < high)
        said.append(f"{low}-{high} mm {balanced(right[here], label[here]):.1%} ({here.sum()})")
    print(f"  by {name}: " + ", ".join(said))


def balanced(right: np.ndarray, label: np.ndarray) -> float:
    return np.mean([right[label == c].mean() for c in np.unique(label)])


def observe(n: int) -> None:
    wanted = dict.fromkeys(CLASS_NAMES, n)
    drawn = draw_patients(SEED, wanted)
    for aligned in (True, False):
        lesions = make_cohort(SEED, 64, aligned=aligned, patients=wanted, jobs=2, progress=False)
        right = answers(lesions, masked(lesions, aligned))
        far = np.array([np.linalg.norm([p.displacement[q] for q in ("NC", "ART")], axis=1).mean() for p in drawn])
        diameter = np.array([p.diameter for p in drawn])[lesions.patient]
        how = "aligned" if aligned else "misregistered"
        print(f"lower, {how}: {balanced(right, lesions.label):.1%} of {len(lesions)} slices")
        by("diameter", right, lesions.label, diameter, (20, 30, 50))
        if not aligned:
            by("displacement", right, lesions.label, far[lesions.patient], (5, 10, 15))
    many = draw_patients(SEED + 1, dict.fromkeys(CLASS_NAMES, 10 * n), Knobs())
    known, label = np.array([latent(p) for p in many]), np.array([list(CLASS_NAMES).index(p.kind) for p in many])
    trees = HistGradientBoostingClassifier(max_iter=150, learning_rate=0.08, random_state=0)
    right = cross_val_predict(trees, known, label, cv=5) == label
    print(f"upper, a patient at a time: {balanced(right, label):.1%} of {len(many)} patients")
    by("diameter", right, label, known[:, -1], (20, 30, 50))


if __name__ == "__main__":
    observe(int(sys.argv[1]) if len(sys.argv) > 1 else 150)
