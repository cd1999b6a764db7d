"""Reports from findings and back: what a sentence says is what the finding tells, and rules split what rules wrote."""

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livervlm.base.errors import InputError
from livervlm.phantom.findings import ORGANS, OTHER_KINDS, Finding
from livervlm.phantom.sentences import (
    GRAMMARS,
    ROMAN,
    SLOT,
    Sentence,
    describe,
    named_phases,
    named_segments,
    nonsense,
    other_side,
    phrases,
    question_answers,
    report_text,
    sentence_prompt,
    split_report,
    swap_organ,
    without_organ,
    word_prompt,
    write_report,
)
from livervlm.scans.conventions import CLASS_NAMES

KINDS = dict.fromkeys(CLASS_NAMES, "liver") | OTHER_KINDS
FACTS = {"slices": (3, 9), "marked": 5}
HCC = Finding(kind="HCC", organ="liver", segment=8, diameter=23.4, attenuation={"ART": "hyper", "PV": "hypo"}, **FACTS)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def a_finding(draw):
    kind = draw(st.sampled_from(list(KINDS)))
    organ = KINDS[kind]
    return Finding(
        kind=kind,
        organ=organ,
        side=draw(st.sampled_from(["left", "right", ""])) if organ in ("kidney", "lung") else "",
        segment=draw(st.integers(0, 8)) if organ == "liver" else 0,
        diameter=draw(st.floats(0.2, 250)),
        attenuation=draw(
            st.dictionaries(st.sampled_from(["NC", "ART", "PV", "DL"]), st.sampled_from(["hyper", "iso", "hypo"]))
        ),
        **FACTS,
    )


reports = st.tuples(st.lists(a_finding(), max_size=6), st.sets(st.sampled_from(ORGANS), min_size=1), seeds)


def many(finding, grammar, n=300):
    """Different sentences of one finding."""
    rng = np.random.default_rng(0)
    return {describe(finding, rng, grammar) for _ in range(n)}


# ---- writing and splitting


@pytest.mark.parametrize("grammar", GRAMMARS)
@given(reports)
def test_a_report_splits_into_the_sentences_that_it_was_written_of(grammar, case):
    findings, organs, seed = case
    report = write_report(findings, organs, np.random.default_rng(seed), grammar)
    text = report_text(report)
    assert split_report(text) == [sentence.text for sentence in report]
    assert sorted(s.finding for s in report if s.kind == "finding") == list(range(len(findings)))
    assert all(s.organ == findings[s.finding].organ for s in report if s.kind == "finding")
    assert {s.organ for s in report if s.kind == "negative"} == organs - {f.organ for f in findings}
    assert report == write_report(findings, organs, np.random.default_rng(seed), grammar)


@pytest.mark.parametrize("grammar", GRAMMARS)
@given(a_finding(), seeds)
def test_every_sentence_is_whole(grammar, finding, seed):
    text = describe(finding, np.random.default_rng(seed), grammar)
    assert re.fullmatch(r"[A-Z0-9][^{}]*[^ ,]\.", text)
    assert not re.search(r"  | [,.]|,,|\b[Aa] (?:8|11\b|18\b|[aeio])|\b[Aa]n (?!8|11\b|18\b|[aeiou])", text)


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        ("Cyst of 2.3 cm. in diameter. Spleen normal.", ["Cyst of 2.3 cm. in diameter.", "Spleen normal."]),
        ("Cyst in Couinaud segment VIII. Normal spleen.", ["Cyst in Couinaud segment VIII.", "Normal spleen."]),
        ("Lesion in segment 8. 2 cm cyst.", ["Lesion in segment 8.", "2 cm cyst."]),
        ("Nodule in seg. VIII, approx. 2 cm. No ascites.", ["Nodule in seg. VIII, approx. 2 cm.", "No ascites."]),
        ("1. Cyst. 2. Hemangioma in seg. 8. 3) Normal spleen.", ["Cyst.", "Hemangioma in seg. 8.", "Normal spleen."]),
        ("1. Cyst in the liver\n2. Stone\n - No ascites", ["Cyst in the liver", "Stone", "No ascites"]),
        ("No ascites; no lymph nodes.", ["No ascites", "no lymph nodes."]),
        ("Cyst in seg.\n8. No ascites.", ["Cyst in seg. 8.", "No ascites."]),
        ("A cyst in segment\n8. The spleen\nis normal.", ["A cyst in segment 8.", "The spleen is normal."]),
        (
            "TECHNIQUE: Three phases. 5 mm.\nFINDINGS:\r\nLiver: Cyst.\nStomach, bowel: Normal.\nIMPRESSION: Cyst.",
            ["Cyst.", "Normal."],
        ),
    ],
)  # fmt: skip
def test_reports_that_other_hands_wrote(text, findings):
    assert split_report(text) == findings


def test_findings_are_numbered_where_a_section_has_several():
    rng = np.random.default_rng(0)
    text = report_text(write_report([HCC, replace(HCC, kind="CYST")], ["spleen"], rng))
    assert re.fullmatch(r"FINDINGS:\nLiver: 1\. .+\. 2\. .+\.\nSpleen: [^0-9]+\.", text)


# ---- what a sentence says


@pytest.mark.parametrize("grammar", GRAMMARS)
def test_a_sentence_says_nothing_that_the_finding_does_not_tell(grammar):
    for text in many(HCC, grammar):
        assert {*re.findall(r"[\d.]+ [cm]m", text)} <= {"23 mm", "2.3 cm"}
        assert {*re.findall(r"\b[IVX]+\b", text)} <= {"VIII"}
        assert not re.search(r"left|caudate|isoatt|S[1-7]|hyperattenuating \w+ (?:the )?portal|kidney", text)
        assert not any(other in text for other in ("FNH", "cyst", "hemangioma", "metasta"))
    bare = many(replace(HCC, segment=0, attenuation={}), grammar)
    assert not any(re.search(r"segment|seg\.|lobe|S\d|phase|images|attenuating", text) for text in bare)


@pytest.mark.parametrize("grammar", GRAMMARS)
def test_wording_varies_in_size_place_phase_and_diagnosis(grammar):
    texts = many(HCC, grammar)
    for pattern in (r"23 mm", r"2\.3 cm", r"VIII", "hyperattenuating", "hypoattenuating", "HCC", "hepatocellular"):
        assert 0 < sum(bool(re.search(pattern, text)) for text in texts) < len(texts), pattern
    assert any(not re.search(r"VIII|\b8\b|S8|lobe", text) for text in texts)
    rng = np.random.default_rng(1)
    named = [bool(re.search("HCC|hepatocellular", describe(HCC, rng, grammar))) for _ in range(1000)]
    assert np.mean(named) == pytest.approx(0.5, abs=0.06)  # nearly 4 standard errors


def test_the_same_attenuation_in_all_phases_is_said_once():
    texts = many(replace(HCC, attenuation={"ART": "iso", "PV": "iso"}), "seen")
    assert any("isoattenuating in all phases" in text for text in texts)
    assert not any("arterial" in text or "portal" in text for text in texts)


@pytest.mark.parametrize(
    ("diameter", "starts"),
    [
        (0.3, {"A 1 mm", "A 0.1 cm"}),
        (8.0, {"An 8 mm", "A 0.8 cm"}),
        (11.2, {"An 11 mm", "A 1.1 cm"}),
        (18.0, {"An 18 mm", "A 1.8 cm"}),
        (81.0, {"An 81 mm", "An 8.1 cm"}),
        (110.0, {"A 110 mm", "An 11.0 cm"}),
    ],
)
def test_sizes_are_rounded_and_have_their_article(diameter, starts):
    texts = " ".join(many(replace(HCC, diameter=diameter), "seen"))
    assert {*re.findall(r"\bAn? [\d.]+ [cm]m", texts)} == starts


@pytest.mark.parametrize(("segment", "lobe"), [(1, "caudate"), (2, "left"), (4, "left"), (5, "right"), (8, "right")])
def test_segments_lie_in_their_lobes(segment, lobe):
    texts = " ".join(many(replace(HCC, segment=segment), "seen"))
    assert {*re.findall(r"(\w+) lobe", texts)} == {lobe}
    assert {*re.findall(r"segment ([IV]+)", texts)} == {ROMAN[segment - 1]}


# ---- the held-out grammar


def runs_of_three(grammar):
    """Runs of three words between slots, signs and names of classes, of all templates."""
    names = "|".join(CLASS_NAMES.values())
    every = itertools.chain.from_iterable(list_ for name, list_ in phrases(grammar).items() if name != "size")
    pieces = [
        piece.lower().split()
        for phrase in every
        for piece in re.split(rf"{{\w+}}|[,.():]|{names}", phrase, flags=re.IGNORECASE)
    ]
    return {tuple(p[i : i + 3]) for p in pieces for i in range(len(p) - 2)}


def test_the_grammars_share_no_template_and_no_run_of_three_words():
    seen, held_out = (set(itertools.chain(*phrases(g).values())) - set(phrases()["size"]) for g in GRAMMARS)
    assert min(len(seen), len(held_out)) > 40
    assert not seen & held_out
    assert not runs_of_three("seen") & runs_of_three("held_out")
    for kind, organ in KINDS.items():
        finding = Finding(kind=kind, organ=organ, diameter=15.0, **FACTS)
        assert not many(finding, "seen") & many(finding, "held_out")


@pytest.mark.parametrize("grammar", GRAMMARS)
def test_templates_can_be_filled(grammar):
    known = {"mm", "cm", "number", "roman", "lobe", "side", "NC", "ART", "PV", "DL", "all", "organ", "is", "diagnosis"}
    slots = {slot for phrase in itertools.chain(*phrases(grammar).values()) for slot in SLOT.findall(phrase)}
    assert slots <= known | phrases(grammar).keys()
    assert phrases(grammar).keys() >= {*KINDS, "negative"}


# ---- prompts, questions, controls


def test_prompts():
    assert [word_prompt(organ) for organ in ORGANS] == list(ORGANS)
    assert sentence_prompt("kidney") == "This CT slice shows the kidneys."
    assert sentence_prompt("spleen") == "This CT slice shows the spleen."


@pytest.mark.parametrize(("shown", "slice_index"), [("no", 2), ("yes", 3), ("yes", 9), ("no", 10)])
def test_questions_are_answered_from_the_finding_and_the_slice(shown, slice_index):
    answers = dict(question_answers(HCC, slice_index))
    assert answers.pop("Is hepatocellular carcinoma seen in this slice?") == shown
    told = {"liver", "segment VIII", "23 mm", "hyperattenuating", "hypoattenuating", "hepatocellular carcinoma"}
    assert {*answers.values()} == (told if shown == "yes" else set())


@given(a_finding(), seeds)
def test_nonsense_keeps_lengths_and_signs(finding, seed):
    text = describe(finding, np.random.default_rng(seed))
    other = nonsense(text, np.random.default_rng(seed))
    shape = [re.sub(r"[a-z]", "a", re.sub(r"[A-Z]", "A", re.sub(r"\d", "0", t))) for t in (text, other)]
    assert shape[0] == shape[1]
    assert not {w for w in text.split() if len(w) > 5} & set(other.split())


@pytest.mark.parametrize(
    ("organ", "new", "text", "swapped", "without"),
    [
        ("liver", "spleen", "Cyst in segment IV of the liver.", "Cyst in the spleen.", "Cyst in the organ."),
        ("liver", "spleen", "Cyst of hepatic seg. IV.", "Cyst of the spleen.", "Cyst of the organ."),
        ("liver", "kidney", "S8: likely HCC.", "The kidney: likely renal carcinoma.", "The organ: likely carcinoma."),
        ("liver", "lung", "Cyst within the left lobe.", "Cyst within the lung.", "Cyst within the organ."),
        ("kidney", "lung", "A cyst in the left kidney.", "A cyst in the left lung.", "A cyst in the organ."),
        ("kidney", "aorta", "A cyst in the left kidney.", "A cyst in the aorta.", "A cyst in the organ."),
        ("kidney", "heart", "The kidneys are normal.", "The heart is normal.", "The organ is normal."),
        ("spleen", "lung", "The spleen is normal.", "The lungs are normal.", "The organ is normal."),
        ("spleen", "lung", "A cyst in the spleen is big.", "A cyst in the lung is big.", "A cyst in the organ is big."),
        ("liver", "colon", "Extrahepatic, by the liver.", "Extrahepatic, by the colon.", "Extrahepatic, by the organ."),
        ("gallbladder", "esophagus", "A gallstone.", "An esophageal stone.", "A stone."),
        ("gallbladder", "urinary bladder", "No gallbladder.", "No urinary bladder.", "No organ."),
        ("thyroid gland", "colon", "The thyroid gland is normal.", "The colon is normal.", "The organ is normal."),
    ],
)  # fmt: skip
def test_organs_are_swapped_and_taken_away(organ, new, text, swapped, without):
    sentence = Sentence(text, 0, organ, "finding")
    assert swap_organ(sentence, new) == replace(sentence, text=swapped, organ=new)
    assert without_organ(sentence) == replace(sentence, text=without, organ="")


@pytest.mark.parametrize("grammar", GRAMMARS)
@given(reports)
def test_no_word_of_the_old_organ_is_left(grammar, case):
    findings, organs, seed = case
    roots = {"liver": r"liver|hepat|segment|seg\.|\bS\d|lobe|HCC|cholangio", "kidney": "kidney|renal"}
    roots |= {"spleen": "spleen|splen", "lung": "lung|pulmon|pleur", "gallbladder": "gallbl|gallst|cholelith"}
    for sentence in write_report(findings, organs, np.random.default_rng(seed), grammar):
        if not sentence.organ:
            assert without_organ(sentence) == sentence
            continue
        old = re.compile(roots.get(sentence.organ, sentence.organ), re.IGNORECASE)
        new = "pancreas" if sentence.organ != "pancreas" else "colon"
        assert old.search(sentence.text) or sentence.text.startswith(("Calculus", "A nodule"))
        assert not old.search(without_organ(sentence).text)
        swapped = swap_organ(sentence, new)
        assert not old.search(swapped.text)
        assert re.search("pancrea|colon", swapped.text, re.IGNORECASE)
        assert re.findall(r"[\d.]+ [cm]m", swapped.text) == re.findall(r"[\d.]+ [cm]m", sentence.text)


# ---- bad input


@pytest.mark.parametrize(
    "wrong",
    [
        lambda rng: write_report([], [], rng),
        lambda rng: write_report([], ["brain"], rng),
        lambda rng: write_report([HCC], [], rng, "unseen"),
        lambda rng: write_report([replace(HCC, organ="brain")], ["liver"], rng),
        lambda rng: write_report([replace(HCC, kind="abscess")], ["liver"], rng),
        lambda rng: write_report([replace(HCC, diameter=float("nan"))], [], rng),
        lambda rng: write_report([replace(HCC, segment=9)], [], rng),
        lambda rng: write_report([replace(HCC, side="middle")], [], rng),
        lambda rng: write_report([replace(HCC, attenuation={"PV": "dark"})], [], rng),
        lambda rng: without_organ(Sentence("A cyst.", 0, "brain", "finding")),
        lambda rng: split_report(" \n "),
        lambda rng: nonsense(" ", rng),
        lambda rng: swap_organ(Sentence("", 0, "liver", "finding"), "spleen"),
        lambda rng: swap_organ(Sentence("Ascites.", 0, "", "finding"), "spleen"),
        lambda rng: swap_organ(Sentence("A cyst of the liver.", 0, "liver", "finding"), "liver"),
        lambda rng: swap_organ(Sentence("A cyst of the liver.", 0, "liver", "finding"), "brain"),
        lambda rng: without_organ(Sentence(" ", 0, "liver", "finding")),
        lambda rng: word_prompt("brain"),
        lambda rng: sentence_prompt("brain"),
    ],
)
def test_bad_input_is_one_line(wrong):
    with pytest.raises(InputError) as error:
        wrong(np.random.default_rng(0))
    assert "\n" not in str(error.value)


@given(a_finding(), seeds, st.sampled_from(GRAMMARS))
def test_a_sentence_names_the_phases_that_it_was_filled_with(finding, seed, grammar):
    words = {"hyper": "hyperattenuating", "iso": "isoattenuating", "hypo": "hypoattenuating"}
    text = describe(finding, np.random.default_rng(seed), grammar)
    named = named_phases(text)
    said = sum(text.count(word) for word in words.values())
    assert set(named) <= set(finding.attenuation)
    assert len(named) == said or (said == 1 and not named)  # "in all phases"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("A cyst in the left kidney.", "A cyst in the right kidney."),
        ("Right-sided pleural fluid.", "Left-sided pleural fluid."),
        ("There is ascites.", "There is ascites."),
    ],
)
def test_the_other_side(text, wanted):
    assert other_side(Sentence(text, 0, "kidney", "finding")).text == wanted


@pytest.mark.parametrize("grammar", GRAMMARS)
@pytest.mark.parametrize("segment", range(1, 9))
def test_a_sentence_names_its_segment_or_its_lobe_or_none(segment, grammar):
    lobe = next(mine for mine in ((1,), (2, 3, 4), (5, 6, 7, 8)) if segment in mine)
    finding, rng = replace(HCC, segment=segment), np.random.default_rng(0)
    named = {named_segments(describe(finding, rng, grammar)) for _ in range(100)}
    assert named == {(segment,), lobe, ()}


@pytest.mark.parametrize(
    "text", ["A nodule of 8 mm in the liver.", "A cyst on the left.", "CT slices 5 to 7.", "Segments of the colon."]
)
def test_a_number_or_a_side_alone_names_no_segment(text):
    assert named_segments(text) == ()
