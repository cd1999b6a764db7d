"""Models: `livervlm train`, `livervlm predict` and `livervlm evaluate`."""

import argparse
from pathlib import Path

from ..base.errors import InputError
from .shared import NOT_FOR_DIAGNOSIS, chosen_profile


def train(arguments: argparse.Namespace) -> None:
    import numpy as np

    from ..models.trainer import config_for, train_model
    from ..runs.cells import provenance
    from ..runs.methods import Trained
    from ..scans.lesions import LesionSet

    profile, out = chosen_profile(arguments), Path(arguments.out)
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
    method = Trained({"head": arguments.head, "template": arguments.template})
    config = config_for(lesions, profile, **method.config)
    checkpoint = out.with_name(f".{out.name}.checkpoint.pt")
    model, history = train_model(lesions, index, config, profile, seed=arguments.seed, checkpoint=checkpoint)
    origin = provenance(lesions, method, profile, arguments.seed)
    model.save_pretrained(out, {**origin, "held_out_group": held_out, "train_loss": history})
    checkpoint.unlink(missing_ok=True)
    patients = len(np.unique(lesions.patient[index]))
    encoder = f", text encoder {config.text_encoder}" if config.head == "text" else ""
    print(f"{out}: trained on {len(index)} slices of {patients} patients, last loss {history[-1]:.3f}{encoder}")


def predict(arguments: argparse.Namespace) -> None:
    import pandas as pd

    from ..base.paths import written_whole
    from ..models.liver_vlm import LiverVLM
    from ..scans.lesions import LesionSet

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

    from ..evaluation.outcome import Outcome
    from ..models.liver_vlm import LiverVLM
    from ..models.saved import read_card
    from ..runs.cross_validation import cross_validate
    from ..scans.lesions import LesionSet

    lesions = LesionSet.load(arguments.data)
    if arguments.model is None:
        profile = chosen_profile(arguments)
        outcome = cross_validate(lesions, None, profile, seed=arguments.seed, records=arguments.records)
        print(f"cross-validation by patient group, profile {profile.name}, text encoder {profile.text_encoder}")
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


def _answer(model, lesions, arguments):
    from ..base.device import best_device
    from ..models.training import predict as predict_probabilities
    from ..scans.windowing import images

    if model.config.phases != lesions.phases:
        raise InputError(
            f"{arguments.data}: its phases are {', '.join(lesions.phases)}; the model in {arguments.model} was "
            f"trained on {', '.join(model.config.phases)}; train one on the phases you have"
        )
    pictures = images(lesions, bounds=model.config.window)
    return predict_probabilities(model.to(best_device()), pictures, batch_size=32, progress=True).double().numpy()
