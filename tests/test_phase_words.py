"""Which phases the words of a series name, in several languages."""

import pytest

from livervlm.scans.conventions import PHASE_NAMES
from livervlm.studies.phase_words import named_phases

NOTHING = frozenset(PHASE_NAMES)


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        (
            "NC",
            "Abdomen nativ 5.0 B30s|ohne KM|sans injection|ABD WO|non-contrast|Plain|w/o contrast|senza mdc|nc.nii.gz",
        ),
        (
            "NC",
            "unenhanced|C-pre|pre contrast|zonder contrast|bez kontrastu|平扫|нативная фаза|sin contraste|Abd 3.0 nat",
        ),
        ("ART", "ART|Leber spätarteriell|late arterial|Temps artériel|fase arteriosa tardiva|AP|C+A|动脉期|35s|hap"),
        ("ART", "case_0001_art.nii.gz|ART1 5mm|артериальная фаза|arterieel"),
        (
            "PV",
            "PV|PVP|portovenös 3.0 B31s|Temps portal|Venous 70s delay|VEN|C+V|门静脉期|post contrast portal|pv.nii.gz",
        ),
        ("PV", "Abdomen KM venös|венозная|con contraste fase venosa|early portal"),
        (
            "DL",
            "delayed|Spätphase|tardif|late|equilibrium|d'équilibre|5 min|Delay 180s|延迟期|отсроченная|fase tardiva|dl",
        ),
    ],
)
def test_words_of_several_languages_name_a_phase(phase, words):
    for one in words.split("|"):
        assert named_phases(one) == {phase}, one


@pytest.mark.parametrize(
    "words",
    [
        "",
        "Abdomen 5.0 B30s",
        "Abdomen 1.0 I70s",
        "CT AP",
        "ABD AP",
        "pre-op",
        "post op abdomen",
        "Posterior abdomen",
        "artefact MAR",
        "portable",
        "with and without contrast",
        "CT ABD W WO",
        "ohne und mit KM",
        "without MAR",
        "without oral contrast",
        "heart",
        "0.5s",
    ],
)
def test_words_that_only_look_like_a_phase_name_none(words):
    assert named_phases(words) == NOTHING


def test_words_may_leave_several_phases():
    assert named_phases("post contrast") == named_phases("Abdomen mit KM") == named_phases("+C") == NOTHING - {"NC"}
    assert named_phases("arteriell + portalvenös") == {"ART", "PV"}
    assert named_phases("veineux tardif") == named_phases("spätvenös") == {"PV", "DL"}
