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
    trained_on = sorted(set(lesions.slice_keys()[index].tolist()))
    model.save_pretrained(out, {**origin, "held_out_group": held_out, "train_loss": history, "trained_on": trained_on})
    checkpoint.unlink(missing_ok=True)
    patients = len(np.unique(lesions.patient[index]))
    text = f", text encoder {config.text_encoder}" if config.head == "text" else ""
    print(f"{out}: trained on {len(index)} slices of {patients} patients, last loss {history[-1]:.3f}{text}")
    print(f"network {config.encoder}, {lesions.size} pixels, {profile.epochs} epochs: profile {profile.name}")


def predict(arguments: argparse.Namespace) -> None:
    """Write an answer for every slice, and beside it the mean over the slices of each patient."""
    import pandas as pd

    from ..base.paths import written_whole
    from ..scans.lesions import LesionSet
    from .imported import key_rows, refuse_other

    lesions, out = LesionSet.load(arguments.data), Path(arguments.out)
    if not out.name or out.is_dir():
        raise InputError(f"--out {arguments.out}: a folder; give the name of a CSV file")
    model = _model_for(lesions, arguments)
    by_patient = out.with_name(out.name.removesuffix(".csv") + ".patients.csv")
    refuse_other(out, "slice,lesion,")
    refuse_other(by_patient, "patient,slices,")
    rows = key_rows(arguments.data, lesions)
    prob = pd.DataFrame(_answer(model, lesions), columns=[f"p_{c}" for c in model.config.classes])
    keys = {"slice": range(len(prob)), "lesion": lesions.lesion, "patient": lesions.patient}
    slices = pd.DataFrame(keys | ({} if rows is None else {"row": rows}))
    means = prob.groupby(lesions.patient)
    patients = pd.DataFrame({"slices": means.size()}).rename_axis("patient").reset_index()
    with written_whole(out) as one, written_whole(by_patient) as other:
        for file, known, answers in ((one, slices, prob), (other, patients, means.mean().reset_index(drop=True))):
            answer = answers.idxmax(axis=1).str.removeprefix("p_").rename("answer")
            pd.concat([known, answer, answers.round(4)], axis=1).to_csv(file, index=False)
    said = f"answers for {len(slices)} slices, and for {len(patients)} patients in {by_patient}"
    print(f"{arguments.out}: {said}. {NOT_FOR_DIAGNOSIS}")


def evaluate(arguments: argparse.Namespace) -> None:
    import numpy as np

    from ..evaluation.outcome import Outcome
    from ..models.saved import read_card
    from ..runs.cross_validation import cross_validate
    from ..scans.lesions import LesionSet

    lesions = LesionSet.load(arguments.data)
    if arguments.model is None:
        profile = chosen_profile(arguments)
        outcome = cross_validate(lesions, None, profile, seed=arguments.seed, records=arguments.records)
        print(f"cross-validation by patient group, profile {profile.name}, text encoder {profile.text_encoder}")
    else:
        model, origin = _model_for(lesions, arguments), read_card(arguments.model)["provenance"]
        if origin.get("data", {}).get("cohort_key") == lesions.cohort_key():
            held_out = origin.get("held_out_group")
            unseen = lesions.group == held_out
            said = f"the model was trained on this cohort: scored on group {held_out}, which it left out"
        else:  # slices of patients that it knows may be there in another order, or among others
            known = np.unique(lesions.patient[np.isin(lesions.slice_keys(), origin.get("trained_on", []))])
            unseen = ~np.isin(lesions.patient, known)
            said = f"{len(known)} patients are left out: the model was trained on slices of theirs"
        if not unseen.any():
            raise InputError(
                f"{arguments.data}: the model was trained on all of this; train it with --leave-out, "
                "or give data it has not seen"
            )
        if not unseen.all():
            print(said)
            lesions = lesions.subset(unseen)
        prob = _answer(model, lesions)
        outcome = Outcome(lesions.label, prob, lesions.group, lesions.patient, lesions.classes, {})
    counts = np.bincount(outcome.y_true, minlength=len(outcome.classes))
    folds, patients = len(np.unique(outcome.group)), len(np.unique(outcome.patient))
    how = f"mean ± sd over {folds} groups" if folds > 1 else "one group"
    print(f"{len(outcome.y_true)} slices of {patients} patients; {how}")
    for name, value in outcome.summary().items():
        n = f"  ({counts[outcome.classes.index(name)]} slices)" if name in outcome.classes else ""
        print(f"  {name:<12} {value}{n}")
    print(NOT_FOR_DIAGNOSIS)


def _model_for(lesions, arguments):
    """The saved model; it answers for the classes and phases that it was trained on, and for no others."""
    from ..models.liver_vlm import LiverVLM

    model = LiverVLM.from_pretrained(arguments.model)
    if model.config.classes != lesions.classes:
        raise InputError(
            f"{arguments.data}: its classes are {', '.join(lesions.classes)}, the model's are "
            f"{', '.join(model.config.classes)}; they must be the same, in the same order"
        )
    if lesions.present is not None and not model.config.incomplete:
        lesions.require_every_phase(f"the model in {arguments.model}")
    if model.config.phases != lesions.phases:
        raise InputError(
            f"{arguments.data}: its phases are {', '.join(lesions.phases)}; the model in {arguments.model} was "
            f"trained on {', '.join(model.config.phases)}; train one on the phases you have"
        )
    return model


def _answer(model, lesions):
    """The probability of each class in every slice, (N, C) float64."""
    from ..base.device import best_device
    from ..models.training import predict as predict_probabilities
    from ..scans.phases import prompt_rows
    from ..scans.windowing import images

    pictures, rows = images(lesions, bounds=model.config.window), prompt_rows(lesions.present)
    prob = predict_probabilities(model.to(best_device()), pictures, rows, batch_size=32, progress=True)
    return prob.double().numpy()
