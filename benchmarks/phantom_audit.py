"""What gives a phantom lesion's class away that should not, and how alike its patients are to the tables.

python benchmarks/phantom_audit.py [patients of each class]

Accuracies are of boosted trees, by patient, in five groups; chance is 25 %.  The design effect of their answers:
how much more the share of right ones varies than if every slice were another patient's.
"""

import sys

import numpy as np
from scipy.ndimage import binary_erosion
from sklearn.ensemble import HistGradientBoostingClassifier

from livervlm.evaluation.metrics import design_effect
from livervlm.phantom.cohort import make_cohort
from livervlm.phantom.enhancement import read_table
from livervlm.scans.conventions import CLASS_NAMES
from livervlm.scans.lesions import LesionSet

BORDER = 5  # pixels of the frame of a 64-pixel ROI
MAIN = {"CYST": "cyst", "FNH": "fnh", "HCC": "hcc", "HEM": "hemangioma"}


def hu_of(lesions: LesionSet, mask: np.ndarray) -> np.ndarray:
    """(N, 5 P): mean, sd, 10, 50 and 90 % of the HU under a mask, phase by phase; NaN where it is empty."""
    rows = np.full((len(lesions), len(lesions.phases), 5), np.nan)
    for n, p in np.ndindex(rows.shape[:2]):
        values = lesions.hu[n, p][mask[n, p]]
        if len(values):
            rows[n, p] = values.mean(), values.std(), *np.quantile(values, (0.1, 0.5, 0.9))
    return rows.reshape(len(lesions), -1)


def answers(lesions: LesionSet, features: np.ndarray) -> np.ndarray:
    """(N,) bool: right or wrong, each group answered by trees that saw the others."""
    right = np.zeros(len(lesions), dtype=bool)
    for _, train, test in lesions.folds():
        trees = HistGradientBoostingClassifier(max_iter=80, learning_rate=0.08, random_state=0)
        right[test] = trees.fit(features[train], lesions.label[train]).predict(features[test]) == lesions.label[test]
    return right


def audit(n: int) -> None:
    lesions = make_cohort(100, 64, patients=dict.fromkeys(CLASS_NAMES, n), jobs=2, progress=False)
    _, first, slices = np.unique(lesions.patient, return_index=True, return_counts=True)
    every = np.repeat(slices, slices)
    size = np.column_stack([every, lesions.spacing[:, 0], lesions.spacing[:, 1] * lesions.size])
    frame = np.ones(lesions.hu.shape, dtype=bool)
    frame[..., BORDER:-BORDER, BORDER:-BORDER] = False
    border = hu_of(lesions, frame & ~lesions.mask("lesion"))
    inner = hu_of(lesions, lesions.mask("lesion"))
    print(f"{len(lesions)} slices of {len(first)} patients")
    for name, features in {
        "slice count alone": size[:, :1],
        "slice count, spacing, ROI mm": size,
        "border HU alone": border,
        "border HU and size": np.hstack([border, size]),
        "HU under the true lesion mask": inner,
        "the same and size": np.hstack([inner, size]),
    }.items():
        right = answers(lesions, features)
        by_class = [right[lesions.label == c].mean() for c in range(len(lesions.classes))]
        effect = design_effect(right, lesions.patient)
        print(f"{name:32} {np.mean(by_class):.1%} balanced, design effect {effect:.1f}")

    middle = first + slices // 2
    parts = [lesions.mask(part) for part in lesions.mask_names if part not in ("lesion", "washout")]
    host = lesions.mask("lesion") & ~np.any(parts, axis=0)
    table = read_table("enhancement").set_index(["tissue", "phase"])
    print(
        "HU of the host tissue, 4 px and more from its edge, middle slices: mean (sd) against the table's typical row"
    )
    for c, kind in enumerate(lesions.classes):
        said = []
        for p, phase in enumerate(lesions.phases):
            cores = [binary_erosion(host[i, p], iterations=4) for i in middle if lesions.label[i] == c]
            hu = [lesions.hu[i, p] for i in middle if lesions.label[i] == c]
            means = [h[core].mean() for h, core in zip(hu, cores, strict=True) if core.sum() > 20]
            row = table.loc[(MAIN[kind], phase)]
            liver = table.loc[("liver", phase), "mean"] if row["relative_to"] == "liver" else 0
            said.append(
                f"{phase} {np.mean(means):.0f} ({np.std(means):.0f}) / {row['mean'] + liver:.0f} ({row['sd']:g})"
            )
        print(f"{kind:5}", "   ".join(said))


if __name__ == "__main__":
    audit(int(sys.argv[1]) if len(sys.argv) > 1 else 150)
