"""Which phase is a series?  The model of `studies.which_phase`, taught and tested on whole phantom abdomens.

The plan, `data/results/which_phase.md`, was written before the record.  For teaching and research, not for diagnosis.
"""

import argparse
import itertools
import json
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ..base.errors import InputError
from ..base.paths import written_whole
from ..base.progress import bar
from ..phantom.abdomen import AbdomenStudy, abdomen_study, draw_abdomens
from ..phantom.abdomen_patients import VERSION, AbdomenPatient
from ..phantom.patients import Knobs
from ..runs.records import code_provenance, write_record
from ..scans.seeds import seed_of
from ..studies.phase_picture import FEATURES, picture_features
from ..studies.which_phase import DAY, PHASES, Clue, Model, decide, inputs

TAUGHT, TESTED = 90, 40  # studies
SIZE = 96  # pixels a side, of 4 to 5 mm: what features are read from is as coarse
C = 10.0  # of the logistic regression
FOLDS = 5
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
RIGHT = 0.98  # share that shall be right of what is answered
VAGUE = 0.25  # share of series whose words name no phase
WORDS = {
    "NC": ("Abdomen nativ", "ABD WO CONTRAST", "Plain liver 5mm", "sans injection", "C-pre", "NC_5.0_B30f"),
    "ART": ("Leber arteriell 3.0", "ABD ART PHASE", "Temps artériel", "C+A", "Late arterial 1.5", "hepatic art 35s"),
    "PV": ("Leber portalvenös", "ABD PV 70s", "Temps portal", "C+V", "VENOUS PHASE", "Abd venosa 5.0 I30f"),
    "DL": ("Leber Spätphase", "ABD DELAYED", "Temps tardif", "Delay 5 min", "Equilibrium phase", "tardiva 3.0"),
}
NO_PHASE = ("Abdomen 5.0 B30s", "CT AP", "post contrast abdomen", "3-Phasen-Leber", "")
AS_TAUGHT, LATE, EARLY, UNSEEN = "as taught", "late arterial", "early portal", "unseen scanner"
MOVED = {LATE: "ART", EARLY: "PV"}
PICTURE, WORD, TIME, SWAPPED, ALONE = "picture", "words", "time", "words swapped", "each series alone"
WAYS = (  # of judging a study: what is known of its series
    (PICTURE, ALONE),
    (PICTURE,),
    (PICTURE, TIME),
    (WORD,),
    (WORD, TIME, PICTURE),
    (SWAPPED, TIME),
    (SWAPPED, PICTURE),
    (SWAPPED, TIME, PICTURE),
)


@dataclass(frozen=True)
class Acquired:
    """How a study was acquired, against the phantom's tables.

    dose: factor on what tissues gain since NC, as of iodine at another tube voltage.  late: how far ART is moved on its
    way to PV.  early: how far PV is moved back to ART.  waning: how far DL is moved back to PV.  marrow: HU more in all
    phases.  noise, point_spread, noise_cutoff: factors.
    """

    dose: float
    late: float
    early: float
    waning: float
    marrow: float
    noise: float
    point_spread: float
    noise_cutoff: float

    @classmethod
    def usual(cls, rng: np.random.Generator) -> "Acquired":
        """One of the acquisitions that teach."""
        dose, noise, spread = np.exp(rng.normal(0, (0.12, 0.25, 0.12))).tolist()
        late, early, waning, cutoff = rng.uniform((-0.1, -0.1, 0, 0.85), (0.2, 0.15, 0.25, 1.15)).tolist()
        return cls(dose, late, early, waning, rng.normal(0, 40), noise, spread, cutoff)

    def but(self, condition: str, rng: np.random.Generator) -> "Acquired":
        """The same beyond those that teach."""
        far = rng.uniform(0.3, 0.5)
        return {
            AS_TAUGHT: self,
            LATE: replace(self, late=far),
            EARLY: replace(self, early=far),
            UNSEEN: replace(self, dose=1.35, noise=1.8, point_spread=0.65, noise_cutoff=1.4),
        }[condition]

    def of(self, patient: AbdomenPatient) -> AbdomenPatient:
        """The patient as this acquisition shows them."""
        hu, base = {}, patient.base
        for tissue, (nc, art, pv, dl) in base.hu.items():
            moved = [nc, art + self.late * (pv - art), pv + self.early * (art - pv), dl + self.waning * (pv - dl)]
            hu[tissue] = [nc + self.dose * (level - nc) + self.marrow * (tissue == "marrow") for level in moved]
        factors = {
            name: getattr(base, name) * getattr(self, name) for name in ("noise", "point_spread", "noise_cutoff")
        }
        return replace(patient, base=replace(base, hu=hu, **factors))


# What is drawn


def drawn_study(use: str, number: int, conditions: Sequence[str]) -> dict[str, dict[str, list[float] | None]]:
    """Features of one study, condition -> phase -> as `picture_features` has them; of its own hospital and patient.

    A shift of one phase's timing leaves the others as they were.  All series of a study reach equally far.
    """
    seed = seed_of(use, number)
    rng = np.random.default_rng((seed, zlib.crc32(b"acquired")))
    patient, usual, ends = draw_abdomens(seed, 1, Knobs(uncertain=True))[0], Acquired.usual(rng), rng.random(2)
    found: dict[str, dict[str, list[float] | None]] = {}
    for condition in conditions:
        phases = (MOVED[condition],) if condition in MOVED else PHASES
        study = abdomen_study(usual.but(condition, rng).of(patient), phases, SIZE)
        reach = scanned(study, ends)
        told = {p: picture_features(study.volumes[p][reach], study.spacing) for p in phases}
        mine = {p: None if f is None else np.round(f.astype(float), 1).tolist() for p, f in told.items()}
        found[condition] = found.get(AS_TAUGHT, {}) | mine
    return found


def scanned(study: AbdomenStudy, ends: np.ndarray) -> slice:
    """Slices of a scan that ends anywhere from neck to pelvis, and misses up to 30 % of the liver at either end."""
    liver = np.flatnonzero(study.organ("liver").any(axis=(1, 2)))
    missed = 0.3 * len(liver)
    first, last = ends * [liver[0] + missed, len(study.organs) - liver[-1] + missed]
    return slice(int(first), len(study.organs) - int(last))


def drawn_studies(use: str, n: int, conditions: Sequence[str], jobs: int = 1, progress: bool = True) -> list[dict]:
    """`drawn_study` of numbers 0 to n - 1."""
    todo = (delayed(drawn_study)(use, number, conditions) for number in range(n))
    return list(bar(Parallel(jobs, return_as="generator")(todo), f"studies: {use}", progress, total=n))


# Teaching


def teach(studies: Sequence[Mapping]) -> tuple[Model, pd.DataFrame]:
    """The model, and what each threshold answers of studies that were held out in turn, judged a series at a time.

    The threshold is the lowest from which on `RIGHT` of the answers are right, else the highest.
    """
    rows = [(number, k, one[AS_TAUGHT][p]) for number, one in enumerate(studies) for k, p in enumerate(PHASES)]
    study, phase, features = zip(*(row for row in rows if row[2] is not None), strict=True)
    x, phase = inputs(np.array(features)), np.array(phase)
    fitted = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=5000))
    held_out = cross_val_predict(fitted, x, phase, groups=study, cv=GroupKFold(FOLDS), method="predict_proba")
    right = held_out.argmax(axis=1) == phase
    answered = held_out.max(axis=1)[:, None] >= THRESHOLDS
    table = pd.DataFrame({"answered": answered.mean(axis=0), "n": len(phase)}, index=THRESHOLDS)
    table["right of these"] = [right[one].mean() for one in answered.T]
    enough = table.index[table["right of these"] >= RIGHT]
    fitted.fit(x, phase)
    scaler, regression = fitted[0], fitted[1]
    threshold = float(enough[0] if len(enough) else THRESHOLDS[-1])
    numbers = (scaler.mean_, scaler.scale_, regression.coef_, regression.intercept_)
    return Model(*(np.round(each, 5) for each in numbers), threshold), table


# Testing


def clues(rng: np.random.Generator, phases: Sequence[str]) -> tuple[list[str], list[str], list[float]]:
    """Words that mostly name the phases, words that all do, and seconds since midnight of some series of a study."""
    told = [str(rng.choice(WORDS[p])) for p in phases]
    vague = [str(rng.choice(NO_PHASE)) if rng.random() < VAGUE else one for one in told]
    injected = rng.uniform(0, DAY)
    after = {
        "NC": -rng.uniform(60, 400),
        "ART": rng.uniform(25, 42),
        "PV": rng.uniform(60, 85),
        "DL": rng.uniform(170, 320),
    }
    return vague, told, [(injected + after[p]) % DAY for p in phases]


def judged(studies: Sequence[Mapping], model: Model) -> pd.DataFrame:
    """Every study of two to four phases, judged every way under every condition; a line a series.

    Columns: condition, way, study, phase, answer ("" where left open), doubted, told ("" or another's phase that its
    words name).
    """
    lines = []
    for number, one in enumerate(studies):
        for condition, features in one.items():
            rng = np.random.default_rng((seed_of("which phase pool", number), zlib.crc32(b"clues")))
            sets = [s for n in (2, 3, 4) for s in itertools.combinations(PHASES, n) if MOVED.get(condition, s[0]) in s]
            phases = sets[rng.integers(len(sets))]
            vague, named, seconds = clues(rng, phases)
            a, b = rng.choice(len(phases), 2, replace=False)
            swapped, told = list(named), [""] * len(phases)
            swapped[a], swapped[b], told[a], told[b] = named[b], named[a], phases[b], phases[a]
            for way in WAYS:
                words = swapped if SWAPPED in way else vague if WORD in way else [""] * len(phases)
                known = [Clue(w, s if TIME in way else None) for w, s in zip(words, seconds, strict=True)]
                seen = [None if f is None or PICTURE not in way else np.array(f) for f in map(features.get, phases)]
                if ALONE in way:
                    guesses = [decide([k], [f], model)[0] for k, f in zip(known, seen, strict=True)]
                else:
                    guesses = decide(known, seen, model)
                of = told if SWAPPED in way else [""] * len(phases)
                lines += [
                    (condition, ", ".join(way), number, phase, guess.phase or "", bool(guess.doubts), other)
                    for phase, guess, other in zip(phases, guesses, of, strict=True)
                ]
    return pd.DataFrame(lines, columns=["condition", "way", "study", "phase", "answer", "doubted", "told"])


def summary(lines: pd.DataFrame) -> pd.DataFrame:
    """By condition and way, of `judged`'s series: their number n, and shares in percent.

    open: left open.  right: of what is answered.  doubted: with a doubt, those left open among them.  silently wrong:
    answered wrong without a doubt.  Where words are swapped, of the series whose words are another's.  The lines
    "ART alone" and "PV alone" are the series whose timing was moved.
    """
    swapped = lines["way"].str.contains(SWAPPED)
    lines = lines[~swapped | (lines["told"] != "")]
    moved = lines[lines["phase"] == lines["condition"].map(MOVED)]
    lines = pd.concat([lines, moved.assign(condition=moved["condition"] + ": " + moved["phase"])])
    answered, right = lines["answer"] != "", lines["answer"] == lines["phase"]
    told = lines.assign(open=~answered, right=right.where(answered), silent=answered & ~right & ~lines["doubted"])
    columns = {"open": "open", "right": "right", "doubted": "doubted", "silent": "silently wrong"}
    groups = told.groupby(["condition", "way"])
    table = (100 * groups[list(columns)].agg(lambda one: one.astype(float).mean())).rename(columns=columns).round(1)
    return table.assign(n=groups.size())


# The record


def kept(lines: pd.DataFrame) -> list[dict[str, str]]:
    """The lines of `judged` for a record: a part for each condition and way, its columns in one string each."""
    text = lines.replace({"answer": {"": "-"}, "told": {"": "-"}}).assign(doubted=lines["doubted"].astype(int))
    return [
        {"condition": condition, "way": way} | {name: " ".join(part[name].astype(str)) for name in text.columns[2:]}
        for (condition, way), part in text.groupby(["condition", "way"], sort=False)
    ]


def lines_of(record: Mapping[str, Any]) -> pd.DataFrame:
    """The lines of a record, as `judged` gives them."""
    parts = [
        pd.DataFrame({name: text if name in ("condition", "way") else text.split(" ") for name, text in part.items()})
        for part in record["lines"]
    ]
    lines = pd.concat(parts, ignore_index=True).replace({"answer": {"-": ""}, "told": {"-": ""}})
    return lines.assign(study=lines["study"].astype(int), doubted=lines["doubted"] == "1")


def make(folder: Path, taught: int = TAUGHT, tested: int = TESTED, jobs: int = 1, progress: bool = True) -> None:
    """Teach the model, test it, and write `which_phase.json` and `results/which_phase.json` into a folder."""
    start = time.process_time()
    model, thresholds = teach(drawn_studies("which phase", taught, [AS_TAUGHT], jobs, progress))
    pool = drawn_studies("which phase pool", tested, [AS_TAUGHT, LATE, EARLY, UNSEEN], jobs, progress)
    lines = judged(pool, model)
    about = code_provenance("livervlm", "numpy", "scipy", "scikit-learn")
    told = {name: getattr(model, name).tolist() for name in ("mean", "sd", "coef", "intercept")}
    with written_whole(folder / "which_phase.json") as temporary:
        text = {"phases": PHASES, "features": FEATURES, **told, "threshold": model.threshold, "taught on": taught}
        temporary.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")
    table = summary(lines).reset_index().replace({np.nan: None})
    write_record(
        folder / "results" / "which_phase.json",
        {
            **about,
            "settings": {"size": SIZE, "C": C, "threshold": model.threshold, "vague": VAGUE},
            "data": {"source": {"kind": "phantom", "room": "abdomen", "version": str(VERSION)}, "phases": PHASES}
            | {"studies": {"taught": taught, "tested": tested}},
            "thresholds": thresholds.round(4).reset_index(names="threshold").to_dict("list"),
            "pool": pool,
            "lines": kept(lines),
            "summary": table.to_dict("list"),
            "seconds": round(time.process_time() - start, 1),
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m livervlm.analyses.which_phase", description=make.__doc__)
    parser.add_argument("--out", metavar="FOLDER", type=Path, required=True, help="`data`, for the book's own")
    parser.add_argument("--taught", type=int, default=TAUGHT, help="studies; the plan's number by default")
    parser.add_argument("--tested", type=int, default=TESTED, help="studies; the plan's number by default")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()
    try:
        make(options.out, options.taught, options.tested, options.jobs)
    except InputError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
