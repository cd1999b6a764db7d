"""The selector that the book ships on a real CT, whose organs are known in its upper slices.

    python tests/test_real_ct.py

writes the record that the chapter on key slices reads; without the CT, which is not in this repository, that record is
only read.
"""

import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from livervlm.analyses.key_slices.cohorts import PROMPTS
from livervlm.analyses.key_slices.questions import windowed
from livervlm.base.paths import data_file
from livervlm.models.selector import encode_slices, slice_scores
from livervlm.models.towers import SliceTowers
from livervlm.phantom.findings import ORGANS
from livervlm.runs.records import code_provenance, read_record, write_record

REAL = Path(__file__).parents[2] / "shared" / "realdata" / "totalsegmentator_example"
RECORD = data_file("results") / "key_slices_real.json"
LABELS = {  # TotalSegmentator's numbers
    "aorta": [52],
    "colon": [20],
    "duodenum": [19],
    "esophagus": [15],
    "gallbladder": [4],
    "heart": [51],
    "kidney": [2, 3],
    "liver": [5],
    "pancreas": [7],
    "stomach": [6],
    "spleen": [1],
    "thyroid gland": [17],
    "urinary bladder": [21],
    "trachea": [16],
    "lung": [10, 11, 12, 13, 14],
}


def real_organs() -> dict:
    """Prompt -> organ -> AUC over the labelled slices, where some show it and some do not, and its best slice of all.

    The labels are those of the 30 uppermost slices, though the file's header says the lowest: there they lie on organs.
    """
    import SimpleITK as sitk

    from livervlm.studies.slices import read_slices

    slices = read_slices(REAL / "example_ct.nii.gz")
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(REAL / "example_seg.nii.gz")))[::-1, ::-1, ::-1]
    assert 20 < np.median(slices.full[""][: len(labels)][labels == 5]) < 80, "the labels do not lie on the organs"
    towers = SliceTowers.from_pretrained(data_file("selector"))
    seen, found = encode_slices(towers, windowed(slices.hu)), {}
    for name, prompt in PROMPTS.items():
        scores = slice_scores(towers, seen, [prompt(organ) for organ in ORGANS])
        found[name] = {}
        for organ, row in zip(ORGANS, scores, strict=True):
            there = np.isin(labels, LABELS[organ]).any(axis=(1, 2))
            mixed = there.any() and not there.all()
            auc = round(float(roc_auc_score(there, row[: len(there)])), 3) if mixed else None
            found[name][organ] = {"AUC": auc, "slices with it": int(there.sum()), "best": int(row.argmax())}
    return {"slices": len(slices.hu), "labelled": len(labels), "organs": found}


def test_the_record_speaks_of_the_shipped_selector_and_of_organs_that_are_there():
    record = read_record(RECORD)
    for found in record["organs"].values():
        assert set(found) == set(ORGANS)
        for one in found.values():
            assert (one["AUC"] is None) == (one["slices with it"] in (0, record["labelled"]))
            assert 0 <= one["best"] < record["slices"]


@pytest.mark.skipif(not REAL.is_dir(), reason="the real CT of shared/realdata is not beside this checkout")
def test_the_record_is_what_the_selector_does_on_the_real_ct():
    pytest.importorskip("SimpleITK")
    now, record = real_organs(), read_record(RECORD)
    assert now["slices"] == record["slices"]
    for prompt, found in now["organs"].items():
        for organ, one in found.items():
            before = record["organs"][prompt][organ]
            assert one["slices with it"] == before["slices with it"]
            if one["AUC"] is not None:
                assert one["AUC"] == pytest.approx(before["AUC"], abs=0.05)


if __name__ == "__main__":
    about = {"data": {"source": {"kind": "one real CT of the abdomen, no contrast, 3 mm"}}}
    write_record(RECORD, {**code_provenance("livervlm", "torch", "SimpleITK"), **about, **real_organs()})
    sys.exit()
