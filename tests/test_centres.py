"""The centres of LiLNet's study on the phantom: the paper's patients, declared scanners, years, queues.

What stands in `tests/golden/centres.json` is frozen; `python tests/test_centres.py` writes it where there is none.
"""

import json
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest

from livervlm.base.errors import InputError
from livervlm.phantom.centres import (
    NORMAL,
    PHASES,
    SIZES,
    at_centre,
    centre_set,
    centre_table,
    draw_centre,
    even_slices,
    in_turn,
    lilnet_patients,
    lilnet_sizes,
)
from livervlm.phantom.cohort import make_cohort, patient_rois, phantom_study
from livervlm.phantom.enhancement import COLUMNS, draw_tables
from livervlm.phantom.patients import Knobs, draw_patients
from livervlm.scans.conventions import LILNET_CLASSES

GOLDEN = Path(__file__).parent / "golden" / "centres.json"
CYSTS = {"CYST": 14}  # flat lesions: what varies around them is the scanner


def small(name="training", seed=0, size=16, patients=12, **how):
    return centre_set(name, seed, size, patients=patients, progress=False, **how)


def piece() -> dict:
    """A small set's table and its first patients' pictures."""
    made = small(size=8)
    told = made.patients[["kind", "size", "background", "thickness_mm"]].to_numpy().tolist()
    return {"patients": told, "diameter_mm": made.patients["diameter_mm"].tolist(), "hu": made.lesions.hu[::6].tolist()}


@pytest.fixture(scope="module")
def crowd():
    """Name of a set -> its patients as the paper has them, without a picture: table and latents."""
    return {name: draw_centre(name, 1) for name in ("training", "HN", "Sanya")}


def noise_sd(made, of=slice(None)):
    """HU sd in the liver around the lesion, from differences between neighbouring pixels, where no vessel is near."""
    hu, lesion = made.lesions.hu[of].astype(float), made.lesions.mask("lesion")[of]
    step = np.diff(hu, axis=-1)[..., ::2]
    quiet = ~(lesion[..., :-1] | lesion[..., 1:])[..., ::2]
    by_slice = [np.median(np.abs(s[q])) / 0.6745 for s, q in zip(step, quiet, strict=True)]
    return float(np.mean(by_slice))


# The paper's tables


def test_columns_sum_to_the_printed_numbers_save_the_two_that_the_paper_exchanged():
    table = lilnet_patients()
    total = table[[*LILNET_CLASSES, NORMAL]].sum(axis=1)
    swapped = {"GZ": "LS", "LS": "GZ"}
    for name in table.index:
        assert total[name] == table.at[swapped.get(name, name), "printed n"]
    assert total[["training", "test", "HN", "CD", "GZ", "LS"]].sum() == 4039
    sizes = lilnet_sizes()
    assert (sizes[[*LILNET_CLASSES]].sum(axis=1) == sizes["printed n"]).all()
    by_class = sizes[[*LILNET_CLASSES]].groupby("cohort").sum()
    assert (by_class.loc["test"] == table.loc["test", [*LILNET_CLASSES]]).all()
    assert (table.loc["HN", [*LILNET_CLASSES]] - by_class.loc["HN"]).to_dict() == {
        **dict.fromkeys(LILNET_CLASSES, 0),
        "MET": 1,
    }


def test_tables_agree_with_one_another_and_name_their_sets():
    table, about = lilnet_patients(), centre_table()
    assert set(table["centre"]) == set(about.index)
    assert {*about["sizes"]} <= set(lilnet_sizes().index.get_level_values("cohort"))
    assert [*lilnet_sizes().loc["test"].index] == [*SIZES]
    assert about["thickness"].map(lambda mm: 1 <= min(mm) <= max(mm) <= 3).all()  # the paper's
    drifts = [name for name in about if name.endswith("drift")]
    assert (about.loc[about.index != "internal", drifts] == 0).all(axis=None)
    assert (about.loc["internal", drifts] != 0).all()


@pytest.mark.parametrize("name", ["training", "HN", "Sanya"])
def test_without_a_wish_the_patients_are_the_papers(name, crowd):
    table, drawn = crowd[name]
    assert len(table) == len(drawn) == lilnet_patients().loc[name, [*LILNET_CLASSES, NORMAL]].sum()
    counted = table["kind"].value_counts().reindex([*LILNET_CLASSES, NORMAL], fill_value=0)
    assert counted.to_dict() == lilnet_patients().loc[name, [*LILNET_CLASSES, NORMAL]].to_dict()
    assert [one.kind for one in drawn] == table["kind"].tolist()


def test_a_smaller_number_keeps_the_shares_and_is_the_beginning_of_a_larger(crowd):
    whole, latents = crowd["training"]
    few, drawn = draw_centre("training", 1, 400)
    pd.testing.assert_frame_equal(few, whole[:400])
    assert drawn == latents[:400]
    wanted = lilnet_patients().loc["training", [*LILNET_CLASSES]].astype(float) * 400 / 1580
    assert (few["kind"].value_counts() - wanted).abs().max() < 1
    assert [*in_turn({"A": 1, "B": 3}, 8)] == ["B", "A", "B", "B", "B", "A", "B", "B"]


@pytest.mark.parametrize("name", ["training", "HN"])
def test_sizes_lie_in_their_bins_and_come_as_often_as_the_paper_counts(name, crowd):
    table = crowd[name][0]
    low, high = (table["size"].map({size: ends[i] for size, ends in SIZES.items()}) for i in (0, 1))
    assert ((low <= table["diameter_mm"]) & (table["diameter_mm"] < high)).all()
    counts = lilnet_sizes().loc["HN" if name == "HN" else "test"]
    for kind in LILNET_CLASSES:
        mine, share = table[table["kind"] == kind], counts[kind] / counts[kind].sum()
        got = mine["size"].value_counts(normalize=True).reindex(share.index, fill_value=0)
        assert (got - share).abs().max() < 3.5 * np.sqrt(0.25 / len(mine)), kind
        assert (got[share == 0] == 0).all()
    middle = table.loc[table["size"] == "1-3 cm", "diameter_mm"]
    assert np.median(middle) == pytest.approx(np.sqrt(10 * 30), rel=0.1)  # log-uniform


# Patients and pictures


def test_latents_follow_the_diameter_and_the_thickness(crowd):
    table, drawn = crowd["training"]
    assert np.allclose([one.diameter for one in drawn], table["diameter_mm"])
    assert [one.thickness for one in drawn] == table["thickness_mm"].tolist()
    assert set(table["thickness_mm"]) == {1.0, 2.0, 3.0}
    assert all(one.n_slices * one.thickness <= one.height or one.n_slices == 1 for one in drawn)
    assert all((one.n_slices + 1) * one.thickness > one.height for one in drawn)
    ratio = np.array([one.diameter / one.height for one in drawn])
    assert np.log(ratio).std() == pytest.approx(0.15, rel=0.1)  # "width spread"
    rates, n = draw_tables(version=3).rates, len(table)
    for name in ("steatosis", "cirrhosis"):
        rate = rates[f"liver {name}"]
        assert table["background"].isin([name, "both"]).mean() == pytest.approx(rate, abs=4 * np.sqrt(0.25 / n))


def test_a_set_of_slices():
    made = small()
    lesions, table = made.lesions, made.patients
    assert (lesions.classes, lesions.phases, lesions.size, made.n_healthy) == (LILNET_CLASSES, PHASES, 16, 0)
    counts = pd.Series(lesions.patient).value_counts()
    assert counts.max() == 6
    assert set(counts.index) == set(table["patient"])
    assert [lesions.classes[i] for i in lesions.label] == table["kind"][lesions.patient].tolist()
    assert np.array_equal(lesions.spacing[:, 0], np.float32(table["thickness_mm"])[lesions.patient])
    middle = lesions.mask("lesion")[..., 6:10, 6:10].mean(axis=(1, 2, 3))
    assert middle.min() > 0.5  # in both phases the lesion is in the middle


@pytest.mark.parametrize("n", [1, 5, 6, 7, 8, 13, 90])
def test_kept_slices_are_spread_evenly_about_the_middle(n):
    kept = np.array(even_slices(n))
    assert len(kept) == len(set(kept)) == min(n, 6)
    assert np.array_equal(kept, n - 1 - kept[::-1])
    assert 0 <= kept[0] < max(n / 6, 1)


def test_kept_slices_are_those_of_the_whole_scan():
    """Of lesions that these slices show at their widest, as the box is about what is kept.  Only their rows are grown;
    but float32 sums may round otherwise, and turn a voxel at a border.
    """
    many = [p for p in draw_centre("training", 4, {"FNH": 30})[1] if "FNH scar" in p.patterns and p.n_slices > 8]
    assert len(many) > 2
    for fnh in many[2:]:
        kept = even_slices(fnh.n_slices)
        some, whole = patient_rois(fnh, 32, PHASES, kept=kept), patient_rois(fnh, 32, PHASES)
        for name, array in whole.items():
            assert some[name].shape == (6, *array.shape[1:])
            assert (some[name] == array[[*kept]]).mean() > 0.999, name


def test_a_field_shows_the_lesions_size():
    wide, narrow = (small(patients=6, field=field).lesions for field in (80.0, None))
    assert np.array_equal(wide.label, narrow.label)
    assert wide.spacing[:, 1:] == pytest.approx(80 / 16, rel=0.02)
    drawn = draw_centre("training", 0, 6)[0]["diameter_mm"].to_numpy()
    area = wide.mask("lesion")[:, 1].sum(axis=(1, 2)) * 5.0**2
    largest = [area[wide.patient == i].max() for i in range(6)]
    assert np.corrcoef(np.sqrt(largest), drawn)[0, 1] > 0.9
    share = narrow.mask("lesion")[:, 1].mean(axis=(1, 2))
    assert np.std([share[narrow.patient == i].max() for i in range(6)]) < 0.1  # the scaled square hides it


def test_the_same_arguments_give_the_same_bytes_and_others_do_not(empty_cache, monkeypatch):
    made = small(patients=8)
    files = [*(empty_cache / "centres").glob("*.safetensors")]
    assert small(patients=8).lesions.fingerprint() == made.lesions.fingerprint()
    assert [*(empty_cache / "centres").glob("*.safetensors")] == files
    monkeypatch.setenv("LIVERVLM_CACHE", str(empty_cache / "other"))
    with joblib.parallel_config("threading"):  # processes of their own are tried in test_phantom.py
        again = small(patients=8, jobs=2)
    assert again.lesions.fingerprint() == made.lesions.fingerprint()
    assert np.array_equal(again.lesions.masks, made.lesions.masks)
    few = small(patients=5).lesions
    assert np.array_equal(few.hu, made.lesions.hu[made.lesions.patient < 5])


def test_no_two_sets_share_a_patient(crowd):
    seeds = [one.seed for name in crowd for one in crowd[name][1]]
    for name, seed in (("test", 1), ("GZ", 1), ("training", 2)):
        seeds += [one.seed for one in draw_centre(name, seed, 50)[1]]
    seeds += [one.seed for one in draw_patients(1, 100, version=3)]
    assert len(set(seeds)) == len(seeds)


def test_a_hospital_draws_the_tables_that_it_draws_for_a_cohort():
    plain, other, again = (draw_centre("training", 0, 20, hospital=h)[1] for h in (None, 5, 5))
    assert other == again
    assert other != plain
    assert [one.diameter for one in other] == [one.diameter for one in plain]
    cohort = draw_patients(0, {"HCC": 1}, Knobs(uncertain=True), 3, hospital=5)[0]
    assert cohort.tumour_unevenness == other[0].tumour_unevenness != plain[0].tumour_unevenness


# Scanners, years, queues


def test_another_centre_differs_as_its_row_says(crowd):
    """Noise in the picture; contrast and timing in the latents, of one seed's tables."""
    sets = {name: small(name, 3, 64, CYSTS, field=40.0) for name in ("training", "CD", "GZ")}
    noise = {name: noise_sd(made) for name, made in sets.items()}
    about = centre_table()
    for name in ("CD", "GZ"):
        thin = [np.mean(np.sqrt(3 / sets[n].patients["thickness_mm"])) for n in (name, "training")]
        wanted = about.at[name, "noise"] * thin[0] / thin[1]  # the phantom's noise goes with the root of the thickness
        assert noise[name] / noise["training"] == pytest.approx(wanted, rel=0.25)
        assert (noise[name] > noise["training"]) == (name == "GZ")
        assert set(sets[name].patients["thickness_mm"]) <= set(about.at[name, "thickness"])
    here, there = (at_centre(draw_tables(version=3), about.loc[name], 0.5) for name in ("internal", "HN"))
    assert np.allclose(here.mean, draw_tables(version=3).mean)
    assert there.quantities["point spread"] == pytest.approx(
        about.at["HN", "point spread"] * here.quantities["point spread"]
    )
    liver = {name: np.mean([one.hu["liver"] for one in crowd[name][1]], axis=0) for name in ("training", "HN")}
    nc, art, pv = (COLUMNS.index(phase) for phase in ("NC", "ART", "PV"))
    gain = {name: hu[pv] - hu[nc] for name, hu in liver.items()}
    on_the_way = {name: (hu[art] - hu[nc]) / gain[name] for name, hu in liver.items()}
    assert gain["HN"] / gain["training"] == pytest.approx(about.at["HN", "dose"], abs=0.03)
    assert on_the_way["HN"] - on_the_way["training"] == pytest.approx(
        about.at["HN", "timing"] * (1 - (72 - 54) / (104 - 54)), abs=0.02
    )


def test_the_internal_centre_drifts_through_its_years(crowd):
    early, late = (small("training", 5, 64, CYSTS, field=40.0, span=span) for span in ((0, 0.2), (0.8, 1)))
    assert early.patients["time"].max() < 0.2 < 0.8 < late.patients["time"].min()
    noise = [noise_sd(s) / np.mean(np.sqrt(3 / s.patients["thickness_mm"])) for s in (early, late)]
    drift = centre_table().loc["internal"]
    first, last = (1 + drift["noise drift"] * years for years in (-0.4, 0.4))  # the middles of the two spans
    assert noise[1] / noise[0] == pytest.approx(last / first, rel=0.2)
    table, drawn = crowd["training"]
    assert table["time"].between(0, 1).all()
    assert np.histogram(table["time"], 4, (0, 1))[0] == pytest.approx(1580 / 4, rel=0.15)
    hu = np.array([one.hu["liver"] for one in drawn])
    slope = np.polyfit(table["time"], hu[:, COLUMNS.index("PV")] - hu[:, 0], 1)[0]
    assert slope == pytest.approx(drift["dose drift"] * (104 - 54), abs=3.5)  # what a liver gains in the table


def test_a_queue_tells_of_its_healthy_and_shows_no_picture_of_them():
    made = small("Sanya", 2, 8, {"CYST": 2, NORMAL: 3, "MET": 1})
    healthy = made.patients["kind"] == NORMAL
    assert made.n_healthy == healthy.sum() == 3
    assert made.patients.loc[healthy, ["diameter_mm", "size"]].isna().all(axis=None)
    assert made.patients.loc[healthy, ["background", "time", "thickness_mm"]].notna().all(axis=None)
    assert set(made.lesions.patient) == set(made.patients.loc[~healthy, "patient"])
    queue = draw_centre("Sanya", 0, 100)[0]
    assert (queue["kind"] == NORMAL).sum() == pytest.approx(100 * 121 / 235, abs=1)


# What is refused, and what is frozen


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: small("XX"), "set 'XX': choose one of training, test, HN, CD, GZ, LS, Tianfu, Sanya"),
        (lambda: small(patients={"LUNG": 3}), "3 patients of class 'LUNG': classes are CYST, .*, normal"),
        (lambda: small(patients={"HCC": -1}), "-1 patients of class 'HCC'"),
        (lambda: small(patients=0), "training: 0 patients; ask for at least one"),
        (lambda: small(patients={}), "training: 0 patients"),
        (lambda: small("Sanya", patients={NORMAL: 2}), "Sanya: none of the patients has a lesion"),
        (lambda: small(patients=1, phases=("ART", "XX", "YY")), "phases ART, XX, YY: give each once, of NC, ART"),
        (lambda: small(patients=1, phases=("PV", "PV")), "phases PV, PV: give each once"),
        (lambda: small(span=(0.6, 0.5)), "a span from 0.6 to 0.5: give two times from 0 to 1, the earlier first"),
        (lambda: small(span=(0, 1.5)), "a span from 0 to 1.5"),
        (lambda: small(field=2.0), "a field of 2.0 mm: give 20 to 300"),
        (lambda: small(patients=1, size=4), "ROIs of 4 pixels a side"),
    ],
)
def test_bad_wishes_are_refused_in_one_line(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_set_is_frozen():
    frozen, made = json.loads(GOLDEN.read_text()), piece()
    assert made["patients"] == frozen["patients"]
    assert made["diameter_mm"] == pytest.approx(frozen["diameter_mm"])
    changed = np.abs(np.array(made["hu"]) - np.array(frozen["hu"])) > 1
    assert changed.mean() < 0.005, f"{changed.mean():.1%} of the pixels have changed"


@pytest.mark.parametrize("version", [2, 3])
def test_a_cohort_is_what_it_was(version):
    """A patient of a cohort has no field, and all of its slices: the centres change nothing there."""
    drawn = draw_patients(6, {"HEM": 1, "CYST": 1}, Knobs(diameter=0.4), version)
    assert [one.field for one in drawn] == [None, None]
    made = make_cohort(6, 16, PHASES, patients={"HEM": 1, "CYST": 1}, knobs=Knobs(diameter=0.4), version=version,
                       progress=False)  # fmt: skip
    assert len(made) == sum(one.n_slices for one in drawn)
    fielded = phantom_study(replace(drawn[0], field=200.0)).volumes["PV"]
    assert fielded.shape[1] > phantom_study(drawn[0]).volumes["PV"].shape[1]


if __name__ == "__main__" and not GOLDEN.exists():
    GOLDEN.write_text(json.dumps(piece()) + "\n")
