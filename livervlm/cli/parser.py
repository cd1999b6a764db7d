"""The commands and their arguments."""

import argparse
from collections.abc import Callable

from .. import __version__
from ..base.profiles import PROFILES
from ..scans.conventions import LIVER_VLM_CLASSES
from .data import import_, phantom
from .doctor import doctor
from .models import evaluate, predict, train
from .report import report
from .runs import reproduce
from .shared import NOT_FOR_DIAGNOSIS


def build_parser() -> argparse.ArgumentParser:
    """The whole command line.  Each command sets `run`, the function that carries it out."""
    parser = argparse.ArgumentParser(
        prog="livervlm",
        description=f"Liver-VLM on multi-phase CT of focal liver lesions. {NOT_FOR_DIAGNOSIS}",
    )
    parser.add_argument("--version", action="version", version=f"livervlm {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable, help: str, example: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name,
            help=help,
            description=help,
            epilog=f"example:\n  {example}\n\n{NOT_FOR_DIAGNOSIS}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(run=run)
        return sub

    _data(command)
    _models(command)
    _runs(command)
    sub = command("doctor", doctor, "Say what this machine can run, and what to do about the rest.", "livervlm doctor")
    sub.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _data(command: Callable[..., argparse.ArgumentParser]) -> None:
    sub = command(
        "phantom",
        phantom,
        "Make the phantom cohort of Table 1.",
        "livervlm phantom --out phantom.safetensors",
    )
    sub.add_argument("--out", required=True, metavar="FILE")
    sub.add_argument(
        "--studies", type=_at_least(4), metavar="N", help="write N patients as DICOM series into a folder instead"
    )
    sub.add_argument("--misregistered", action="store_true", help="same box in every phase, breathing uncorrected")
    _size(sub)
    _profile(sub)
    _seed(sub)

    sub = command(
        "import",
        import_,
        "Turn your own studies (DICOM or NIfTI, listed in a CSV) into a data set.",
        "livervlm import studies.csv --out mine.safetensors",
    )
    sub.add_argument("manifest", help="CSV: patient,label,NC,ART,PV,mask (or box); one lesion a row")
    sub.add_argument("--out", required=True, metavar="FILE")
    sub.add_argument(
        "--classes",
        type=_names,
        default=LIVER_VLM_CLASSES,
        metavar="A,B,...",
        help=f"the labels of the set, in this order (default {','.join(LIVER_VLM_CLASSES)})",
    )
    sub.add_argument("--groups", type=int, default=5, help="patient groups for cross-validation (default 5)")
    _size(sub)
    _profile(sub)
    _seed(sub)


def _models(command: Callable[..., argparse.ArgumentParser]) -> None:
    sub = command("train", train, "Train a model.", "livervlm train phantom.safetensors --leave-out 1 --out model")
    sub.add_argument("data", help="a data set made by `phantom` or `import`")
    sub.add_argument("--out", required=True, metavar="FOLDER")
    sub.add_argument("--leave-out", type=int, metavar="GROUP", help="keep this patient group for `evaluate`")
    sub.add_argument("--head", choices=("text", "prototypes", "fc"), default="text")
    sub.add_argument("--template", default="enriched", help="prompt template: simple, enriched, unordered or medical")
    _profile(sub)
    _seed(sub)

    sub = command(
        "predict",
        predict,
        "Answer for every slice of a data set.",
        "livervlm predict model mine.safetensors --out answers.csv",
    )
    sub.add_argument("model", help="a folder made by `train`")
    sub.add_argument("data")
    sub.add_argument("--out", required=True, metavar="FILE")

    sub = command(
        "evaluate",
        evaluate,
        "Score a model on patients it has not seen; without --model, cross-validate by patient group.",
        "livervlm evaluate phantom.safetensors --model model",
    )
    sub.add_argument("data")
    sub.add_argument("--model", help="a folder made by `train`")
    sub.add_argument("--records", metavar="FOLDER", help="keep each fold's record here; done folds are not run again")
    _profile(sub)
    _seed(sub)


def _runs(command: Callable[..., argparse.ArgumentParser]) -> None:
    sub = command(
        "reproduce",
        reproduce,
        "Run rows of the paper's tables and their controls on the phantom; the same command goes on where it stopped.",
        "livervlm reproduce --table 7 --profile smoke",
    )
    sub.add_argument("--list", action="store_true", help="say which rows there are, and run none")
    sub.add_argument("--table", type=int, choices=range(3, 10), help="the rows of one table")
    sub.add_argument("--set", help="the rows of one set: core, controls, encoders ...")
    sub.add_argument("--row", action="append", metavar="NAME", help="one row; may be given again")
    sub.add_argument(
        "--protocol",
        choices=("paper", "population", "development"),
        default="paper",
        help="paper: five folds of 85 patients; population: train on 85, test on many others; development: the same "
        "on patients of its own, with learning curves (default: paper)",
    )
    sub.add_argument("--cohorts", type=_at_least(1), default=1, metavar="N", help="number of cohorts (default 1)")
    _test_patients(sub)
    sub.add_argument("--out", default="results", metavar="FOLDER", help="where records are kept (default: results)")
    sub.add_argument("--jobs", type=_at_least(1), metavar="N", help="local processes (default: one a core)")
    sub.add_argument("--dask", metavar="ADDRESS", help="run on the workers of this Dask scheduler instead")
    _profile(sub)

    sub = command(
        "report",
        report,
        "Print every claim, the settings it was tested under, and its verdict, from the records.",
        "livervlm report --out results --profile smoke",
    )
    sub.add_argument("--out", metavar="FOLDER", help="records that `reproduce` left there (default: the book's own)")
    _test_patients(sub)
    _profile(sub, "that of the runs (default: the book's; with --out LIVERVLM_PROFILE, or smoke)")
    form = sub.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--csv", action="store_true", help="print CSV")


def _size(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--size", type=_at_least(8), help="side of a ROI in pixels (default: the profile's)")


def _profile(sub: argparse.ArgumentParser, help: str = "size of the run (default: LIVERVLM_PROFILE, or smoke)") -> None:
    sub.add_argument("--profile", choices=PROFILES, help=help)


def _seed(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--seed", type=_at_least(0), default=0)


def _test_patients(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--test-patients", type=_at_least(4), default=2000, metavar="N", help="of a pool (default 2000)")


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if len(names) < 2 or not all(names) or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"{text!r} is not two or more different names with commas between")
    return names


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} up")
        return int(text)

    return number
