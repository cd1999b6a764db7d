"""What is frozen of the phantom: abdomens, and the versions of its tables, 2 and 3.  The records rest on version 2.

Each is frozen.  A change of what the phantom makes gives a new version, and never changes an old one.
`python tests/test_phantom_versions.py` writes the frozen piece of a version that has none.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from livervlm.base.errors import InputError
from livervlm.phantom.abdomen import abdomen_study, draw_abdomens
from livervlm.phantom.anatomy import INSTEAD, grow
from livervlm.phantom.cohort import make_cohort, phantom_study
from livervlm.phantom.enhancement import COLUMNS, PHANTOM_VERSION, VERSIONS, draw_patterns, draw_tables, read_table
from livervlm.phantom.patients import Knobs, draw_patients
from livervlm.scans.conventions import CLASS_NAMES
from livervlm.scans.rois import extract_rois

GOLDEN = Path(__file__).parent / "golden"


def piece(version: int) -> dict:
    """A few coarse slices of one small patient of each class, in four phases."""
    made = {}
    for patient in draw_patients(0, dict.fromkeys(CLASS_NAMES, 1), Knobs(diameter=0.5), version):
        made[patient.kind] = extract_rois(phantom_study(patient, phases=COLUMNS), 8, phases=COLUMNS).hu[:2].tolist()
    return {"version": version, "hu": made}


def abdomen_piece() -> dict:
    """Every eighth voxel of a small abdomen in each phase, and its findings."""
    study = abdomen_study(draw_abdomens(0, 1)[0], COLUMNS, size=32)
    hu = {phase: volume[::8, ::8, ::8].tolist() for phase, volume in study.volumes.items()}
    return {"hu": hu, "findings": [[one.kind, one.organ, one.marked] for one in study.findings]}


@pytest.fixture(scope="module")
def crowds():
    """Version -> latents of 600 patients of two classes."""
    return {version: draw_patients(4, {"FNH": 600, "HEM": 600, "HCC": 600}, version=version) for version in VERSIONS}


def share(crowd, kind, pattern, least=0.0, most=np.inf):
    mine = [one for one in crowd if one.kind == kind and least <= one.diameter < most]
    return np.mean([pattern in one.patterns for one in mine])


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_is_frozen(version):
    frozen = json.loads((GOLDEN / f"phantom_{version}.json").read_text())
    made = piece(version)["hu"]
    assert made.keys() == frozen["hu"].keys()
    for kind, hu in made.items():
        difference = np.abs(np.array(hu) - np.array(frozen["hu"][kind])).max()
        assert difference <= 1, f"{kind} changed by {difference} HU: what the phantom makes anew is a new version"


def test_abdomens_are_frozen_too():
    frozen, made = json.loads((GOLDEN / "abdomen.json").read_text()), abdomen_piece()
    assert made["findings"] == frozen["findings"]
    for phase, hu in made["hu"].items():
        changed = np.abs(np.array(hu) - np.array(frozen["hu"][phase])) > 1
        assert changed.mean() < 0.005, f"{phase}: {changed.mean():.1%} of the voxels have changed"


def test_without_a_wish_the_tables_are_those_of_the_records():
    assert PHANTOM_VERSION == 2
    one, other = (
        make_cohort(3, 8, patients={"CYST": 1, "HEM": 1}, progress=False, **kw) for kw in ({}, {"version": 2})
    )
    assert one.fingerprint() == other.fingerprint()
    assert one.source == other.source
    assert one.source["version"] == "2"


def test_a_cohort_says_its_version_and_differs_from_that_of_another():
    two, three = (
        make_cohort(3, 8, patients={"CYST": 1, "HEM": 1}, version=version, progress=False) for version in VERSIONS
    )
    assert three.source == {**two.source, "version": "3"}
    assert three.fingerprint() != two.fingerprint()


def test_an_unknown_version_is_refused():
    with pytest.raises(InputError, match="phantom version 4: choose one of 2, 3"):
        draw_patients(0, 10, version=4)


@pytest.mark.parametrize(("name", "key"), [("enhancement", ["tissue", "phase"]), ("pattern_rates", ["pattern"])])
def test_a_version_has_one_row_for_each_thing_and_version_3_loses_none(name, key):
    two, three = (read_table(name, version).set_index(key) for version in VERSIONS)
    assert two.index.is_unique
    assert three.index.is_unique
    assert set(two.index) < set(three.index)
    new = {"enhancement": {("weak fnh", phase) for phase in COLUMNS}, "pattern_rates": {"FNH weak"}}[name]
    assert set(three.index) - set(two.index) == new


def test_small_hemangiomas_fill_at_once_and_large_ones_have_the_scar(crowds):
    """By the tables: .29 (d / 31) ** -.7, and .17 d / 105."""
    small, large = share(crowds[3], "HEM", "HEM flash filling", 0, 22), share(crowds[3], "HEM", "HEM flash filling", 45)
    assert small == pytest.approx(0.29 * (17 / 31) ** -0.7, abs=0.09)
    assert large == pytest.approx(0.29 * (55 / 31) ** -0.7, abs=0.09)
    assert share(crowds[3], "HEM", "HEM scar", 45) > 2 * share(crowds[3], "HEM", "HEM scar", 0, 30)
    every = [share(crowds[2], "HEM", "HEM flash filling", *edges) for edges in ((0, 22), (45, np.inf))]
    assert every == pytest.approx([0.29, 0.29], abs=0.09)


def test_a_rate_goes_with_the_diameter_to_its_power_and_is_never_certain():
    tables = draw_tables(version=3)
    for diameter, wanted in ((31.0, 0.29), (15.5, 0.29 * 2**0.7), (62.0, 0.29 / 2**0.7), (3.0, 0.8)):
        drawn = [draw_patterns(np.random.default_rng(i), "HEM", tables, diameter) for i in range(2000)]
        assert np.mean(["HEM flash filling" in one for one in drawn]) == pytest.approx(wanted, abs=0.035)
        assert not any({"HEM flash filling", "HEM low"} <= {*one} for one in drawn)


def test_some_fnh_enhance_little_and_those_have_no_scar(crowds):
    weak = [one for one in crowds[3] if "FNH weak" in one.patterns]
    strong = [one for one in crowds[3] if one.kind == "FNH" and "FNH weak" not in one.patterns]
    assert len(weak) / (len(weak) + len(strong)) == pytest.approx(0.18, abs=0.05)
    assert not any("FNH scar" in one.patterns for one in weak)
    art = COLUMNS.index("ART")
    over = [np.mean([one.hu[tissue][art] - one.hu["liver"][art] for one in some])
            for tissue, some in (("weak fnh", weak), ("fnh", strong))]  # fmt: skip
    assert over == pytest.approx([12, 53], abs=4)
    axes = [np.linspace(-0.4, 0.4, 9, dtype=np.float32) * weak[0].diameter] * 3
    anatomy = grow(weak[0], *axes)
    assert ("weak fnh",) * 4 in anatomy.tissues
    assert ("fnh",) * 4 not in anatomy.tissues
    assert INSTEAD["FNH weak"] == "weak fnh"


def test_both_kinds_of_fnh_together_are_as_bright_as_was_measured(crowds):
    """117.9 HU in the arterial phase, Ruppert-Kohlmayr 2001."""
    art = COLUMNS.index("ART")
    hu = [one.hu["weak fnh" if "FNH weak" in one.patterns else "fnh"][art] for one in crowds[3] if one.kind == "FNH"]
    assert np.mean(hu) == pytest.approx(117.9, abs=2.5)


def test_fewer_hcc_fall_from_the_arterial_to_the_portal_venous_phase(crowds):
    """9 % of WAW-TACE's, whose masks understate both phases; of version 2's main tissue, four in ten."""
    art, pv = COLUMNS.index("ART"), COLUMNS.index("PV")

    def falls(crowd):
        mine = [one for one in crowd if one.kind == "HCC" and "HCC hypovascular" not in one.patterns]
        main = ["washout" if "HCC washout" in one.patterns else "hcc" for one in mine]
        return np.mean([one.hu[tissue][art] > one.hu[tissue][pv] for one, tissue in zip(mine, main, strict=True)])

    assert falls(crowds[2]) > 0.45
    assert 0.1 < falls(crowds[3]) < 0.3


if __name__ == "__main__":
    for number in VERSIONS:
        if not (path := GOLDEN / f"phantom_{number}.json").exists():
            path.write_text(json.dumps(piece(number)) + "\n")
    if not (path := GOLDEN / "abdomen.json").exists():
        path.write_text(json.dumps(abdomen_piece()) + "\n")
