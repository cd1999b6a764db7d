"""The near-ideal observer: features that can be known, latents that name no class, runs that go on and repeat."""

import dataclasses
from functools import partial

import numpy as np
import pytest

from livervlm.analyses import observer
from livervlm.base.errors import InputError
from livervlm.book import figures
from livervlm.phantom.enhancement import read_table
from livervlm.phantom.patients import Knobs, draw_patients
from livervlm.runs.records import read_record, write_record
from livervlm.scans.conventions import CLASS_NAMES, LIVER_VLM_CLASSES
from livervlm.scans.seeds import seed_of

SIZE = 24


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache that the tests of this file share, with chunks and lesions so small that a test can afford some."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIVERVLM_CACHE", str(tmp_path_factory.mktemp("observer")))
        patch.setattr(observer, "CHUNK", 40)
        patch.setattr(observer, "draw_patients", partial(draw_patients, knobs=Knobs(diameter=0.6)))
        yield


@pytest.fixture(scope="module")
def record(cache):
    return observer.observe(120, SIZE, progress=False)


@pytest.fixture(scope="module")
def data(record):
    return observer.measure_patients(120, SIZE, progress=False)


def disc(radius: float, size: int = 64) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.hypot(y, x) < radius


def features(hu: np.ndarray, lesion: np.ndarray) -> dict[str, float]:
    values = observer.slice_features(hu, lesion, np.float32([5, 0.5, 0.5]))
    return dict(zip(observer.FEATURES, values.tolist(), strict=True))


def test_features_of_a_known_slice():
    lesion = np.stack([disc(20)] * 3)
    hu = np.where(lesion, np.array([40, 60, 90])[:, None, None], 100).astype(np.int16)
    hu[1][disc(5)] = 20  # a dark middle in ART
    got = features(hu, lesion)
    assert (got["NC mean"], got["NC sd"], got["NC q50 - around"]) == (40, 0, -60)
    assert (got["PV q10"], got["PV q90"], got["PV around"], got["PV centre - rim"]) == (90, 90, 100, 0)
    assert got["ART centre - rim"] < -10
    assert got["ART rim - around"] == -40
    assert got["ART smooth q5"] < 50 < got["ART smooth q95"]
    assert (got["ART - NC q50"], got["PV - ART q50"]) == (20, 30)
    assert got["disc diameter"] == pytest.approx(20, rel=0.02)  # 20 pixels of radius, 0.5 mm each
    assert (got["ROI width"], got["thickness"]) == (32, 5)


def test_a_phase_without_the_lesion_is_nan():
    lesion = np.stack([disc(0), disc(20), disc(20)])
    got = features(np.full(lesion.shape, 50, np.int16), lesion)
    missing = {name for name, value in got.items() if np.isnan(value)}
    assert missing == {name for name in got if name.startswith(("NC ", "ART - NC "))}


def test_latents_tell_the_true_hu_and_no_name():
    patient = next(p for p in draw_patients(3, {"FNH": 30}) if "FNH scar" in p.patterns)
    got = dict(zip(observer.LATENTS, observer.latent_features(patient).tolist(), strict=True))
    assert [got[f"tissue 1 {p}"] for p in ("NC", "ART", "PV")] == pytest.approx(patient.hu["fnh"][:3])
    assert [got[f"tissue 2 {p}"] for p in ("NC", "ART", "PV")] == pytest.approx(patient.hu["scar"][:3])
    assert got["tissue 1 share"] + got["tissue 2 share"] == pytest.approx(1)
    assert got["tissue 2 out"] < got["tissue 1 out"]  # a scar lies in the middle
    assert np.isnan(got["tissue 3 NC"])
    assert got["diameter"] == pytest.approx(patient.diameter)
    words = " ".join((*observer.LATENTS, *observer.FEATURES)).lower().split()
    names = " ".join((*LIVER_VLM_CLASSES, *CLASS_NAMES.values(), *read_table("enhancement")["tissue"])).lower().split()
    assert set(words) & set(names) <= {"liver", "rim"}  # a feature measures the rim of any lesion


def test_latents_depend_on_hu_and_not_on_the_class():
    """A cyst whose every tissue is as bright as its liver tells nothing but its size."""
    patient = draw_patients(3, {"CYST": 1})[0]
    grey = dataclasses.replace(patient, hu=dict.fromkeys(patient.hu, patient.hu["liver"]))
    for kind in ("HCC", "HEM"):
        other = observer.latent_features(dataclasses.replace(grey, kind=kind))
        np.testing.assert_allclose(other, observer.latent_features(grey), atol=0.02)  # the mean place, by its sum


def test_brackets(record):
    arms = record["arms"]
    upper, lower = arms["upper"]["accuracy"]["percent"], arms["lower aligned"]["accuracy"]["percent"]
    assert upper >= lower - 5
    assert lower > 60
    assert record["train"]["patients"] == 80
    assert record["test"]["patients"] == arms["upper"]["accuracy"]["patients"] == 40
    for arm in arms.values():
        assert set(arm["recall"]) == set(LIVER_VLM_CLASSES)
        assert sum(s["slices"] for s in arm["by diameter"].values()) == record["test"]["slices"]
        assert all(s["low"] <= s["percent"] <= s["high"] for s in arm["by diameter"].values())
    assert set(arms["lower aligned"]["by displacement"]) == {"0 to 5 mm"}  # registration leaves 3 to 4 mm
    assert len(arms["lower misregistered"]["by displacement"]) > 1
    assert "by displacement" not in arms["upper"]


def test_permuted_classes_are_answered_at_chance(data):
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(120), data["slices"])
    train = patient < 80
    for values in (data["latents"][patient], data["lower aligned"]):
        label = rng.permutation(data["label"])[patient]
        correct = observer.answer(values, label, train).argmax(axis=1) == label[~train]
        assert correct.mean() < 0.5


def test_slices_are_in_the_proportions_of_table_1():
    patients = [p for seed in range(20) for p in draw_patients(seed, 100)]
    slices = {k: sum(p.n_slices for p in patients if p.kind == k) for k in LIVER_VLM_CLASSES}
    shares = [slices[k] / sum(slices.values()) for k in LIVER_VLM_CLASSES]
    np.testing.assert_allclose(shares, np.array([149, 76, 162, 102]) / 489, atol=0.02)


def test_an_interrupted_run_goes_on_and_repeats(record, monkeypatch):
    made = []
    measure = observer.measure_chunk
    monkeypatch.setattr(observer, "measure_chunk", lambda seed, *rest: made.append(seed) or measure(seed, *rest))
    first, last = seed_of("observer", 0), seed_of("observer", 2)
    lost = observer.cached_chunk(last, SIZE)
    content = lost.read_bytes()
    lost.unlink()
    again = observer.observe(120, SIZE, progress=False)
    assert made == [last]
    assert lost.read_bytes() == content  # the same patients give the same numbers
    assert {**again, "seconds": 0} == {**record, "seconds": 0}
    assert again["seeds"] == [first, last]


def test_the_record_reads_back(record, tmp_path):
    write_record(tmp_path / "observer.json", record)
    assert read_record(tmp_path / "observer.json")["arms"] == record["arms"]
    assert {"schema", "commit", "versions", "seeds", "device", "seconds", "data"} <= set(record)


def test_the_interval_is_wilson_s_over_patients():
    got = observer.percent(np.repeat([True, False], [9, 1]), np.arange(10))
    assert got == {"percent": 90.0, "low": 59.58, "high": 98.21, "slices": 10, "patients": 10}
    twice = observer.percent(np.repeat([True, False], [18, 2]), np.repeat(np.arange(10), 2))
    assert (twice["low"], twice["high"]) == (got["low"], got["high"])


def test_command(monkeypatch, capsys, tmp_path):
    out = tmp_path / "record.json"
    monkeypatch.setattr("sys.argv", ["observer", "--patients", "130", "--out", str(out)])
    with pytest.raises(SystemExit):
        observer.main()
    assert f"130 patients: give a multiple of {observer.CHUNK} from" in capsys.readouterr().err
    with pytest.raises(InputError):
        observer.measure_patients(0)
    assert not out.exists()


def test_bars(record):
    (axis,) = figures.observer_bars(record).axes
    heights = [bar.get_height() for bar in axis.patches]
    cells = [s for arm in record["arms"].values() for s in arm["by diameter"].values()]
    assert heights == [s["percent"] for s in cells]
    assert axis.get_ylim() == (0, 100)
