"""`Series`: a study as a key-slice selector meets it, with what its report says and where that is seen."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from safetensors import safe_open
from safetensors.numpy import save_file

from ..base.cache import changed, made_once
from ..base.paths import written_whole
from ..base.progress import bar
from ..scans.conventions import CANONICAL
from .abdomen import abdomen_study
from .abdomen_patients import VERSION, draw_abdomens
from .findings import ORGANS, Finding
from .patients import Knobs
from .sentences import GRAMMARS, Sentence, write_report


@dataclass(frozen=True, eq=False)
class Series:
    """S slices of a study in each of P phases, from the head down.

    hu: (S, P, H, W) int16.  spacing: mm between slices.  organ_area: (S, len(ORGANS)) mm^2.  finding_area: (S, F) mm^2.
    reports: grammar -> its sentences.  patient: a number.
    """

    hu: np.ndarray
    spacing: float
    organ_area: np.ndarray
    finding_area: np.ndarray
    findings: tuple[Finding, ...]
    reports: dict[str, tuple[Sentence, ...]]
    patient: int
    phases: tuple[str, ...] = CANONICAL

    def area(self, sentence: Sentence) -> np.ndarray:
        """(S,) mm^2 of what the sentence is about: its finding, or the organ that it calls unremarkable."""
        if sentence.finding is None:
            return self.organ_area[:, ORGANS.index(sentence.organ)]
        return self.finding_area[:, sentence.finding]

    def marked(self, sentence: Sentence) -> int:
        """The slice that a reader marks: where what the sentence is about is largest."""
        return int(self.area(sentence).argmax())

    def save(self, path: Path) -> None:
        about = {"spacing": self.spacing, "patient": self.patient, "phases": self.phases}
        about["findings"] = [asdict(one) for one in self.findings]
        about["reports"] = {grammar: [asdict(one) for one in report] for grammar, report in self.reports.items()}
        arrays = {"hu": self.hu, "organ_area": self.organ_area, "finding_area": self.finding_area}
        with written_whole(path) as temporary:
            save_file(arrays, temporary, {"about": json.dumps(about)})

    @classmethod
    def load(cls, path: Path) -> "Series":
        with safe_open(path, "numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dictionary
            about = json.loads(file.metadata()["about"])
        about["phases"] = tuple(about["phases"])
        findings = tuple(Finding(**one | {"slices": tuple(one["slices"])}) for one in about.pop("findings"))
        reports = {
            grammar: tuple(Sentence(**one) for one in report) for grammar, report in about.pop("reports").items()
        }
        return cls(**arrays, **about, findings=findings, reports=reports)


def make_series(
    seed: int,
    patients: int,
    size: int = 64,
    phases: Sequence[str] = CANONICAL,
    *,
    knobs: Knobs | None = None,
    jobs: int = 1,
    progress: bool = True,
) -> list[Series]:
    """The series of some patients, each made once and then read from the cache; patient i is the same in any number."""
    knobs = knobs or Knobs()
    todo = [delayed(_made)(seed, number, size, tuple(phases), knobs) for number in range(patients)]
    paths = bar(Parallel(jobs, return_as="generator")(todo), "abdomens", progress, total=patients)
    return [Series.load(path) for path in paths]


def _made(seed: int, number: int, size: int, phases: tuple[str, ...], knobs: Knobs) -> Path:
    settings = [VERSION, seed, number, size, phases, changed(knobs)]
    return made_once("series", settings, lambda path: scan_series(seed, number, size, phases, knobs).save(path))


def scan_series(seed: int, number: int, size: int, phases: Sequence[str], knobs: Knobs | None = None) -> Series:
    """Scan patient `number` of a seed and write the reports."""
    study = abdomen_study(draw_abdomens(seed, 1, knobs, first=number)[0], phases, size)
    square = study.spacing[1] * study.spacing[2]
    organs = np.stack([(study.organs == o + 1).sum(axis=(1, 2)) for o in range(len(ORGANS))], axis=1)
    marks = study.marks[study.reference]
    findings = [(marks == f + 1).sum(axis=(1, 2)) for f in range(len(study.findings))]
    area = np.stack(findings, axis=1) if findings else np.zeros((len(marks), 0))
    seen = [organ for o, organ in enumerate(ORGANS) if organs[:, o].any()]
    reports = {
        grammar: tuple(write_report(study.findings, seen, np.random.default_rng((seed, number, g)), grammar))
        for g, grammar in enumerate(GRAMMARS)
    }
    return Series(
        hu=np.stack([study.volumes[phase] for phase in phases], axis=1),
        spacing=study.spacing[0],
        organ_area=np.float32(organs * square),
        finding_area=np.float32(area * square),
        findings=study.findings,
        reports=reports,
        patient=number,
        phases=tuple(phases),
    )
