"""Reports: findings put into words by rules, whole reports split into findings again, and controls for a selector.

The paper on key slices (Bioengineering 2025) splits reports into findings by rules, its Appendix A.1, and asks for
organs by word and by sentence; its public copies print neither the rules nor the wording.  Ours are in
`data/sentences.json`: two grammars, "seen" for training and "held_out" for testing, which share no template.
"""

import functools
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..base.errors import InputError
from ..base.paths import data_file
from ..scans.conventions import CLASS_NAMES
from .findings import ORGANS, OTHER_KINDS, Finding

GRAMMARS = ("seen", "held_out")
ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII")
SLOT = re.compile(r"{(\w+)}")
SEGMENT = re.compile(
    r"\b(?:seg(?:ment|\.) ([1-8]|VIII|VII|VI|IV|V|III|II|I)|S([1-8])|(?:right|left|caudate) lobe)\b", re.IGNORECASE
)
# A full stop after one of these ends no sentence.
ABBREVIATIONS = ("seg", "segs", "approx", "ca", "cf", "diam", "e.g", "fig", "i.e", "incl", "max", "min", "resp", "vs")


@dataclass(frozen=True)
class Sentence:
    """One sentence of a report.

    finding: its place among the findings, None for a negative.  organ: one of `ORGANS`, "" for none.  kind: "finding"
    or "negative", which says of an organ that nothing is wrong with it.
    """

    text: str
    finding: int | None
    organ: str
    kind: str


@functools.cache
def _data() -> dict:
    return json.loads(data_file("sentences.json").read_text(encoding="utf-8"))


def phrases(grammar: str = "seen") -> dict[str, list[str]]:
    """Name of a slot, kind of finding or "negative" -> its phrases, equally likely."""
    if grammar not in GRAMMARS:
        raise InputError(f"grammar {grammar!r} is unknown: choose one of {', '.join(GRAMMARS)}")
    return _data()["shared"] | _data()["grammars"][grammar]


# ---- writing


def write_report(
    findings: Sequence[Finding], organs_seen: Iterable[str], rng: np.random.Generator, grammar: str = "seen"
) -> list[Sentence]:
    """A sentence for each finding, and a negative for each organ seen without one; in the order of a report.

    Raises `InputError` where a finding or an organ is none that can be put into words, or nothing is to be said.
    """
    organs_seen = set(organs_seen)
    if unknown := sorted(organs_seen - set(ORGANS)):
        raise InputError(f"organ {unknown[0]!r} is unknown: choose among {', '.join(ORGANS)}")
    for finding in findings:
        _known(finding)  # raises
    report = []
    for organ in (organ for _, organs in _data()["sections"] for organ in organs):
        there = [i for i, finding in enumerate(findings) if finding.organ == organ]
        report += [Sentence(describe(findings[i], rng, grammar), i, organ, "finding") for i in there]
        if organ in organs_seen and not there:
            text = _write("negative", _organ_words(organ), phrases(grammar), rng)
            report.append(Sentence(text, None, organ, "negative"))
    if not report:
        raise InputError("report: no findings and no organs seen; give one or the other")
    return report


def describe(finding: Finding, rng: np.random.Generator, grammar: str = "seen") -> str:
    """One finding in words, of one of the templates of its kind."""
    known, more = _known(finding), phrases(grammar)
    if finding.kind in CLASS_NAMES:
        return _write("lesion", known, more | {"diagnosis": more[finding.kind]}, rng)
    return _write(finding.kind, known, more, rng)


def _known(finding: Finding) -> dict[str, str]:
    """What a finding tells: slot -> text; what it does not tell has no slot."""
    kind, organ, segment = finding.kind, finding.organ, finding.segment
    if organ != ("liver" if kind in CLASS_NAMES else OTHER_KINDS.get(kind)):
        raise InputError(f"finding {kind!r} in organ {organ!r}: give a class in the liver, or a pair of OTHER_KINDS")
    if not 0 < finding.diameter < np.inf or segment not in range(9):
        raise InputError(f"finding {kind!r}: diameter {finding.diameter} mm, segment {segment}: above 0; 0 to 8")
    if finding.side not in ("", "left", "right") or set(finding.attenuation.values()) - _data()["attenuation"].keys():
        raise InputError(f"finding {kind!r}: side {finding.side!r}, {dict(finding.attenuation)}: see `Finding`")
    words = {phase: _data()["attenuation"][a] for phase, a in finding.attenuation.items()}
    if len(words) > 1 and len(set(words.values())) == 1:
        words = {"all": next(iter(words.values()))}
    if segment:
        words |= {"number": str(segment), "roman": ROMAN[segment - 1], "lobe": _data()["lobes"][segment - 1]}
    diameter = max(finding.diameter, 1.0)  # nobody reports 0 mm
    sizes = {"mm": f"{diameter:.0f}", "cm": f"{diameter / 10:.1f}"}
    told = {"kind": CLASS_NAMES.get(kind, kind).lower(), "organ": organ, "side": finding.side}
    return words | sizes | {slot: text for slot, text in told.items() if text}


def _write(name: str, known: dict[str, str], more: dict[str, list[str]], rng: np.random.Generator) -> str:
    """One of the phrases of a name, its slots filled."""
    able = [phrase for phrase in more[name] if _can(phrase, known, more)]
    phrase = able[rng.integers(len(able))]
    filled = SLOT.sub(lambda slot: known.get(slot[1]) or _write(slot[1], known, more, rng), phrase)
    return _tidy(filled) if phrase.endswith(".") else filled


def _can(phrase: str, known: dict[str, str], more: dict[str, list[str]]) -> bool:
    """Whether all slots of a phrase can be filled."""
    return all(
        slot in known or any(_can(one, known, more) for one in more.get(slot, [])) for slot in SLOT.findall(phrase)
    )


def _tidy(text: str) -> str:
    """One space between words, a or an as it is spoken, a capital at the start."""
    text = re.sub(r" +(?=[ ,.:])", "", text).strip()
    text = re.sub(r"\b([Aa])n? (?=\w)", r"\1 ", text)
    text = re.sub(r"\b([Aa]) (?=8|11\b|18\b|[aeio]|un(?!i))", r"\1n ", text)
    return text[:1].upper() + text[1:]


def _organ_words(organ: str) -> dict[str, str]:
    """An organ as a report speaks of it: both kidneys, both lungs."""
    if organ not in ORGANS:
        raise InputError(f"organ {organ!r} is unknown: choose among {', '.join(ORGANS)}")
    plural = _data()["organs"][organ].get("plural")
    return {"organ": plural or organ, "is": "are" if plural else "is"}


def word_prompt(organ: str) -> str:
    """The organ's name."""
    return _data()["prompts"]["word"].format_map(_organ_words(organ) | {"organ": organ})


def sentence_prompt(organ: str) -> str:
    """A sentence that says that a slice shows the organ."""
    return _data()["prompts"]["sentence"].format_map(_organ_words(organ))


def question_answers(finding: Finding, slice_index: int) -> list[tuple[str, str]]:
    """Questions on a slice with their answers: whether it shows the finding and, if so, all that the finding tells."""
    known = _known(finding)
    shown = finding.slices[0] <= slice_index <= finding.slices[1]
    article = "" if finding.kind in ("FNH", "HCC", "ICC", "ascites") else "a "
    pairs = [(_tidy(f"is {article}{known['kind']} seen in this slice?"), "yes" if shown else "no")]
    if shown:
        pairs += [(q, a.format_map(known)) for q, a in _data()["questions"] if _can(a, known, {})]
    return pairs


def named_phases(text: str) -> tuple[str, ...]:
    """The phases that a sentence names, in their order; none where it speaks of all or of none."""
    return tuple(phase for phase, words in _data()["phases"].items() if re.search(words, text, re.IGNORECASE))


def named_segments(text: str) -> tuple[int, ...]:
    """The segments of the liver, 1 to 8, that a sentence leaves possible by naming one or a lobe; else none."""
    found = SEGMENT.search(text)
    if not found:
        return ()
    if name := next(filter(None, found.groups()), None):
        return (int(name) if name.isdigit() else ROMAN.index(name.upper()) + 1,)
    return tuple(i for i, lobe in enumerate(_data()["lobes"], 1) if lobe == found[0].lower())


# ---- a whole report


def report_text(sentences: Sequence[Sentence]) -> str:
    """The report as it stands on paper: a headed line for each section, findings numbered where there are several."""
    lines = ["FINDINGS:"]
    for heading, organs in _data()["sections"]:
        mine = [s for s in sentences if s.organ in organs]
        several = sum(s.kind == "finding" for s in mine) > 1
        texts = [f"{i}. {s.text}" if several else s.text for i, s in enumerate(mine, 1)]
        lines += [f"{heading}: {' '.join(texts)}"] if mine else []
    return "\n".join(lines)


def split_report(text: str) -> list[str]:
    """Single findings, negatives too, in the order of the text.

    Rules: where there is a heading FINDINGS, what stands under it up to the next heading in capitals, else all; a
    blank line, a heading, a number ("2. ", "2) ") or a dash at the start of an item, and a semicolon end what stands
    before; so does a full stop before a space and a capital or digit, unless after one of `ABBREVIATIONS`.  A decimal
    point is before no space.  Headings, numbers and dashes are left out.
    """
    text = "\n".join(line.strip() for line in text.splitlines())
    under = re.search(r"^FINDINGS:?(.*?)(?=^[A-Z][A-Z /]+(?::|$)|\Z)", text, flags=re.DOTALL | re.MULTILINE)
    not_after = "".join(rf"(?<!\b(?i:{re.escape(word)})\.)" for word in ABBREVIATIONS)
    item = r"^(?<!segment\n)(?<!seg\.\n)(?:[-*•]|\d{1,2}[.)]|[A-Z][A-Za-z, ]{1,30}:)(?=\s)"
    body = re.sub(item, "\n\n", under[1] if under else text, flags=re.MULTILINE)
    body = re.sub(rf"(?:(?<=\n\n)|(?<=[.;]){not_after})\s*\b\d{{1,2}}[.)] (?=[A-Z0-9])", "\n\n", body)
    parts = re.split(rf"\n\n|;|(?<=[.!?]){not_after}\s+(?=[A-Z0-9(])", body)
    findings = [" ".join(part.split()) for part in parts]
    if not any(findings):
        raise InputError("report: no finding in the text; give the text of a report")
    return [finding for finding in findings if finding]


# ---- controls: what is left for a selector when words are taken away


def nonsense(text: str, rng: np.random.Generator) -> str:
    """Random letters for letters and digits for digits; lengths, capitals, spaces and punctuation stay."""
    if not text.strip():
        raise InputError("sentence: is empty; give one with words")
    letters = "abcdefghijklmnopqrstuvwxyz"
    kinds = ((str.isdigit, "0123456789"), (str.isupper, letters.upper()), (str.isalpha, letters))
    signs = (next((of[rng.integers(len(of))] for is_kind, of in kinds if is_kind(sign)), sign) for sign in text)
    return "".join(signs)


def swap_organ(sentence: Sentence, organ: str) -> Sentence:
    """The same said of another organ: its name, its adjective and what else tells it, such as a segment."""
    _organ_words(organ)  # is it known?
    if sentence.organ in ("", organ):
        raise InputError(f"sentence of organ {sentence.organ!r}: {organ!r} cannot take its place; give another organ")
    words = _data()["organs"][organ]
    return _with_organ(sentence, organ, organ, words.get("plural"), words["adjective"])


def without_organ(sentence: Sentence) -> Sentence:
    """The same without a word of which organ it is; a sentence of no organ stays as it is."""
    return _with_organ(sentence, "", "organ", None, "") if sentence.organ else sentence


def other_side(sentence: Sentence) -> Sentence:
    """The same said of the other side; a sentence that names none stays as it is."""
    swap = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}
    return replace(sentence, text=re.sub(r"\b(left|right)\b", lambda m: swap[m[0]], sentence.text, flags=re.IGNORECASE))


def _with_organ(sentence: Sentence, organ: str, noun: str, plural: str | None, adjective: str) -> Sentence:
    if not sentence.text.strip():
        raise InputError("sentence: is empty; give one with words")
    _organ_words(sentence.organ)  # is it known?
    old = _data()["organs"][sentence.organ]
    side = "(?:(?:left|right) )?"
    names = "|".join(re.escape(name) for name in (old.get("plural"), sentence.organ) if name)
    rules = [
        *old.get("terms", []),
        [rf"^The (?:{names}) (?:is|are)", f"The {plural or noun} {'are' if plural else 'is'}"],
        [rf"(?:{names})" if plural else f"{side}(?:{names})", "{organ}"],
        [old["adjective"] if plural else side + old["adjective"], "{adjective}"],
    ]

    def put(match: re.Match) -> str:
        form = next(form for pattern, form in rules if re.fullmatch(pattern, match[0], re.IGNORECASE))
        return form.format(organ=noun, adjective=adjective)

    every = "|".join(pattern for pattern, _ in rules)  # so that no inserted name is replaced
    text = re.sub(rf"\b(?:{every})(?!\w)", put, sentence.text, flags=re.IGNORECASE)
    return replace(sentence, text=_tidy(text), organ=organ)
