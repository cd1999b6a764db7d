"""What gives a phantom lesion's class away that should not, and how alike its patients are to the tables.

python benchmarks/phantom_audit.py [--patients 150] [--version 2]

Accuracies are of boosted trees, by patient, in five groups; chance is 25 %.  The design effect of their answers:
how much more the share of right ones varies than if every slice were another patient's.  Last come the shares of
lesions that the sources of the tables count.
"""

import argparse
from itertools import pairwise

import numpy as np
from scipy.ndimage import binary_erosion
from sklearn.ensemble import HistGradientBoostingClassifier

from livervlm.evaluation.metrics import design_effect
from livervlm.phantom.cohort import make_cohort
from livervlm.phantom.enhancement import COLUMNS, PHANTOM_VERSION, read_table
from livervlm.phantom.patients import Patient, draw_patients
from livervlm.scans.conventions import LIVER_VLM_CLASSES
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


def audit(n: int, version: int) -> None:
    wanted = dict.fromkeys(LIVER_VLM_CLASSES, n)
    lesions = make_cohort(100, 64, patients=wanted, version=version, jobs=2, progress=False)
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
    table = read_table("enhancement", version).set_index(["tissue", "phase"])
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
    count(lesions, draw_patients(100, wanted, version=version))


def count(lesions: LesionSet, patients: list[Patient]) -> None:
    """Print what the tables' sources count, of whole lesions, a pixel off their edge, against the patient's liver."""
    patient, art, pv = lesions.patient, lesions.phases.index("ART"), lesions.phases.index("PV")
    inside = np.stack([[binary_erosion(phase) for phase in mask] for mask in lesions.mask("lesion")])
    whole = np.array([[lesions.hu[patient == i, p][inside[patient == i, p]].mean() for p in (art, pv)]
                      for i in range(len(patients))])  # fmt: skip
    liver = np.array([[one.hu["liver"][COLUMNS.index(phase)] for phase in ("ART", "PV")] for one in patients])
    kind, over = np.array([one.kind for one in patients]), whole - liver
    fnh, hcc = kind == "FNH", kind == "HCC"
    print(f"FNH: ART {whole[fnh, 0].mean():.0f} ({whole[fnh, 0].std():.0f}); more than 20 HU over the liver in ART "
          f"{np.mean(over[fnh, 0] > 20):.0%}; at most 5 HU over it in PV {np.mean(over[fnh, 1] <= 5):.0%}")  # fmt: skip
    print(f"HCC: over the liver {over[hcc, 0].mean():+.0f} in ART, {over[hcc, 1].mean():+.0f} in PV; falls from ART to "
          f"PV {np.mean(whole[hcc, 0] > whole[hcc, 1]):.0%}")  # fmt: skip
    edges = (0, 20, 30, 50, np.inf)
    for low, high in pairwise(edges):
        some = [one for one in patients if one.kind == "HEM" and low <= one.diameter < high]
        shares = [np.mean([pattern in one.patterns for one in some]) for pattern in ("HEM flash filling", "HEM scar")]
        print(f"HEM, {low} to {high} mm: {len(some)} patients, " + "flash filling {:.0%}, scar {:.0%}".format(*shares))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=150, help="of each class")
    parser.add_argument("--version", type=int, default=PHANTOM_VERSION, help="of the phantom's tables")
    options = parser.parse_args()
    audit(options.patients, options.version)
