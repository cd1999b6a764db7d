"""The commands and their arguments."""

import argparse
from collections.abc import Callable

from .. import __version__
from ..base.profiles import PROFILES
from ..scans.conventions import LIVER_VLM_CLASSES, PHASE_NAMES
from .audit import audit
from .data import import_, phantom, scan
from .demo import demo
from .detect import detect
from .doctor import doctor
from .find import find
from .models import evaluate, predict, train
from .report import report
from .runs import reproduce
from .segment import segment
from .shared import ANY, NOT_FOR_DIAGNOSIS


def at_least(least: int) -> Callable[[str], int]:
    """What reads a whole number from `least` up."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} up")
        return int(text)

    return number


def class_names(text: str) -> tuple[str, ...]:
    """Read "A,B,C"."""
    names = tuple(name.strip() for name in text.split(","))
    if len(names) < 2 or not all(names) or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"{text!r} is not two or more different names with commas between")
    return names


def phase_names(text: str) -> tuple[str, ...] | str:
    """Read "NC,PV", or "any"."""
    if text.strip() == ANY:
        return ANY
    names = class_names(text)
    if unknown := [name for name in names if name not in PHASE_NAMES]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(PHASE_NAMES)}")
    return names


def option(*names: str, **settings) -> tuple[tuple[str, ...], dict]:
    """An argument of a command, as `add_argument` takes it."""
    return names, settings


# Those of `runs.rows`, which is slow to import.
PROTOCOLS = ("paper", "population", "development", "inside", "inside-ten", "inside-again")
LAYOUTS = ("mct-ltdiag", "waw-tace", "hcc-tace-seg")  # of `studies.layouts`
DATA = option("data", help="a data set made by `phantom` or `import`")
OUT = option("--out", required=True, metavar="FILE", help="the file to write")
SIZE = option("--size", type=at_least(8), help="side of a ROI in pixels (default: the profile's)")
ONE_OF_THEM = {"choices": PROFILES, "metavar": "NAME"}
PROFILE = option(
    "--profile", **ONE_OF_THEM, help=f"size of the run: {', '.join(PROFILES)} (default: LIVERVLM_PROFILE, or smoke)"
)
SEED = option("--seed", type=at_least(0), default=0, help="of everything that is drawn (default 0)")
POOL = option("--test-patients", type=at_least(4), default=2000, metavar="N", help="of a pool (default 2000)")
COMMANDS = {
    phantom: (
        "Make the phantom cohort of Table 1.",
        "livervlm phantom --out phantom.safetensors",
        OUT,
        option("--studies", type=at_least(4), metavar="N", help="write N patients as DICOM series instead"),
        option("--misregistered", action="store_true", help="same box in every phase, breathing uncorrected"),
        *(SIZE, PROFILE, SEED),
    ),
    scan: (
        "Write a first table for `import` from a folder of DICOM or NIfTI: patients by keys, studies, proposed phases "
        "and masks, and what is doubtful. Edit it before you import it.",
        "livervlm scan archive --out studies.csv",
        option("folder", help="a tree of DICOM, NIfTI, NRRD or MHA files"),
        option("--out", default="studies.csv", metavar="CSV", help="a new table (default: studies.csv)"),
        option("--look", action="store_true", help="read each volume, too, so that its enhancement tells its phase"),
        option("--layout", choices=LAYOUTS, help="the folder is one of these public sets, as it is published"),
    ),
    import_: (
        "Turn your own studies (DICOM or NIfTI, listed in a CSV) into a data set, with a report of what was read and a "
        "key from its slices to the rows of the table; the same command goes on where it stopped.",
        "livervlm import studies.csv --out mine.safetensors",
        option("manifest", help="CSV: patient,label,NC,ART,PV,mask (or box); one lesion a row"),
        OUT,
        option("--classes", type=class_names, default=LIVER_VLM_CLASSES, metavar="A,B,...", help="the labels of the "
               f"set, in this order (default {','.join(LIVER_VLM_CLASSES)})"),
        option("--phases", type=phase_names, metavar="NC,ART,...", help="the phases of the set; a row that lacks one "
               "is left out (default: all in the table); any: all in the table, and a row needs two of them"),
        option("--groups", type=int, default=5, help="patient groups for cross-validation (default 5)"),
        option("--align", choices=("rigid", "bspline"), help="bring phases onto the one with the mask, by what moves "
               "with the lesion"),
        option("--accept-doubts", action="store_true", help="keep rows whose files contradict each other, and say so"),
        option("--jobs", type=at_least(1), metavar="N", help="processes (default: one a core, of few scans fewer)"),
        *(SIZE, PROFILE, SEED),
    ),
    audit: (
        "Look for what can mislead in a data set: copies, shortcuts, phases, values, folds. Exit status: 0 nothing but "
        "notes, 1 doubts, 2 errors, or a set that cannot be read.",
        "livervlm audit mine.safetensors --html audit.html",
        DATA,
        option("--metadata", metavar="CSV", help="columns: patient, its number; sex, age, scanner ..."),
        option("--html", metavar="FILE", help="write a page with pictures of the slices concerned"),
        option("--json", metavar="FILE", help="write the findings as JSON"),
    ),
    train: (
        "Train a model.",
        "livervlm train phantom.safetensors --leave-out 1 --out model",
        DATA,
        option("--out", required=True, metavar="FOLDER", help="the folder to write the model to"),
        option("--leave-out", type=int, metavar="GROUP", help="keep this patient group for `evaluate`"),
        option("--head", choices=("text", "prototypes", "fc"), default="text", help="what answers: the sentences of "
               "the classes, learned vectors in their place, or a linear layer (default: text)"),
        option("--template", default="enriched", help="prompt template: simple, enriched, unordered or medical "
               "(default: enriched)"),
        *(PROFILE, SEED),
    ),
    predict: (
        "Answer for every slice of a data set, and for each patient with the mean over its slices.",
        "livervlm predict model mine.safetensors --out answers.csv",
        *(option("model", help="a folder made by `train`"), DATA, OUT),
    ),
    evaluate: (
        "Score a model on patients it has not seen; without --model, cross-validate by patient group.",
        "livervlm evaluate phantom.safetensors --model model",
        DATA,
        option("--model", help="a folder made by `train`"),
        option("--records", metavar="FOLDER", help="keep each fold's record here (default: in the cache)"),
        *(PROFILE, SEED),
    ),
    find: (
        "Find the slices of a CT study that a sentence means.",
        'livervlm find study "a cyst in the right lobe"',
        option("study", help="a folder with one DICOM series, a NIfTI file, or a folder with NC, ART, PV, DL"),
        option("sentence", help="one finding, as a report would say it"),
        option("--selector", metavar="FOLDER", help="saved towers (default: those that the book ships)"),
        option("--out", default="found.png", metavar="FILE", help="the picture: .png, .jpg, .pdf or .svg (default: "
               "found.png)"),
    ),
    segment: (
        "Make a mask of the liver: by TotalSegmentator where it is installed with its weights, else by a smaller "
        "network that was taught on CT and MR.",
        "livervlm segment study --out liver.nii.gz",
        option("study", help="as for `find`; of several phases the last"),
        option("--out", default="liver.nii.gz", metavar="FILE", help="the mask, a .nii.gz on the volume's grid "
               "(default: liver.nii.gz)"),
        option("--fetch", action="store_true", help="get the network where it is not there yet: 27 MB, Apache-2.0; "
               "needs h5py"),
        option("--truth", metavar="FILE", help="a mask of the liver by hand; prints how well the two agree (Dice)"),
        option("--value", type=int, metavar="N", help="which label of --truth is the liver (default: all)"),
    ),
    detect: (
        "Find what looks like a liver lesion in a CT study, with a detector that was taught on a phantom.",
        "livervlm detect study --liver liver.nii.gz",
        option("study", help="a folder with one DICOM series, a NIfTI file, or a folder with NC, ART, PV, DL"),
        option("--liver", metavar="FILE", help="a mask of the liver, lesions included, as `segment` makes it; what "
               "lies outside is left out"),
        option("--model", metavar="FOLDER", help="a saved detector (default: the one that the book ships)"),
        option("--out", default="detected.png", metavar="FILE", help="the picture: .png, .jpg, .pdf or .svg (default: "
               "detected.png)"),
    ),
    demo: (
        "Take one patient through everything: the slice that the report means, the box, the lesion, two networks' "
        "answers, and one picture of it all.",
        "livervlm demo",
        option("study", nargs="?", help="as for `find` (default: a phantom patient with a report)"),
        option("--sentence", help="one finding, as a report would say it (default: the phantom's own)"),
        option("--liver", metavar="FILE", help="a mask of the study's liver, lesions included, as for `detect`; what "
               "lies outside is left out"),
        option("--out", default="demo.png", metavar="FILE", help="the picture: .png, .jpg, .pdf or .svg (default: "
               "demo.png)"),
    ),
    reproduce: (
        "Run rows of the paper's tables and their controls on the phantom; the same command goes on where it stopped.",
        "livervlm reproduce --table 7 --profile smoke",
        option("--list", action="store_true", help="say which rows there are, and run none"),
        option("--table", type=int, choices=range(3, 10), help="the rows of one table"),
        option("--set", help="the rows of one set: core, controls, encoders ..."),
        option("--row", action="append", metavar="NAME", help="one row; may be given again"),
        option("--protocol", choices=PROTOCOLS, default="paper", metavar="NAME", help="paper: five folds of 85 "
               "patients; population: train on 85, test on many others; development: the same on patients of its own, "
               "with learning curves; inside, inside-ten, inside-again: folds of a population's cohorts, five, ten, or "
               "five dealt again (default: paper)"),
        option("--cohorts", type=at_least(1), default=1, metavar="N", help="number of cohorts (default 1)"),
        option("--out", default="results", metavar="FOLDER", help="where records are kept (default: results)"),
        option("--jobs", type=at_least(1), metavar="N", help="local processes (default: one a core)"),
        option("--dask", metavar="ADDRESS", help="run on the workers of this Dask scheduler instead"),
        *(POOL, PROFILE),
    ),
    report: (
        "Print every claim, the settings it was tested under, and its verdict, from the records.",
        "livervlm report --out results --profile smoke",
        option("--out", metavar="FOLDER", help="records that `reproduce` left there (default: the book's own)"),
        option("--profile", **ONE_OF_THEM, help="of the runs (default: the book's; with --out the current one)"),
        option("--json", dest="form", action="store_const", const="json", help="print JSON"),
        option("--csv", dest="form", action="store_const", const="csv", help="print CSV"),
        POOL,
    ),
    doctor: ("Say what this machine can run, and what to do about the rest.", "livervlm doctor"),
}  # fmt: skip


def build_parser() -> argparse.ArgumentParser:
    """The whole command line.  Each command sets `run`, the function that carries it out."""
    about = f"Liver-VLM on multi-phase CT of focal liver lesions. {NOT_FOR_DIAGNOSIS}"
    parser = argparse.ArgumentParser(prog="livervlm", description=about)
    parser.add_argument("--version", action="version", version=f"livervlm {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for run, (help, example, *options) in COMMANDS.items():
        texts = {"help": help, "description": help, "epilog": f"example:\n  {example}\n\n{NOT_FOR_DIAGNOSIS}"}
        shape = argparse.RawDescriptionHelpFormatter
        sub = commands.add_parser(run.__name__.rstrip("_"), **texts, formatter_class=shape)
        sub.set_defaults(run=run)
        for names, settings in options:
            sub.add_argument(*names, **settings)
    return parser
