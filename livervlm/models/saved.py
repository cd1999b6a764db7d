"""A model in a folder: what it is, readable, in `config.json`, and its weights in `model.safetensors`."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..base.errors import InputError
from ..base.paths import folder_written_whole

# What building a network from any settings and weights raises.
UNFIT = (OSError, SafetensorError, RuntimeError, TypeError, AttributeError, ValueError, LookupError, ArithmeticError)


def save_model(model: nn.Module, settings: dict, folder: str | Path, provenance: dict | None = None) -> None:
    """Write a model, whole or not at all.  settings: what builds it again.  provenance: where the weights come from."""
    with folder_written_whole(folder) as temporary:
        text = json.dumps({"model": settings, "provenance": provenance or {}}, indent=2)
        (temporary / "config.json").write_text(text + "\n", encoding="utf-8")
        weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
        save_file(weights, temporary / "model.safetensors")


def load_model(folder: str | Path, build: Callable[[dict, dict[str, Tensor]], nn.Module]) -> nn.Module:
    """Read what `save_model` wrote, ready to answer.  build: makes the model of the settings and the weights.

    Lists of the settings are tuples again; weights in half precision are made whole.
    """
    folder = Path(folder)
    settings = read_card(folder)["model"]
    try:
        settings = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
        weights = load_file(folder / "model.safetensors")
        weights = {name: w.float() if w.is_floating_point() else w for name, w in weights.items()}
        with torch.device("meta"):  # without memory: a damaged setting may ask for any amount
            asked = {name: value.shape for name, value in build(settings, weights).state_dict().items()}
        if asked == {name: value.shape for name, value in weights.items()}:
            model = build(settings, weights)
        else:
            raise RuntimeError("names or shapes of the weights are others")
        model.load_state_dict(weights)
    except UNFIT as error:
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{folder}: model.safetensors does not fit config.json ({first}); train again") from error
    return model.eval()


def read_card(folder: str | Path) -> dict:
    """The `config.json` of a saved model: its `model` and its `provenance`."""
    path = Path(folder) / "config.json"
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        model, provenance = card["model"], card["provenance"]
        data = provenance.get("data", {}) if isinstance(provenance, dict) else None
        if not (isinstance(model, dict) and isinstance(data, dict)):
            raise TypeError
        return {"model": model, "provenance": provenance}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: not the config of a saved model; make one with `livervlm train`") from error
