"""Which slice does a sentence mean: pairs, controls and baselines on studies whose answer is known."""

import numpy as np
import pytest
import torch

from livervlm.analyses.key_slices import (
    QUESTIONS,
    baselines,
    by_towers,
    place_cannot_tell,
    retrieve,
    sentences_of,
    teaching_pairs,
    windowed,
)
from livervlm.base.errors import InputError
from livervlm.models.selector import SliceTowers, train_selector
from livervlm.phantom.findings import ORGANS, Finding
from livervlm.phantom.sentences import write_report
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
    return Series(hu, 5.0, organs, area, tuple(findings), reports, number)


@pytest.fixture(scope="module")
def studies():
    places = np.random.default_rng(0).integers(5, 13, (30, 2))
    every = [{"HCC": int(a)} | ({"renal cyst": int(b) + 9} if b < 12 else {}) for a, b in places]
    return [study(i, kinds) for i, kinds in enumerate(every)]


def test_a_reader_marks_where_it_is_largest(studies):
    one = study(0, {"HCC": 8, "renal cyst": 17})
    marks = {(s.organ, s.kind): one.marked(s) for s in one.reports["seen"]}
    assert marks == {("liver", "finding"): 8, ("kidney", "finding"): 17, ("spleen", "negative"): 7}


def test_pairs_are_balanced_and_each_slice_is_the_marked_one(studies):
    images, texts = teaching_pairs(studies)
    findings, negatives = (sentences_of(studies, kind=kind) for kind in ("finding", "negative"))
    fewest = min(len(findings), len(negatives))
    assert images.shape == (2 * fewest, 2, 16, 16)
    of = {kind: {s.text for _, s in pairs} for kind, pairs in (("finding", findings), ("negative", negatives))}
    assert sum(text in of["finding"] for text in texts) == sum(text in of["negative"] for text in texts) == fewest
    right = {(s.text, windowed(one, [one.marked(s)]).numpy().tobytes()) for one, s in (*findings, *negatives)}
    assert {(text, image[None].numpy().tobytes()) for text, image in zip(texts, images, strict=True)} <= right


def test_permuted_pairs_keep_the_slices_and_the_sentences_and_lose_what_joins_them(studies):
    images, texts = teaching_pairs(studies, ["finding"])
    same, mixed = teaching_pairs(studies, ["finding"], permuted=True)
    assert torch.equal(images, same)
    assert sorted(texts) == sorted(mixed)
    assert np.mean([a == b for a, b in zip(texts, mixed, strict=True)]) < 0.3


def test_a_kind_that_no_report_has_is_named():
    with pytest.raises(InputError, match="no sentence of kind finding: give more studies"):
        teaching_pairs([study(0, {})])


def test_place_leaves_open_what_is_twice_in_an_organ():
    one, two = study(0, {"HCC": 8, "renal cyst": 17}), study(1, {"HCC": 6, "CYST": 11, "renal cyst": 17})
    assert not any(place_cannot_tell(one, s) for _, s in sentences_of([one]))
    assert {s.organ: place_cannot_tell(two, s) for _, s in sentences_of([two])} == {"liver": True, "kidney": False}


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
    asked = {name: said(sentence, 3) for name, said in QUESTIONS.items()}
    assert asked["as written"] == sentence.text
    assert [len(word) for word in asked["nonsense words"].split()] == [len(word) for word in sentence.text.split()]
    assert len(set(asked.values())) == 4 or sentence.organ not in sentence.text


def test_a_selector_that_was_taught_finds_the_slice_in_studies_that_it_has_not_seen(studies):
    torch.manual_seed(0)
    towers = SliceTowers(2, text_encoder="random")  # whose features know only sentences that were taught
    taught = sentences_of([study(100 + i, {"HCC": 5 + i % 8, "renal cyst": 14 + i % 7}) for i in range(40)])
    images = torch.cat([windowed(one, [one.marked(sentence)]) for one, sentence in taught])
    texts = [sentence.organ for _, sentence in taught]
    train_selector(towers, images, np.arange(len(images)), texts, epochs=12, progress=False)
    score = by_towers(towers, lambda sentence, number: sentence.organ)
    assert retrieve(score, sentences_of(studies[20:]))["Acc@1"].mean() > 0.7


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
