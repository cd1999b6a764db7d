"""The command line: `livervlm phantom | import | train | predict | evaluate | reproduce`.

Heavy imports stay inside the commands, so that `--help` is quick.
"""

import argparse
import os
import sys
from pathlib import Path

from . import __version__
from .errors import InputError
from .profiles import PROFILES, Profile, current_profile, get_profile

NOT_FOR_DIAGNOSIS = "For teaching and research, not for diagnosis."


def main(argv: list[str] | None = None) -> int:
    """Run one command.  Bad input is one line on standard error and exit status 2."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
        sys.stdout.flush()  # here, where a closed pipe can be caught
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing more to flush at exit
        return 1
    except (InputError, OSError) as error:  # OSError: a full disk, a folder where a file should be
        print(f"livervlm: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("livervlm: interrupted; the same command goes on where it can", file=sys.stderr)
        return 130
    return 0


def phantom(arguments: argparse.Namespace) -> None:
    from .phantom import make_cohort

    if arguments.studies:
        return _write_studies(arguments)
    size = arguments.size or _profile(arguments).size
    lesions = make_cohort(seed=arguments.seed, size=size, aligned=not arguments.misregistered)
    lesions.save(arguments.out)
    print(f"{arguments.out}: {_describe(lesions)}")


def _write_studies(arguments: argparse.Namespace) -> None:
    """The phantom's patients as scans on disk, with the table that `import` reads."""
    import pandas as pd

    from .paths import folder_written_whole
    from .phantom import draw_patients, phantom_study
    from .progress import bar
    from .studies import write_study

    out = Path(arguments.out)
    if out.exists():
        raise InputError(f"{out}: already there; name a new folder")
    rows = []
    with folder_written_whole(out) as new:
        for number, patient in enumerate(bar(draw_patients(arguments.seed, arguments.studies), "studies"), start=1):
            name = f"p{number:03d}"
            files = write_study(phantom_study(patient), new / name, "dicom")
            columns = {column: str(file.relative_to(new)) for column, file in files.items()}
            rows.append({"patient": name, "label": patient.kind, "group": patient.group, **columns})
        pd.DataFrame(rows).to_csv(new / "studies.csv", index=False)
    print(f"{out}: DICOM series of {len(rows)} phantom patients; `livervlm import {out / 'studies.csv'}` reads them")


def import_(arguments: argparse.Namespace) -> None:
    from .studies import import_studies

    size = arguments.size or _profile(arguments).size
    lesions = import_studies(arguments.manifest, size, n_groups=arguments.groups, seed=arguments.seed)
    lesions.save(arguments.out)
    print(f"{arguments.out}: {_describe(lesions)}")


def train(arguments: argparse.Namespace) -> None:
    import numpy as np

    from .experiments import config_for, provenance, train_model
    from .lesions import LesionSet

    profile, out = _profile(arguments), Path(arguments.out)
    lesions = LesionSet.load(arguments.data)
    held_out = arguments.leave_out
    if held_out is not None and held_out not in lesions.group:
        groups = ", ".join(map(str, np.unique(lesions.group)))
        raise InputError(f"{arguments.data}: no group {held_out} to leave out; its groups are {groups}")
    index = np.flatnonzero(lesions.group != held_out) if held_out is not None else np.arange(len(lesions))
    if len(index) < 2:
        raise InputError(f"{arguments.data}: {len(index)} slices are left to train on; leave out another group")
    if out.exists() and not (out / "config.json").exists():
        raise InputError(f"{out} exists and is not a model; choose another --out")
    config = config_for(lesions, profile, head=arguments.head, template=arguments.template)
    checkpoint = out.with_name(f".{out.name}.checkpoint.pt")
    model, history = train_model(lesions, index, config, profile, seed=arguments.seed, checkpoint=checkpoint)
    origin = provenance(lesions, config, profile, arguments.seed)
    model.save_pretrained(out, {**origin, "held_out_group": held_out, "train_loss": history})
    checkpoint.unlink(missing_ok=True)
    patients = len(np.unique(lesions.patient[index]))
    encoder = f", text encoder {config.text_encoder}" if config.head == "text" else ""
    print(f"{out}: trained on {len(index)} slices of {patients} patients, last loss {history[-1]:.3f}{encoder}")


def predict(arguments: argparse.Namespace) -> None:
    import pandas as pd

    from .lesions import LesionSet
    from .model import LiverVLM
    from .paths import written_whole

    model, lesions = LiverVLM.from_pretrained(arguments.model), LesionSet.load(arguments.data)
    prob = _answer(model, lesions, arguments)
    table = pd.DataFrame(prob, columns=[f"p_{c}" for c in model.config.classes]).round(4)
    table.insert(0, "answer", [model.config.classes[c] for c in prob.argmax(axis=1)])
    table.insert(0, "patient", lesions.patient)
    table.insert(0, "slice", range(len(table)))
    with written_whole(arguments.out) as temporary:
        table.to_csv(temporary, index=False)
    print(f"{arguments.out}: answers for {len(table)} slices. {NOT_FOR_DIAGNOSIS}")


def evaluate(arguments: argparse.Namespace) -> None:
    import numpy as np

    from .experiments import Outcome, config_for, cross_validate
    from .lesions import LesionSet
    from .model import LiverVLM, read_card

    lesions = LesionSet.load(arguments.data)
    if arguments.model is None:
        profile = _profile(arguments)
        config = config_for(lesions, profile)
        outcome = cross_validate(lesions, config, profile, seed=arguments.seed, records=arguments.records)
        print(f"cross-validation by patient group, profile {profile.name}, text encoder {config.text_encoder}")
    else:
        model, origin = LiverVLM.from_pretrained(arguments.model), read_card(arguments.model)["provenance"]
        if model.config.classes != lesions.classes:
            raise InputError(
                f"{arguments.data}: its classes are {', '.join(lesions.classes)}, the model's are "
                f"{', '.join(model.config.classes)}; they must be the same, in the same order"
            )
        if origin.get("data", {}).get("cohort_key") == lesions.cohort_key():
            unseen = lesions.group == origin.get("held_out_group")
            if not unseen.any():
                raise InputError(
                    f"{arguments.data}: the model was trained on all of this; train it with --leave-out, "
                    "or give data it has not seen"
                )
            print(
                f"the model was trained on this cohort: scored on group {origin['held_out_group']}, which it left out"
            )
            lesions = lesions.subset(unseen)
        prob = _answer(model, lesions, arguments)
        outcome = Outcome(lesions.label, prob, lesions.group, lesions.patient, lesions.classes, {})
    counts = np.bincount(outcome.y_true, minlength=len(outcome.classes))
    folds, patients = len(np.unique(outcome.group)), len(np.unique(outcome.patient))
    how = f"mean ± sd over {folds} groups" if folds > 1 else "one group"
    print(f"{len(outcome.y_true)} slices of {patients} patients; {how}")
    for name, value in outcome.summary().items():
        n = f"  ({counts[outcome.classes.index(name)]} slices)" if name in outcome.classes else ""
        print(f"  {name:<12} {value}{n}")
    print(NOT_FOR_DIAGNOSIS)


def reproduce(arguments: argparse.Namespace) -> None:
    from . import reproduce as house
    from .results import Runs
    from .rows import select

    chosen = select(arguments.row or (), arguments.table, arguments.set)
    if arguments.list:
        return _list_rows(chosen)
    profile, protocol = _profile(arguments), arguments.protocol
    out_of_reach = {row.name: why for row in chosen if (why := house.unreachable(row, profile))}
    able = [row for row in chosen if row.name not in out_of_reach]
    todo = house.cells(able, protocol, arguments.cohorts, profile, arguments.test_patients)
    counts = house.run(todo, arguments.out, jobs=arguments.jobs, dask=arguments.dask)
    print(
        f"{arguments.out}: {counts['now']} cells run, {counts['before']} were there before, "
        f"{counts['elsewhere']} are being run by another process"
    )
    print(Runs(protocol, arguments.out, profile, arguments.test_patients).summary(able).to_string())
    for name, why in out_of_reach.items():
        print(f"not run: {name}: {why}")
    print(NOT_FOR_DIAGNOSIS)


def _list_rows(chosen) -> None:
    from .results import coverage

    recorded = coverage()
    for row in chosen:
        printed = ", ".join(f"{table}: {model}" for table, model in row.printed) or "control"
        mean, sd = row.printed_figures.get("acc", (None, None))
        figure = f"; the paper's accuracy: {mean:.2f} ± {sd:.2f} %" if mean else ""
        print(f"{row.name}  [{row.set}]\n    {printed}{figure}\n    needs: {row.needs}")
        found = recorded.loc[row.name]
        five = f", five folds of {found['of five folds']}" if found["of five folds"] else ""
        done = f"{found['cohorts']} cohorts{five}"
        print(f"    recorded: {found['open'] or done}")


def _answer(model, lesions, arguments):
    from .lesions import images
    from .training import best_device
    from .training import predict as predict_probabilities

    if model.config.phases != lesions.phases:
        raise InputError(
            f"{arguments.data}: its phases are {', '.join(lesions.phases)}; the model in {arguments.model} was "
            f"trained on {', '.join(model.config.phases)}; train one on the phases you have"
        )
    pictures = images(lesions, bounds=model.config.window)
    return predict_probabilities(model.to(best_device()), pictures).double().numpy()


def _describe(lesions) -> str:
    import numpy as np

    patients, groups = len(np.unique(lesions.patient)), len(np.unique(lesions.group))
    counts = np.bincount(lesions.label, minlength=len(lesions.classes))
    classes = ", ".join(f"{c} {n}" for c, n in zip(lesions.classes, counts, strict=True))
    return (
        f"{len(lesions)} slices ({classes}) of {patients} patients in {groups} groups, "
        f"{len(lesions.phases)} phases ({', '.join(lesions.phases)}), {lesions.size} px"
    )


def _profile(arguments: argparse.Namespace) -> Profile:
    return get_profile(arguments.profile) if arguments.profile else current_profile()


def _at_least(least: int):
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} up")
        return int(text)

    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="livervlm",
        description=f"Liver-VLM on multi-phase CT of focal liver lesions. {NOT_FOR_DIAGNOSIS}",
    )
    parser.add_argument("--version", action="version", version=f"livervlm {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run, help: str, example: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name,
            help=help,
            description=help,
            epilog=f"example:\n  {example}\n\n{NOT_FOR_DIAGNOSIS}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(run=run)
        sub.add_argument("--profile", choices=PROFILES, help="size of the run (default: LIVERVLM_PROFILE, or smoke)")
        sub.add_argument("--seed", type=_at_least(0), default=0)
        return sub

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
    sub.add_argument("--size", type=_at_least(8), help="side of a ROI in pixels (default: the profile's)")
    sub.add_argument("--misregistered", action="store_true", help="same box in every phase, breathing uncorrected")

    sub = command(
        "import",
        import_,
        "Turn your own studies (DICOM or NIfTI, listed in a CSV) into a data set.",
        "livervlm import studies.csv --out mine.safetensors",
    )
    sub.add_argument("manifest", help="CSV: patient,label,NC,ART,PV,mask (or box); one lesion a row")
    sub.add_argument("--out", required=True, metavar="FILE")
    sub.add_argument("--size", type=_at_least(8), help="side of a ROI in pixels (default: the profile's)")
    sub.add_argument("--groups", type=int, default=5, help="patient groups for cross-validation (default 5)")

    sub = command("train", train, "Train a model.", "livervlm train phantom.safetensors --leave-out 1 --out model")
    sub.add_argument("data", help="a data set made by `phantom` or `import`")
    sub.add_argument("--out", required=True, metavar="FOLDER")
    sub.add_argument("--leave-out", type=int, metavar="GROUP", help="keep this patient group for `evaluate`")
    sub.add_argument("--head", choices=("text", "prototypes", "fc"), default="text")
    sub.add_argument("--template", default="enriched", help="prompt template: simple, enriched, unordered or medical")

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
    sub.add_argument("--test-patients", type=_at_least(4), default=2000, metavar="N", help="of a pool (default 2000)")
    sub.add_argument("--out", default="results", metavar="FOLDER", help="where records are kept (default: results)")
    sub.add_argument("--jobs", type=_at_least(1), metavar="N", help="local processes (default: one a core)")
    sub.add_argument("--dask", metavar="ADDRESS", help="run on the workers of this Dask scheduler instead")
    return parser


if __name__ == "__main__":
    sys.exit(main())
