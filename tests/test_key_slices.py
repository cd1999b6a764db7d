"""Which slice does a sentence mean: pairs, controls and baselines on studies whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from livervlm.analyses.key_slices.questions import (
    PLACELESS,
    QUESTIONS,
    baselines,
    by_towers,
    organ_aucs,
    organ_scores,
    retrieve,
    sentences_of,
    teaching_pairs,
    windowed,
)
from livervlm.base.errors import InputError
from livervlm.models.selector import train_selector
from livervlm.models.towers import SliceTowers
from livervlm.phantom.findings import ORGANS, Finding
from livervlm.phantom.sentences import Sentence, named_phases, word_prompt, write_report
from livervlm.phantom.series import Series, make_series, scan_series
from livervlm.scans.conventions import CANONICAL

KIDNEY, LIVER, SPLEEN = (ORGANS.index(name) for name in ("kidney", "liver", "spleen"))


def study(number: int, kinds: dict[str, int], slices: int = 24) -> Series:
    """A study of 16 x 16 pixels in which a finding is a bright square at its slice: liver above, kidney below."""
    rng = np.random.default_rng(number)
    hu = np.int16(rng.normal(40, 5, (slices, 2, 16, 16)))
    organs, areas, findings = np.zeros((slices, len(ORGANS)), np.float32), [], []
    organs[4:14, LIVER], organs[14:22, KIDNEY], organs[6:12, SPLEEN] = 100, 60, 40
    organs[9, LIVER] = organs[18, KIDNEY] = organs[7, SPLEEN] = 200
    for kind, at in kinds.items():
        area = np.zeros(slices, np.float32)
        area[at - 1 : at + 2] = 3, 9, 3
        hu[at, :, :8, :8] += 150 if kind == "HCC" else 60
        organ = "kidney" if kind == "renal cyst" else "liver"
        findings.append(Finding(kind=kind, organ=organ, diameter=20.0, slices=(at - 1, at + 1), marked=at))
        areas.append(area)
    seen = [organ for o, organ in enumerate(ORGANS) if organs[:, o].any()]
    reports = {g: tuple(write_report(findings, seen, rng, g)) for g in ("seen", "held_out")}
    area = np.stack(areas, axis=1) if areas else np.zeros((slices, 0), np.float32)
    return Series(hu, 5.0, organs, area, tuple(findings), reports, number, ("ART", "PV"))


@pytest.fixture(scope="module")
def studies():
    places = np.random.default_rng(0).integers(5, 13, (30, 2))
    every = [{"HCC": int(a)} | ({"renal cyst": int(b) + 9} if b < 12 else {}) for a, b in places]
    return [study(i, kinds) for i, kinds in enumerate(every)]


def test_a_reader_marks_where_it_is_largest(studies):
    one = study(0, {"HCC": 8, "renal cyst": 17})
    marks = {(s.organ, s.kind): one.marked(s) for s in one.reports["seen"]}
    assert marks == {("liver", "finding"): 8, ("kidney", "finding"): 17, ("spleen", "negative"): 7}


def test_a_pair_is_a_sentence_and_a_slice_that_shows_most_of_it_in_a_phase_that_it_names(studies):
    images, texts = teaching_pairs(studies, 200)
    assert images.shape == (200, 1, 16, 16)
    of = {kind: {s.text for _, s in sentences_of(studies, kind=kind)} for kind in ("finding", "negative")}
    assert all(text in of["finding"] for text in texts[:100])
    assert all(text in of["negative"] for text in texts[100:])
    right = {}
    for kind in of:
        for one, sentence in sentences_of(studies, kind=kind):
            area, named = one.area(sentence), named_phases(sentence.text)
            for s in np.flatnonzero(area >= area.max() / 2):
                for p, phase in enumerate(one.phases):
                    if phase in named or not named:
                        right.setdefault(sentence.text, set()).add(windowed(one.hu[s, p])[0].numpy().tobytes())
    assert all(image.numpy().tobytes() in right[text] for image, text in zip(images, texts, strict=True))


def test_only_lesions_make_as_many_pairs(studies):
    images, texts = teaching_pairs(studies, 50, ["finding"])
    assert len(images) == len(texts) == 50
    assert set(texts) <= {s.text for _, s in sentences_of(studies)}


def test_permuted_pairs_keep_the_slices_and_the_sentences_and_lose_what_joins_them(studies):
    images, texts = teaching_pairs(studies, 100, ["finding"])
    same, mixed = teaching_pairs(studies, 100, ["finding"], permuted=True)
    assert torch.equal(images, same)
    assert sorted(texts) == sorted(mixed)
    assert np.mean([a == b for a, b in zip(texts, mixed, strict=True)]) < 0.3


def test_a_kind_that_no_report_has_is_named():
    with pytest.raises(InputError, match="no sentence of kind finding: give more studies"):
        teaching_pairs([study(0, {})], 10)


def test_place_leaves_open_what_is_twice_in_an_organ():
    one, two = study(0, {"HCC": 8, "renal cyst": 17}), study(1, {"HCC": 6, "CYST": 11, "renal cyst": 17})
    middle = baselines([one])["middle slice"]
    assert not retrieve(middle, sentences_of([one]))["open"].any()
    table = retrieve(middle, sentences_of([two]))
    assert table.set_index("organ")["open"].groupby("organ").all().to_dict() == {"liver": True, "kidney": False}


def told(text: str, one: Series, finding: int = 0) -> tuple[Series, Sentence]:
    return one, Sentence(text, finding, one.findings[finding].organ, "finding")


def test_what_no_place_can_tell_is_chance_for_places_and_right_for_who_knows():
    """By hand: two findings in the liver, at 6 and 11; a cyst of the kidney at 17; phases ART and PV."""
    one = study(1, {"HCC": 6, "CYST": 11, "renal cyst": 17})
    asked = [
        told("A lesion is hyperattenuating in the arterial phase.", one, 0),
        told("A lesion in all phases.", one, 1),
        told("A cyst in the left kidney.", one, 2),
    ]
    by_chance = retrieve(baselines([one])["middle slice"], asked)
    assert by_chance["phase"].tolist() == pytest.approx([0.5, np.nan, np.nan], nan_ok=True)
    assert by_chance["side"].tolist() == pytest.approx([np.nan, np.nan, 0.5], nan_ok=True)
    assert by_chance["which of two"].tolist()[2:] == pytest.approx([np.nan], nan_ok=True)

    def knows(series: Series, sentences) -> np.ndarray:
        found = np.zeros((len(sentences), *series.hu.shape[:2]))
        for row, sentence in zip(found, sentences, strict=True):
            named = [p for p, phase in enumerate(series.phases) if phase in named_phases(sentence.text)]
            row[series.marked(sentence), named or [0, 1]] = -1 if "right" in sentence.text else 1
        return found

    table = retrieve(knows, asked)
    assert table["Acc@1"].tolist() == [1, 1, 1]
    assert table["organ@1"].tolist() == [1, 1, 1]
    assert by_chance["organ@1"].tolist() == [1, 1, 0]  # slices 11 and 12 of 24 show the liver
    assert table["phase"].tolist() == pytest.approx([1, np.nan, np.nan], nan_ok=True)
    assert table["side"].tolist() == pytest.approx([np.nan, np.nan, 1], nan_ok=True)
    assert table["which of two"].tolist() == pytest.approx([1, 1, np.nan], nan_ok=True)
    table = retrieve(lambda *given: -knows(*given), asked)
    assert table[list(PLACELESS)[:2]].mean().tolist() == [0, 0]


def test_baselines_know_places_and_nothing_of_the_finding():
    training, tested = [study(i, {"HCC": 10}) for i in range(4)], study(9, {"HCC": 6})
    found = {name: retrieve(score, sentences_of([tested])).iloc[0] for name, score in baselines(training).items()}
    assert found["middle slice"]["MAE slices"] == pytest.approx(5.5)
    assert found["largest slice of the organ"]["MAE slices"] == 3  # the liver is largest at 9
    assert found["places of organs"]["MAE slices"] == pytest.approx(4, abs=1)  # the training marks are at 10
    at_home = retrieve(baselines(training)["places of organs"], sentences_of([study(10, {"HCC": 10})]))
    assert at_home["accepted"].iloc[0] > 0.3


def test_every_sentence_has_its_line_whatever_the_order_of_the_studies(studies):
    asked = sentences_of(studies)
    score = baselines(studies)["largest slice of the organ"]
    table = retrieve(score, asked)
    mixed = np.random.default_rng(0).permutation(len(asked))
    again = retrieve(score, [asked[i] for i in mixed])
    assert again.equals(table.iloc[mixed].reset_index(drop=True))
    assert table["patient"].tolist() == [one.patient for one, _ in asked]
    assert table["organ"].tolist() == [sentence.organ for _, sentence in asked]


def test_controls_take_away_what_they_say(studies):
    _, sentence = sentences_of(studies)[0]
    asked = {name: ask(sentence, 3).text for name, ask in QUESTIONS.items()}
    assert asked["as written"] == sentence.text
    assert [len(word) for word in asked["nonsense words"].split()] == [len(word) for word in sentence.text.split()]
    assert len(set(asked.values())) == 4 or sentence.organ not in sentence.text


def test_a_selector_that_was_taught_finds_the_slice_in_studies_that_it_has_not_seen(studies):
    torch.manual_seed(0)
    towers = SliceTowers(text_encoder="random")  # whose features know only sentences that were taught
    images, texts = [], []
    for one, sentence in sentences_of(
        [study(100 + i, {"HCC": 5 + i % 8, "renal cyst": 14 + i % 7}) for i in range(40)]
    ):
        images.append(windowed(one.hu[one.marked(sentence)]))
        texts += [sentence.organ] * 2
    train_selector(towers, torch.cat(images), texts, epochs=15, progress=False)
    score = by_towers(towers)

    def organ_only(series: Series, sentences) -> np.ndarray:
        return score(series, [Sentence(s.organ, s.finding, s.organ, s.kind) for s in sentences])

    assert retrieve(organ_only, sentences_of(studies[20:]))["overlap@1"].mean() > 0.8


def test_every_study_is_looked_at_though_others_had_its_address(studies):
    torch.manual_seed(0)
    score, (one, sentence) = by_towers(SliceTowers(text_encoder="random")), sentences_of(studies[:1])[0]
    # Each series is gone before the next one is made, so that it may lie where the other lay.
    found = [score(replace(one, hu=np.full_like(one.hu, level)), [sentence]).max() for level in (-100, 0, 100)]
    assert len({round(float(value), 4) for value in found}) == 3


def test_organs_are_asked_of_every_slice_of_the_last_phase(studies):
    def last(series: Series, sentences) -> np.ndarray:
        found = np.zeros((len(sentences), *series.hu.shape[:2]))
        found[..., -1] = [series.organ_area[:, ORGANS.index(s.organ)] for s in sentences]
        return found

    there, found, patient = organ_scores(last, studies[:3], word_prompt)
    assert there.shape == found.shape == (72, len(ORGANS))
    assert np.array_equal(there, found > 0)
    assert patient.tolist() == [0] * 24 + [1] * 24 + [2] * 24


def test_aucs_of_organs_are_those_of_the_first_phase_in_the_stretch_below_the_lungs():
    one = study(0, {})
    one.organ_area[:6, ORGANS.index("lung")] = 50  # so that 10 mm above its lower end is slice 4

    def score(series: Series, sentences) -> np.ndarray:
        found = np.zeros((len(sentences), *series.hu.shape[:2]))
        found[..., 0] = np.where(np.arange(24) == 0, 99, -np.abs(np.arange(24) - 6))  # best at 6, but for slice 0
        return found

    table = organ_aucs(score, [one, one], word_prompt, above=10, length=40)  # slices 4 to 11
    pairs = [(-abs(a - 6), -abs(b - 6)) for a in range(6, 12) for b in (4, 5)]  # with the spleen, without
    auc = np.mean([(a > b) + 0.5 * (a == b) for a, b in pairs])
    assert table.loc["spleen"].tolist() == pytest.approx([auc, 2])
    assert "liver" not in table.index  # in all of them
    assert "kidney" not in table.index  # in none


def test_series_of_whole_abdomens_are_made_once_and_are_the_same_in_any_number(empty_cache):
    two = make_series(3, 2, size=32, progress=False)
    again = scan_series(3, 1, 32, CANONICAL)
    first = two[1]
    assert np.array_equal(first.hu, again.hu)
    assert (first.findings, first.reports) == (again.findings, again.reports)
    assert first.hu.shape[1:] == (3, 32, 32)
    assert first.organ_area.shape == (len(first.hu), len(ORGANS))
    for one in two:
        for finding, area in zip(one.findings, one.finding_area.T, strict=True):
            assert area.argmax() == finding.marked
            assert tuple(np.flatnonzero(area)[[0, -1]]) == finding.slices
        for sentence in one.reports["seen"]:
            assert one.area(sentence).max() > 0
