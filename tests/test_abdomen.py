"""Whole abdomens: organs of published sizes in their places, published HU, and the lesions of the ROIs."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import center_of_mass, uniform_filter

from livervlm.base.errors import InputError
from livervlm.base.paths import data_file
from livervlm.phantom import abdomen_patients as module
from livervlm.phantom.abdomen import abdomen_study, draw_abdomens, paint_abdomen
from livervlm.phantom.abdomen_patients import TOP, abdomen_tables, finding_rates, organ_volumes, segment
from livervlm.phantom.anatomy import grow
from livervlm.phantom.cohort import fine_grid
from livervlm.phantom.enhancement import COLUMNS, draw_tables
from livervlm.phantom.findings import ORGANS, OTHER_KINDS
from livervlm.phantom.organs import BOUNDS, Field, Palette, anatomy
from livervlm.phantom.patients import Knobs, draw_patient
from livervlm.scans.rois import extract_rois

REAL = Path(__file__).parents[2] / "shared" / "realdata" / "totalsegmentator_example"
PHASES = ("NC", "ART", "PV")
TISSUES = {  # of the tables of HU -> the organ that is mostly made of it
    "aorta": "aorta",
    "spleen": "spleen",
    "pancreas": "pancreas",
    "urine": "urinary bladder",
    "bile": "gallbladder",
    "fluid": "stomach",
    "lung": "lung",
    "liver": "liver",
}


def digest(study) -> str:
    parts = [*study.volumes.values(), *study.marks.values(), study.organs]
    return hashlib.sha256(b"".join(p.tobytes() for p in parts) + repr(study.findings).encode()).hexdigest()


def plain(patient, **changes):
    """The same patient without findings."""
    return dataclasses.replace(patient, lesions=(), places=(), segments=(), others=(), **changes)


def core(mask: np.ndarray) -> np.ndarray:
    """Voxels whose neighbours in the slice belong to the organ too."""
    inner = uniform_filter(mask.astype(np.float32), (1, 3, 3)) > 0.99
    return inner if inner.sum() > 20 else mask


@pytest.fixture(scope="module")
def patients():
    return draw_abdomens(0, 6)


@pytest.fixture(scope="module")
def studies(patients):
    """Two patients with findings, scanned in three phases."""
    return [abdomen_study(patients[i], PHASES, 64) for i in (3, 5)]


@pytest.fixture(scope="module")
def codes(patients):
    """Organ -> mL and middle (z, y, x) in cm of the table, of three patients without findings, finely painted."""
    told = []
    for patient in patients[:3]:
        axes = [np.arange(-TOP * 10 * patient.scale[0], -40 * patient.scale[0], 5.0), *[np.arange(-230, 230, 3.0)] * 2]
        palette = Palette()
        code = paint_abdomen(plain(patient), axes, palette)
        place = np.array([ORGANS.index(o) + 1 if o else 0 for o in palette.organs])[code]
        numbers = range(1, len(ORGANS) + 1)
        ml = np.bincount(place.ravel(), minlength=len(ORGANS) + 1)[1:] * 0.045
        middle = np.array(center_of_mass(place > 0, place, numbers)) * (5, 3, 3) + [c[0] for c in axes]
        told.append((patient, dict(zip(ORGANS, ml, strict=True)), dict(zip(ORGANS, middle / 10, strict=True))))
    return told


# The body


def test_every_organ_has_the_volume_that_was_drawn_for_it(codes):
    for patient, ml, _ in codes:
        for organ in set(ORGANS) - {"lung"}:
            assert ml[organ] / patient.volumes[organ] == pytest.approx(1, abs=0.5), organ
        assert 2500 < ml["lung"] < 7000
    for organ in ("liver", "kidney", "heart", "stomach", "pancreas", "aorta", "colon"):
        assert np.mean([ml[organ] / p.volumes[organ] for p, ml, _ in codes]) == pytest.approx(1, abs=0.2), organ


def test_organs_follow_one_another_from_neck_to_pelvis(codes):
    order = ["thyroid gland", "trachea", "heart", "liver", "kidney", "colon", "urinary bladder"]
    for patient, _, middle in codes:
        heights = [middle[organ][0] / patient.scale[0] for organ in order]
        assert heights == sorted(heights), patient.seed
        assert middle["spleen"][0] < middle["duodenum"][0]
        assert middle["aorta"][1] < middle["kidney"][1]  # in front of them
        assert middle["gallbladder"][1] < middle["spleen"][1]


def test_the_liver_is_on_the_left_of_the_picture_and_the_spleen_on_the_right(codes):
    for _, _, middle in codes:
        assert middle["liver"][2] < -3
        assert middle["gallbladder"][2] < -2
        assert middle["spleen"][2] > 6
        assert middle["stomach"][2] > 2
        assert abs(middle["kidney"][2]) < 1.5
        assert abs(middle["urinary bladder"][2]) < 2


def test_both_sides_have_what_comes_in_pairs(patients):
    study = abdomen_study(plain(patients[0]), ("PV",), 64)
    half = study.organs.shape[2] // 2
    for organ in ("lung", "kidney", "thyroid gland"):
        left, right = study.organ(organ)[:, :, half:].sum(), study.organ(organ)[:, :, :half].sum()
        assert left > 0.4 * right > 0.1 * left, organ


# Hounsfield units


def test_medians_of_eight_tissues_are_those_drawn_and_these_those_of_the_table(studies):
    for study in studies:
        for tissue, organ in TISSUES.items():
            inside = core(study.organ(organ) & (study.marks[study.reference] == 0))
            got = np.median(study.volumes["PV"][inside])
            wanted = study.patient.base.hu[tissue][COLUMNS.index("PV")]
            assert got == pytest.approx(wanted, abs=14), (tissue, organ)
    tables = abdomen_tables()
    drawn = [draw_patient((9, i), "CYST", 1, 1, tables, Knobs()).hu for i in range(12)]
    for tissue in ("aorta", "spleen", "kidney cortex", "pancreas", "bile", "lung", "portal vein", "trunk muscle"):
        i = tables.tissues.index(tissue)
        means = np.mean([hu[tissue] for hu in drawn], axis=0)
        assert np.abs(means - tables.mean[i]).max() < 4 * tables.sd[i].max() / np.sqrt(12) + 1, tissue


def test_the_tables_of_the_rooms_that_exist_stay_as_they_are():
    mine, theirs = abdomen_tables(), draw_tables(version=3)
    n = len(theirs.tissues)
    assert mine.tissues[:n] == theirs.tissues
    assert np.array_equal(mine.mean[:n], theirs.mean)
    assert len(set(mine.tissues)) == len(mine.tissues)
    named = {p.tissue for layer in ("body", "viscera") for p in anatomy(layer).values() if p.tissue}
    named |= {p.content for layer in ("body", "viscera") for p in anatomy(layer).values() if p.content}
    assert named | set(OTHER_KINDS) <= set(mine.tissues)


def test_noise_is_that_of_the_patient(studies):
    for study in studies:
        air = study.volumes["NC"][:40, :6]  # above the patient
        assert air.std() == pytest.approx(study.patient.base.noise * 0.9, rel=0.5)
        liver = core(core(study.organ("liver") & (study.marks["PV"] == 0)))
        assert study.volumes["PV"][liver].std() == pytest.approx(study.patient.base.noise, rel=0.6)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real CT of shared/realdata is not beside this checkout")
def test_a_real_patient_lies_within_the_priors():
    sitk = pytest.importorskip("SimpleITK")
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(REAL / "example_ct_dicom")))
    ct = reader.Execute()
    told = sitk.Resample(
        sitk.ReadImage(str(REAL / "example_seg_dicom.nii.gz")), ct, sitk.Transform(), sitk.sitkNearestNeighbor
    )
    hu, told = sitk.GetArrayFromImage(ct).astype(np.float32), sitk.GetArrayFromImage(told)
    tables, column = abdomen_tables(), COLUMNS.index("PV")
    names = {"liver": 5, "spleen": 1, "pancreas": 7, "aorta": 52, "cava": 63, "portal vein": 64, "trunk muscle": 86}
    for tissue, number in (names | {"marrow": 32}).items():  # numbers of TotalSegmentator's labels
        i = tables.tissues.index(tissue)
        median = np.median(hu[core(told == number)])
        assert abs(median - tables.mean[i, column]) < 2.2 * tables.sd[i, column], (tissue, median)
    liver = uniform_filter((told == 5).astype(np.float32), (1, 9, 9)) > 0.99
    rough = uniform_filter(hu**2, (1, 9, 9)) - uniform_filter(hu, (1, 9, 9)) ** 2
    noise = np.sqrt(np.median(rough[liver]) * ct.GetSpacing()[2] / 3)  # of slices of 3 mm
    assert noise == pytest.approx(tables.quantities["noise"], rel=0.35)


# Phases


def test_the_liver_moves_between_phases_and_the_spine_does_not(patients):
    base = dataclasses.replace(
        patients[2].base, displacement=dict.fromkeys(COLUMNS, (20.0, 0.0, 0.0)), noise=2.0, noise_cutoff=0.35
    )
    study = abdomen_study(plain(patients[2], base=base), ("NC", "PV"), 64)
    nc, pv = study.volumes["NC"].astype(float), study.volumes["PV"].astype(float)
    columns = np.flatnonzero(study.organ("liver").any(axis=(0, 1)))
    x = columns[len(columns) // 4]
    rows = np.flatnonzero(study.organ("liver")[:, :, x].any(axis=0))
    y = rows[len(rows) // 2]
    tops = [int(np.argmax((v[30:, y, x] > -20) & (v[30:, y, x] < 160))) for v in (nc, pv)]
    assert tops[0] - tops[1] == pytest.approx(4, abs=1)  # 20 mm down
    middle = slice(30, 35)  # columns of the spine; the discs between the vertebrae tell its place
    behind = np.flatnonzero(pv[60:90, :, middle].mean(axis=(0, 2)) > 110)
    profiles = [v[60:100, behind[:4], middle].mean(axis=(1, 2)) for v in (nc, pv)]
    same = [np.corrcoef(profiles[0][4 + k : 36 + k], profiles[1][4:36])[0, 1] for k in range(-4, 5)]
    assert np.argmax(same) == 4


# Patients


def test_the_same_seed_gives_the_same_bytes_and_patients_do_not_depend_on_their_number(patients):
    few = draw_abdomens(0, 2)
    assert few == patients[:2]
    one, two = (abdomen_study(p, ("PV",), 32) for p in (few[1], patients[1]))
    assert digest(one) == digest(two)


def test_no_two_patients_are_alike(patients):
    scans = {digest(abdomen_study(p, ("PV",), 16)) for p in patients[:2]}
    assert len(scans) == 2
    assert len({p.stature for p in patients}) == len(patients)
    assert {p.sex for p in patients} == {"man", "woman"}


def test_there_are_healthy_patients_and_such_with_several_lesions(monkeypatch):
    drawn = []
    monkeypatch.setattr(module, "place_lesions", lambda patient, rng, kinds, *_: drawn.append(kinds) or patient)
    many = draw_abdomens(1, 300)
    rates, counts = finding_rates(), np.bincount([len(k) for k in drawn], minlength=4) / 300
    assert counts == pytest.approx([rates[f"liver lesions {k}"] for k in range(4)], abs=0.09)
    kinds = pd.Series([k for one in drawn for k in one]).value_counts(normalize=True)
    assert kinds.between(0.1, 0.25).all()
    assert len(kinds) == 6
    for kind in OTHER_KINDS:
        share = np.mean([any(o.kind == kind for o in p.others) for p in many])
        assert share == pytest.approx(rates[kind], abs=0.09), kind
    for sex, column in (("man", 0), ("woman", 1)):
        mine = [p.volumes["liver"] for p in many if p.sex == sex]
        assert np.mean(mine) == pytest.approx(organ_volumes()["liver"][column], rel=0.06)


def test_the_tables_can_be_uncertain_and_the_classes_chosen():
    sure, unsure = (draw_abdomens(0, 1, Knobs(uncertain=u))[0].base.hu["aorta"] for u in (False, True))
    assert sure != unsure
    assert {p.kind for one in draw_abdomens(2, 2, classes=("HCC",)) for p in one.lesions} == {"HCC"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: draw_abdomens(0, -1), "-1 abdomens from number 0 on: ask for 0 or more"),
        (lambda: draw_abdomens(0, 1, classes=("LUNG",)), "class LUNG: choose among CYST"),
        (lambda: draw_abdomens(0, 1, classes=()), r"class \(none\)"),
        (lambda: abdomen_study(draw_abdomens(0, 1)[0], ("PV", "PV")), "phases PV, PV: give each once"),
        (lambda: abdomen_study(draw_abdomens(0, 1)[0], size=3), "3 pixels a side: give 16 to 1024"),
    ],
)
def test_bad_wishes_are_refused_in_one_line(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


# Findings


def test_findings_are_where_their_masks_are(studies):
    for study in studies:
        lesions = [(p.kind, s) for p, s in zip(study.patient.lesions, study.patient.segments, strict=True)]
        assert [(f.kind, f.segment) for f in study.findings[: len(lesions)]] == lesions
        assert {f.kind for f in study.findings[len(lesions) :]} <= {o.kind for o in study.patient.others}
        assert len(study.findings) > 1
        for i, finding in enumerate(study.findings):
            area = study.mask(i).sum(axis=(1, 2))
            assert area[finding.marked] == area.max() > 0
            assert finding.slices == (np.flatnonzero(area)[0], np.flatnonzero(area)[-1])
            assert finding.slices[0] <= finding.marked <= finding.slices[1]
            if finding.organ and finding.kind != "pleural effusion":
                near = uniform_filter(study.organ(finding.organ).astype(np.float32), 5) > 0
                assert (near & study.mask(i)).sum() > 0.5 * area.sum(), finding.kind
            for phase, word in finding.attenuation.items():
                assert phase in study.volumes
                assert word in ("hyper", "iso", "hypo")
            if finding.side:
                middle = center_of_mass(study.mask(i))[2] - study.organs.shape[2] / 2
                assert (middle > 0) == (finding.side == "left")


def test_every_kind_of_finding_can_be_seen(patients, monkeypatch):
    monkeypatch.setattr(module, "finding_rates", lambda: dict.fromkeys(finding_rates(), 1.0))
    seen = abdomen_study(draw_abdomens(4, 1)[0], ("PV",), 128).findings
    assert [f.kind for f in seen if f.kind in OTHER_KINDS] == list(OTHER_KINDS)
    hypo = {f.kind: f.attenuation.get("PV") for f in seen}
    assert (hypo["renal cyst"], hypo["splenic cyst"], hypo["lung nodule"]) == ("hypo", "hypo", "hyper")


def test_a_lesion_is_the_same_in_its_roi_and_in_its_abdomen(patients):
    patient = patients[3]
    lesion, place = patient.lesions[0], patient.places[0]
    grid = fine_grid(lesion)
    own = grow(lesion, *grid.axes)
    small = tuple(slice(None, None, 2) for _ in range(3))
    palette = Palette()
    code = paint_abdomen(patient, [c[::2] + p for c, p in zip(grid.axes, place, strict=True)], palette)
    mine = np.array([f == 1 for f in palette.findings])[code]
    inside = own.code[small] >= own.first_lesion
    assert np.array_equal(mine, inside)
    assert inside.any()
    names = np.array(["/".join(t) for t in palette.tissues])[code[inside]]
    assert np.array_equal(names, np.array(["/".join(t) for t in own.tissues])[own.code[small][inside]])


def test_rois_are_cut_from_an_abdomen(studies):
    for study in studies:
        for i, lesion in enumerate(study.patient.lesions):
            one = study.lesion_study(i)
            rois = extract_rois(one, 32, phases=PHASES)
            assert rois.hu.shape == (one.box[1] - one.box[0], 3, 32, 32)
            assert rois.masks["lesion"][:, PHASES.index("PV")].any(axis=(1, 2)).all()
            assert (one.box[1] - one.box[0]) * 5 == pytest.approx(lesion.height, abs=11)
            moved = np.subtract(*(center_of_mass(study.mask(i, p)) for p in ("ART", "PV"))) * study.spacing
            assert moved == pytest.approx(lesion.displacement["ART"], abs=4)
            assert study.findings[i].diameter == pytest.approx(lesion.diameter, abs=0.25 * lesion.diameter + 13)
        with pytest.raises(InputError, match="no liver lesion 9"):
            study.lesion_study(9)
        with pytest.raises(InputError, match="organ 'brain': choose one of aorta"):
            study.organ("brain")


def test_segments_lie_about_the_cava_and_the_fork_of_the_portal_vein(patients):
    places = {2: (-39, -4, 3), 3: (-31, -7, 4), 4: (-34, -7, -3), 5: (-30, -3, -8), 6: (-30, 3, -9), 7: (-39, 4, -9)}
    places |= {8: (-39, -3, -7), 1: (-35, 0, -1)}
    for number, place in places.items():
        assert segment(patients[0], np.multiply(place, 10) * patients[0].scale) == number


def test_a_field_has_one_value_at_a_place_whatever_the_grid():
    field = Field(np.random.default_rng(0), 35.0)
    axes = [np.linspace(low + 10, high - 10, 12) for low, high in BOUNDS]
    whole = field(*axes)
    assert field(axes[0][3:5], axes[1][2:9], axes[2][7:8]) == pytest.approx(whole[3:5, 2:9, 7:8], abs=1e-4)
    points = np.array([[axes[0][1], axes[1][2], axes[2][3]], [axes[0][9], axes[1][0], axes[2][5]]])
    assert field.at(points) == pytest.approx([whole[1, 2, 3], whole[9, 0, 5]], abs=1e-4)
    assert whole.std() == pytest.approx(1, abs=0.2)


def test_every_row_of_the_tables_has_a_rate_or_a_size_that_can_be():
    assert sum(finding_rates()[f"liver lesions {k}"] for k in range(4)) == pytest.approx(1)
    assert set(finding_rates()) == set(OTHER_KINDS) | {f"liver lesions {k}" for k in range(4)}
    assert set(pd.read_csv(data_file("anatomy.csv"))["organ"].dropna()) == set(organ_volumes()) == set(ORGANS)
    assert organ_volumes()["liver"][:2] == (round(1800 / 1.05), round(1400 / 1.05))  # g, over g/mL
