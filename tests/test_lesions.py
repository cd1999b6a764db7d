"""`LesionSet`: what fits in, what comes back from disk, what is refused, and patients kept in one place."""

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import make_toy
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from livervlm.base.errors import InputError
from livervlm.datasets import load_dataset
from livervlm.scans import lesions as module
from livervlm.scans.lesions import FORMAT, LesionSet, assign_groups, displace
from livervlm.scans.windowing import images, window

ARRAYS = ("hu", "label", "patient", "group", "spacing", "masks")
TEXTS = ("classes", "phases", "mask_names", "source")


@pytest.fixture
def saved(toy, tmp_path):
    toy.save(tmp_path / "toy.safetensors")
    return tmp_path / "toy.safetensors"


def test_what_is_saved_is_loaded(toy, saved):
    loaded = LesionSet.load(saved)
    for name in ARRAYS:
        before, after = getattr(toy, name), getattr(loaded, name)
        assert (before.dtype, before.tobytes()) == (after.dtype, after.tobytes()), name
    for name in TEXTS:
        assert getattr(toy, name) == getattr(loaded, name)


def test_a_set_without_masks_has_none_after_loading(toy, tmp_path):
    replace(toy, masks=None, mask_names=()).save(tmp_path / "bare")
    assert LesionSet.load(tmp_path / "bare").masks is None


def test_loading_leaves_images_and_masks_on_disk(tmp_path):
    large = make_toy(size=256, groups=5)
    large.save(tmp_path / "large")
    tracemalloc.start()
    loaded = LesionSet.load(tmp_path / "large")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(loaded.hu, np.memmap)
    assert isinstance(loaded.masks, np.memmap)
    assert peak < large.hu.nbytes / 10


def test_a_set_can_be_saved_over_the_file_it_was_loaded_from(toy, saved):
    loaded = LesionSet.load(saved)
    loaded.subset(np.arange(10)).save(saved)
    assert len(LesionSet.load(saved)) == 10
    assert np.array_equal(loaded.hu, toy.hu)


def test_an_interrupted_save_keeps_the_old_file_and_leaves_no_other(toy, saved, monkeypatch):
    before = saved.read_bytes()

    def half(arrays, path, metadata):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "save_file", half)
    for path in (saved, saved.with_name("new")):
        with pytest.raises(KeyboardInterrupt):
            toy.save(path)
    assert [file.name for file in saved.parent.iterdir()] == [saved.name]
    assert saved.read_bytes() == before


SHAPE = (40, 3, 16, 16)
WRONG = {
    "hu of one axis less": ({"hu": np.zeros((40, 16, 16), np.int16)}, r"shape \(40, 16, 16\); expected \(slices"),
    "hu not square": ({"hu": np.zeros((40, 3, 16, 15), np.int16)}, "expected .slices, phases, size, size"),
    "no slices": ({"hu": np.zeros((0, 3, 16, 16), np.int16), "masks": None}, "no slices"),
    "hu with NaN": ({"hu": np.where(np.indices(SHAPE)[3] == 2, np.nan, 1.0)}, "1920 NaN or infinite"),
    "hu with infinity": ({"hu": np.full(SHAPE, np.inf)}, "NaN or infinite"),
    "hu beyond int16": ({"hu": np.full(SHAPE, 70000)}, "outside int16"),
    "two phase names for three": ({"phases": ("NC", "ART")}, "hu has 3 phases but they are named NC, ART"),
    "a phase twice": ({"phases": ("NC", "ART", "ART")}, "name each phase once"),
    "label too large": ({"label": np.full(40, 4)}, r"label 4 is not in the classes 0..3 \(CYST"),
    "label negative": ({"label": np.full(40, -1)}, "label -1 is not in the classes"),
    "label with a fraction": ({"label": np.full(40, 0.5)}, "label must be one whole number per slice"),
    "label NaN": ({"label": np.full(40, np.nan)}, "label must be one whole number per slice"),
    "label as text": ({"label": ["HCC"] * 40}, "label must be one whole number per slice"),
    "label too short": ({"label": np.zeros(39, int)}, r"label has shape \(39,\); expected \(40,\)"),
    "patient a table": ({"patient": np.zeros((40, 1), int)}, "patient must be one whole number per slice"),
    "patient in two groups": ({"group": np.arange(40) % 2}, "patient 0 is in groups 0, 1; keep all slices"),
    "spacing of pixels only": ({"spacing": np.ones((40, 2))}, r"spacing has shape \(40, 2\); expected \(40, 3\)"),
    "spacing NaN": ({"spacing": np.full((40, 3), np.nan)}, "spacing must be above 0 mm"),
    "spacing zero": ({"spacing": np.zeros((40, 3))}, "spacing must be above 0 mm"),
    "masks not uint8": ({"masks": np.zeros(SHAPE, bool)}, r"masks are bool \(40, 3, 16, 16\); expected uint8"),
    "masks of another shape": ({"masks": np.zeros((40, 3, 8, 8), np.uint8)}, r"expected uint8 \(40, 3, 16, 16\)"),
}


@pytest.mark.parametrize(("parts", "message"), WRONG.values(), ids=WRONG)
@pytest.mark.filterwarnings("error")
def test_parts_that_do_not_fit_are_refused(toy, parts, message):
    with pytest.raises(InputError, match=message) as caught:
        replace(toy, **parts)
    assert "\n" not in str(caught.value)


def test_parts_are_brought_to_their_types(toy):
    made = replace(toy, hu=toy.hu + 0.4, label=toy.label.astype(float), spacing=toy.spacing.tolist(), classes=["A"] * 4)
    assert [getattr(made, name).dtype for name in ARRAYS] == ["i2", "i8", "i8", "i8", "f4", "u1"]
    assert np.array_equal(made.hu, toy.hu)
    assert made.classes == ("A",) * 4


@given(part=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path_factory, toy, part):
    path = tmp_path_factory.mktemp("cut") / "cut.safetensors"
    toy.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(InputError, match="not a whole safetensors file") as caught:
        LesionSet.load(path)
    assert str(path) in str(caught.value)


def test_what_is_no_lesion_set_is_refused(tmp_path):
    path = tmp_path / "other"
    with pytest.raises(InputError, match="no such file"):
        LesionSet.load(path)
    with pytest.raises(InputError, match="no such file"):
        LesionSet.load(tmp_path)  # a folder
    path.write_text("patient,label\n1,HCC\n")
    with pytest.raises(InputError, match="not a whole safetensors file"):
        LesionSet.load(path)
    save_file({"weight": np.zeros(3)}, path)
    with pytest.raises(InputError, match="not a LesionSet file"):
        LesionSet.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extra": np.zeros(3)}, r"unknown parts \['extra'\]"),
        ({"hu": np.zeros(SHAPE, np.float32)}, "hu is stored as F32"),
        ({"label": np.full(40, 9)}, "label 9 is not in the classes"),
        ({"label": None}, "label"),
        ({"hu": None}, "hu"),
    ],
)
def test_a_file_with_parts_that_do_not_fit_is_refused_by_its_name(saved, toy, change, message):
    arrays = {name: array for name, array in (load_file(saved) | change).items() if array is not None}
    texts = {name: json.dumps(getattr(toy, name)) for name in TEXTS}
    save_file(arrays, saved, {"format": FORMAT, **texts})
    with pytest.raises(InputError, match=message) as caught:
        LesionSet.load(saved)
    assert str(saved) in str(caught.value)


@pytest.mark.parametrize("text", ["[" * 100_000, "HCC", ""])
def test_names_that_are_no_json_are_one_line(saved, toy, text):
    texts = {name: json.dumps(getattr(toy, name)) for name in TEXTS} | {"classes": text}
    save_file(load_file(saved), saved, {"format": FORMAT, **texts})
    with pytest.raises(InputError, match="its names and notes are no JSON"):
        LesionSet.load(saved)


def test_mask_gives_its_own_bit(toy):
    assert toy.mask("lesion")[0, 0].sum() == 64
    assert np.array_equal(np.argwhere(toy.mask("scar")[5, 1]), [[8, 8]])
    with pytest.raises(InputError, match="no mask 'rim' in this set: it has lesion, scar"):
        toy.mask("rim")
    with pytest.raises(InputError, match="it has none"):
        replace(toy, masks=None, mask_names=()).mask("lesion")


@given(st.lists(st.integers(0, 39), min_size=1, max_size=50))
def test_subset_picks_the_same_slices_of_every_part(toy, picked):
    part = toy.subset(np.array(picked))
    for name in ARRAYS:
        assert np.array_equal(getattr(part, name), getattr(toy, name)[picked])


@given(st.data())
def test_every_slice_is_tested_once_and_by_a_model_that_never_saw_its_patient(toy, data):
    group = np.array(data.draw(st.lists(st.integers(0, 6), min_size=20, max_size=20)))[toy.patient]
    lesions = replace(toy, group=group)
    if len(set(group)) < 2:
        with pytest.raises(InputError, match="at least 2 patient groups; this set has 1"):
            list(lesions.folds())
        return
    tested = []
    for number, train, test in lesions.folds():
        assert set(lesions.group[test]) == {number}
        assert not set(lesions.patient[train]) & set(lesions.patient[test])
        assert sorted([*train, *test]) == list(range(len(lesions)))
        tested += test.tolist()
    assert sorted(tested) == list(range(len(lesions)))


@given(seed=st.integers(0, 2**31), n_groups=st.integers(2, 5), per_class=st.integers(5, 12))
def test_groups_keep_patients_together_and_classes_balanced(seed, n_groups, per_class):
    turn = np.random.default_rng(seed).permutation(3 * per_class * 2)
    patient = np.repeat(np.arange(3 * per_class), 2)[turn]
    label = patient % 3
    group = assign_groups(label, patient, n_groups, seed % 100)
    assert set(group) == set(range(1, n_groups + 1))
    assert all(len(set(group[patient == p])) == 1 for p in set(patient))
    for c in range(3):
        counts = np.bincount(group[label == c], minlength=n_groups + 1)[1:]
        assert counts.max() - counts.min() <= 2  # one patient of two slices


def test_groups_need_enough_patients():
    label, patient = np.array([0, 0, 0, 1, 1, 1]), np.array([1, 2, 3, 4, 5, 5])
    with pytest.raises(InputError, match="too few patients for 3 groups: the rarest class has 2; ask for at most 2"):
        assign_groups(label, patient, 3)
    with pytest.raises(InputError, match="at least 2"):
        assign_groups(label, patient, 1)
    with pytest.raises(InputError, match="the rarest class has 1; give it more patients, or leave it out"):
        assign_groups(label, np.array([1, 2, 3, 4, 4, 4]), 2)


def test_window_maps_its_ends_and_middle_and_clips():
    hu = torch.tensor([-1024, -160, -60, 40, 240, 3000], dtype=torch.int16)
    assert window(hu).tolist() == [-1, -1, -0.5, 0, 1, 1]
    assert window(hu, (0, 80)).tolist() == [-1, -1, -1, 0, 1, 1]


def test_images_are_float32_tensors_of_the_slices_asked_for(toy, saved):
    loaded = LesionSet.load(saved)
    got = images(loaded, np.array([7, 3]), (-100, 100))
    assert (got.dtype, got.device.type) == (torch.float32, "cpu")
    assert torch.equal(got, window(torch.tensor(toy.hu[[7, 3]]), (-100, 100)))
    assert images(toy).shape == SHAPE


def test_cohort_key_knows_the_same_patients_at_another_resolution(toy):
    smaller = replace(toy, hu=toy.hu[:, :, ::2, ::2], masks=None, mask_names=())
    assert smaller.fingerprint() != toy.fingerprint()
    assert smaller.cohort_key() == toy.cohort_key()
    assert toy.subset(np.arange(len(toy) - 1)).cohort_key() != toy.cohort_key()


def test_fingerprint_tells_data_apart_and_survives_the_disk(toy, saved):
    known = toy.fingerprint()
    assert LesionSet.load(saved).fingerprint() == known
    turned = toy.hu.copy()
    turned[3, 1, 2, 2] += 1
    others = [
        replace(toy, hu=turned),
        replace(toy, label=(toy.label + 1) % 4),
        replace(toy, patient=toy.patient + 1),
        replace(toy, group=toy.group + 1),
        replace(toy, phases=("NC", "PV", "ART")),
        toy.subset(np.arange(39)),
    ]
    assert len({known, *(other.fingerprint() for other in others)}) == 7


def test_load_dataset_opens_the_readers_own_set(saved, monkeypatch):
    monkeypatch.setenv("LIVERVLM_DATA", str(saved))
    assert load_dataset().source == {"kind": "toy"}
    with pytest.raises(InputError, match="no such file"):
        load_dataset("elsewhere.safetensors")


def test_displacement_moves_each_phase_of_a_patient_but_the_last_as_one(toy):
    size = 32
    ramp = np.arange(size * size, dtype=np.int16).reshape(size, size)  # every pixel tells where it came from
    n, p = toy.hu.shape[:2]
    marked = replace(toy, hu=np.broadcast_to(ramp, (n, p, size, size)).copy(), masks=None, mask_names=())
    moved = displace(marked, sd=3.0)
    assert np.array_equal(moved.hu[:, -1], marked.hu[:, -1])
    assert moved.cohort_key() == toy.cohort_key()
    middle = moved.hu[:, :-1, size // 2, size // 2] - ramp[size // 2, size // 2]
    for patient in np.unique(toy.patient):
        assert (np.ptp(middle[toy.patient == patient], axis=0) == 0).all()
    assert len(np.unique(middle)) > 10
    inside = moved.hu[0, 0, 12:20, 12:20]
    assert (np.diff(inside, axis=0) == size).all()  # moved as a whole, not mixed
    assert (np.diff(inside, axis=1) == 1).all()


def test_displacement_is_in_millimetres_takes_the_masks_along_and_repeats(toy):
    size, mm = 200, 0.5
    hu = np.zeros((len(toy), 2, size, size), dtype=np.int16)
    hu[:, :, 100, 100] = 7
    masks = {"masks": (hu == 7).astype(np.uint8), "mask_names": ("lesion",)}
    one = replace(toy, hu=hu, phases=("ART", "PV"), spacing=np.tile([5, mm, mm], (len(toy), 1)), **masks)
    moved = displace(one, sd=6.0, seed=1)
    assert np.array_equal(moved.hu == 7, moved.mask("lesion"))
    places = np.argwhere(moved.hu[:, 0] == 7)
    assert len(places) == len(toy)
    first = np.unique(toy.patient, return_index=True)[1]
    far = (places[first, 1:] - 100) * mm
    assert 4 < far.std() < 8
    assert np.array_equal(displace(one, sd=6.0, seed=1).hu, moved.hu)
    assert not np.array_equal(displace(one, sd=6.0, seed=2).hu, moved.hu)
    assert np.array_equal(displace(one, sd=0).hu, one.hu)
    assert one.hu[0, 0, 100, 100] == 7  # what was given stays as it was


@pytest.mark.parametrize("sd", [-1, float("nan"), 100])
def test_an_impossible_displacement_is_refused(toy, sd):
    with pytest.raises(InputError, match="mm: give an sd from 0 to 100 mm"):
        displace(toy, sd)
