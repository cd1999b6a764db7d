"""Which phase a series is: order of time, contradictions, and what a picture shows."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livervlm.analyses.which_phase import (
    AS_TAUGHT,
    LATE,
    RIGHT,
    Acquired,
    judged,
    lines_of,
    make,
    scanned,
    summary,
    teach,
)
from livervlm.base.errors import InputError
from livervlm.base.paths import data_file
from livervlm.phantom.abdomen import abdomen_study, draw_abdomens
from livervlm.runs.records import read_record
from livervlm.scans.seeds import seed_of
from livervlm.studies.phase_picture import picture_features
from livervlm.studies.which_phase import (
    AGAINST,
    APART,
    PHASES,
    SAME,
    Clue,
    Guess,
    decide,
    joint,
    shipped,
    unwrapped,
    which_phases,
)

REAL = Path(__file__).parents[2] / "shared" / "realdata"
TYPICAL = {  # HU of tube, second tube, organ and muscle
    "NC": np.array([60.0, 46, 52, 52]),
    "ART": np.array([310.0, 95, 70, 52]),
    "PV": np.array([168.0, 125, 108, 52]),
    "DL": np.array([121.0, 108, 82, 52]),
}


def guesses(*series, **more):
    """Guesses of (words, seconds, phase that the picture shows, or None)."""
    clues = [Clue(words, seconds, **more) for words, seconds, _ in series]
    return decide(clues, [TYPICAL.get(shown) for _, _, shown in series], shipped())


def test_a_localizer_is_no_phase():
    found = guesses(("Scout AP", 10.0, None), ("Topogram 0.6 art", None, None), ("nativ", 60.0, None))
    assert [one.phase for one in found] == [None, None, "NC"]
    assert found[0].doubts == found[1].doubts == ("a localizer, no phase",)
    assert found[2].doubts == ()


# Time, agent and words against one another


def by_hand(log_odds, seconds):
    """`joint`, over every answer that there is."""
    total = np.zeros(log_odds.shape)
    for answer in itertools.product(range(4), repeat=len(log_odds)):
        weight = np.exp(sum(row[k] for row, k in zip(log_odds, answer, strict=True)))
        for (i, p), (j, q) in itertools.combinations(enumerate(answer), 2):
            after = seconds[j] - seconds[i]
            if abs(after) <= APART:
                weight *= AGAINST if p != q else 1
            else:
                weight *= SAME if p == q else AGAINST if after * (q - p) < 0 else 1
        for i, k in enumerate(answer):
            total[i, k] += weight
    return total / total.sum(axis=1, keepdims=True)


TIMES = st.one_of(st.just(np.nan), st.sampled_from([0.0, 5.0, 40.0, 90.0, 300.0]))


@given(st.lists(st.tuples(st.lists(st.floats(-6, 0), min_size=4, max_size=4), TIMES), min_size=1, max_size=4))
def test_joint_is_the_sum_over_all_answers(series):
    log_odds, seconds = np.array([row for row, _ in series]), np.array([s for _, s in series])
    np.testing.assert_allclose(joint(log_odds, seconds), by_hand(log_odds, seconds), atol=1e-9)


def test_time_orders_what_nothing_else_tells():
    found = joint(np.zeros((4, 4)), np.array([300.0, 0.0, 90.0, 40.0]))
    assert found.argmax(axis=1).tolist() == [3, 0, 2, 1]


def test_many_series_are_followed_too():
    log_odds = np.log(np.tile(np.eye(4) * 0.9 + 0.025, (5, 1)))  # 20 series, five of each phase at its time
    assert joint(log_odds, np.tile([0.0, 100.0, 140.0, 300.0], 5)).argmax(axis=1).tolist() == [0, 1, 2, 3] * 5


def test_a_study_may_cross_midnight():
    assert unwrapped([86390.0, None, 20.0])[[0, 2]].tolist() == [86390.0, 86420.0]
    assert [g.doubts for g in guesses(("art", 86390.0, None), ("pv", 25.0, None))] == [(), ()]


def test_a_study_as_it_should_be_has_no_doubt():
    told = (("nativ", 0.0, "NC"), ("arteriell", 200.0, "ART"), ("portalvenös", 240.0, "PV"), ("spät", 400.0, "DL"))
    assert guesses(*told) == [Guess(phase) for phase in PHASES]


def test_words_that_time_contradicts_are_doubted():
    found = guesses(("pv", 0.0, None), ("art", 40.0, None))
    assert [one.phase for one in found] == ["PV", "ART"]
    assert "acquired 40 s before ART" in " ".join(found[0].doubts)
    assert "acquired 40 s after PV" in " ".join(found[1].doubts)


def test_words_that_the_picture_contradicts_are_taken_and_doubted():
    found = guesses(("nativ", None, "ART"), ("arteriell", None, "NC"))
    assert [one.phase for one in found] == ["NC", "ART"]
    assert "named NC, and all else says rather ART" in found[0].doubts[0]
    assert "named ART, and all else says rather NC" in found[1].doubts[0]


def test_two_series_of_a_phase_are_doubted():
    assert [g.doubts for g in guesses(("art", None, None), ("art", None, None))] == [("2 series are taken as ART",)] * 2


def test_two_phases_at_one_time_are_doubted():
    assert "at the same time as PV" in " ".join(guesses(("art", 7.0, None), ("pv", 9.0, None))[0].doubts)


def test_an_agent_contradicts_words():
    found = decide([Clue("nativ", contrast=True), Clue("art", contrast=True)], [None] * 2, shipped())
    assert any("names a contrast agent" in line for line in found[0].doubts)
    found = decide([Clue("nativ", contrast=False), Clue("art", contrast=False)], [None] * 2, shipped())
    assert [one.doubts for one in found] == [(), ()]  # headers that were emptied
    found = decide([Clue("pv", contrast=True), Clue("art", contrast=False)], [None] * 2, shipped())
    assert any("names no contrast agent" in line for line in found[1].doubts)


def test_nothing_known_is_left_open():
    (one,) = which_phases([Clue("Abdomen 5.0")])
    assert one == Guess(None, ("left open: nothing tells",))
    assert which_phases([]) == []


def test_a_volume_needs_its_spacing():
    with pytest.raises(InputError, match="series 2 has a volume and no spacing"):
        which_phases([Clue(), Clue(volume=np.zeros((40, 40, 40)))])


def test_the_picture_decides_where_words_name_no_phase():
    assert [g.phase for g in guesses(("Abdomen", None, "NC"), ("Abdomen", None, "ART"))] == ["NC", "ART"]
    found = guesses(("post contrast", None, "NC"))[0]
    assert found.phase is None or any("its words say ART, PV, DL" in line for line in found.doubts)


SERIES = st.tuples(
    st.sampled_from(["", "Meier_Anna art", "nativ", "pv Meier_Anna", "Meier_Anna", "late", "post contrast", "Scout"]),
    st.one_of(st.none(), st.floats(0, 86399)),
    st.sampled_from([None, True, False]),
    st.one_of(st.none(), st.lists(st.floats(-50, 700), min_size=4, max_size=4)),
)


@given(st.lists(SERIES, max_size=7))
def test_there_is_a_guess_for_each_series_and_no_phase_twice_without_a_doubt(series):
    clues = [Clue(words, seconds, contrast) for words, seconds, contrast, _ in series]
    features = [None if one is None else np.array(one) for *_, one in series]
    found = decide(clues, features, shipped())
    assert len(found) == len(series)
    silent = [g.phase for g in found if not g.doubts]
    assert None not in silent
    assert len(set(silent)) == len(silent)
    assert "Meier" not in str(found)


# The picture


@pytest.fixture(scope="module")
def abdomens():
    """Two studies in four phases; no record was made of their patients."""
    seed = seed_of("which phase pool", 99_999)
    return [abdomen_study(one, PHASES, 64) for one in draw_abdomens(seed, 2)]


def test_pictures_of_phantoms_are_answered_right_or_left_open(abdomens):
    for s in abdomens:
        found = which_phases([Clue(volume=s.volumes[p], spacing=s.spacing) for p in PHASES])
        assert [g.phase for g in found[:2]] == ["NC", "ART"]
        assert all(g.phase in (p, None) for p, g in zip(PHASES, found, strict=True))


def test_swapped_words_are_seen_in_the_picture(abdomens):
    words = ("art", "nativ", "pv", "late")
    for s in abdomens:
        found = which_phases(
            [Clue(w, volume=s.volumes[p], spacing=s.spacing) for w, p in zip(words, PHASES, strict=True)]
        )
        assert found[0].doubts
        assert found[1].doubts


def test_features_do_not_depend_on_how_the_scan_is_stored(abdomens):
    volume, (dz, dy, dx) = abdomens[0].volumes["PV"], abdomens[0].spacing
    seen = picture_features(volume, (dz, dy, dx))
    air = np.pad(volume, ((0, 0), (5, 9), (12, 3)), constant_values=-1024)
    outside = np.pad(volume, ((0, 0), (4, 4), (4, 4)), constant_values=-3024).astype(np.float32)
    finer = volume.repeat(4, axis=1).repeat(4, axis=2)
    same = {
        "head first": picture_features(volume[::-1], (dz, dy, dx)),
        "left for right": picture_features(volume[:, :, ::-1], (dz, dy, dx)),
        "more air": picture_features(air, (dz, dy, dx)),
        "padding outside the field": picture_features(outside, (dz, dy, dx)),
        "finer pixels": picture_features(finer, (dz, dy / 4, dx / 4)),
        "thinner slices": picture_features(volume.repeat(5, axis=0), (dz / 5, dy, dx)),
    }
    for name, features in same.items():
        np.testing.assert_allclose(features, seen, atol=6, err_msg=name)


def test_a_part_of_the_scan_is_enough_and_a_few_slices_are_not(abdomens):
    study = abdomens[0]
    liver = scanned(study, np.array([1.0, 1.0]))
    seen = picture_features(study.volumes["PV"], study.spacing)
    part = picture_features(study.volumes["PV"][liver], study.spacing)
    assert abs(part - seen)[[0, 2, 3]].max() < 20
    few = Clue("pv", volume=study.volumes["PV"][50:56], spacing=study.spacing)
    assert which_phases([few]) == [Guess("PV", ("its picture shows too little of a body to tell the contrast",))]
    air = np.full((40, 40, 40), -1000, np.int16)
    assert picture_features(air, (5.0, 5.0, 5.0)) is None
    assert picture_features(np.zeros((40, 80, 80), np.int16), (5.0, 5.0, 5.0)) is None  # a phantom of water


# What teaches, and the record


def test_an_acquisition_moves_what_it_says():
    (patient,), plain = draw_abdomens(0, 1), Acquired(1, 0, 0, 0, 0, 1, 1, 1)
    for tissue, levels in plain.of(patient).base.hu.items():
        assert levels == pytest.approx(patient.base.hu[tissue]), tissue
    nc, art, pv, dl = patient.base.hu["aorta"]
    late = plain.but(LATE, np.random.default_rng(0)).of(patient).base.hu["aorta"]
    assert art + 0.3 * (pv - art) >= late[1] >= art + 0.5 * (pv - art)
    assert (late[0], late[2], late[3]) == pytest.approx((nc, pv, dl))
    bright = plain.but("unseen scanner", np.random.default_rng(0)).of(patient).base
    assert bright.hu["aorta"] == pytest.approx([nc + 1.35 * (x - nc) for x in (nc, art, pv, dl)])
    assert bright.noise == pytest.approx(1.8 * patient.base.noise)


def test_a_scan_misses_no_more_of_the_liver_than_it_says(abdomens):
    study = abdomens[0]
    liver = study.organ("liver").any(axis=(1, 2))
    assert scanned(study, np.zeros(2)) == slice(0, len(liver))
    for ends in ([1.0, 0.0], [0.0, 1.0]):
        assert liver[scanned(study, np.array(ends))].sum() >= 0.7 * liver.sum() - 1


def test_teaching_takes_the_lowest_threshold_that_is_right_often_enough():
    rng = np.random.default_rng(0)

    def studies(sd):
        return [{AS_TAUGHT: {p: (TYPICAL[p] + rng.normal(0, sd, 4)).tolist() for p in PHASES}} for _ in range(30)]

    model, table = teach(studies(2.0))
    assert model.threshold == 0.5
    assert table["right of these"].min() == 1
    assert model.probabilities(np.array([*TYPICAL.values()])).argmax(axis=1).tolist() == [0, 1, 2, 3]
    model, table = teach(studies(40.0))
    enough = table.index[table["right of these"] >= RIGHT]
    assert model.threshold == (enough[0] if len(enough) else 0.99) > 0.5


@pytest.fixture(scope="module")
def record():
    return read_record(data_file("results") / "which_phase.json")


def test_the_record_is_what_its_summary_says(record):
    table = summary(lines_of(record)).reset_index()
    assert table.astype(object).where(table.notna(), None).to_dict("list") == record["summary"]
    known = dict(zip(record["thresholds"]["threshold"], record["thresholds"]["right of these"], strict=True))
    assert record["settings"]["threshold"] == next((t for t in sorted(known) if known[t] >= RIGHT), 0.99)
    assert record["settings"]["threshold"] == shipped().threshold


def test_the_record_is_what_the_shipped_model_says_of_its_pictures(record):
    some = record["pool"][:6]
    lines = lines_of(record)
    now = judged(some, shipped()).sort_values(["condition", "way", "study"], kind="stable").reset_index(drop=True)
    then = lines[lines["study"] < 6].sort_values(["condition", "way", "study"], kind="stable").reset_index(drop=True)
    assert now.astype(str).equals(then.astype(str))


def test_the_command_writes_a_model_and_a_record(tmp_path, monkeypatch):
    from livervlm.analyses import which_phase as module

    def drawn(use, n, conditions, jobs, progress):
        rng = np.random.default_rng(len(use))
        return [
            {c: {p: (TYPICAL[p] + rng.normal(0, 3, 4)).tolist() for p in PHASES} for c in conditions} for _ in range(n)
        ]

    monkeypatch.setattr(module, "drawn_studies", drawn)
    make(tmp_path, 10, 3, progress=False)
    model = json.loads((tmp_path / "which_phase.json").read_text())
    assert set(model) == set(json.loads(data_file("which_phase.json").read_text()))
    assert len(read_record(tmp_path / "results" / "which_phase.json")["pool"]) == 3


# Real CT


@pytest.mark.skipif(not REAL.is_dir(), reason="the real CT of shared/realdata is not beside this checkout")
def test_what_it_says_of_the_real_ct():
    sitk = pytest.importorskip("SimpleITK")
    from livervlm.studies.volumes import read_volume

    def said(path):
        image = read_volume(REAL / path)
        (found,) = which_phases([Clue(volume=sitk.GetArrayFromImage(image), spacing=image.GetSpacing()[::-1])])
        return found

    assert said("totalsegmentator_example/example_ct.nii.gz") == Guess("NC")
    few = said("totalsegmentator_example/example_ct_dicom")  # portal venous, but 4 cm of a body
    assert few.phase is None
    assert "too little of a body" in few.doubts[0]


def test_what_a_person_says_is_doubted_where_the_picture_is_sure():
    """On the abdomens of the record: columns that are right, and two that are exchanged."""
    pool = read_record(data_file("results/which_phase.json"))["pool"]
    phases = ("NC", "ART", "PV")
    for condition in pool[0]:
        rates = {}
        for a, b in ((0, 0), (0, 1), (0, 2), (1, 2)):
            given = list(phases)
            given[a], given[b] = given[b], given[a]
            features = [[study[condition][p] and np.array(study[condition][p]) for p in phases] for study in pool]
            found = [decide([Clue(p) for p in given], of, shipped()) for of in features]
            rates[a, b] = np.mean([any(guess.doubts for guess in of) for of in found])
        assert rates.pop((0, 0)) <= 0.1, condition
        assert min(rates.values()) >= 0.97, condition
