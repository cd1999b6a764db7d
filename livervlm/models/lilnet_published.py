"""The weights that LiLNet's authors have published, for academic use."""

import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ..base.errors import InputError
from .lilnet import LiLNet
from .settings import LiLNetSettings

HEADS = {"fc_SD": "plain", "fc_ens": "heads.deep.0", "fc": "heads.deep.1", "fc3": "heads.shallow"}  # theirs: ours
# The file also holds the best accuracy, a NumPy number: the one type allowed beside tensors and plain Python.
NUMBER = np.float64(0).__reduce__()[0]
SAFE = [(NUMBER, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")] + [np.dtype, type(np.dtype(float))]


def load_published(path: str | Path, classes: Sequence[str], encoder: str = "resnet50") -> LiLNet:
    """A published LiLNet, ready to answer as its code does, with the aggregate.

    path: `Time_BM.pth.tar`, `Time_M.pth.tar` or `Time_B.pth.tar` of Zenodo record 12646854.  classes: in the order of
    the public code, which is benign, malignant; HCC, ICC, MET; and FNH, HEM, CYST.  Raises `InputError` where the file
    is not there or is something else.

    The layout is read off the public code, and was never seen in the files themselves: torchvision's names for the
    ResNet, `fc_ens` and `fc` on layer4, `fc3` on layer3, `fc_SD`; under "state_dict", each name behind "module.".  The
    authors show a grey slice as three equal channels, which is one channel through the sum of the three filters.
    """
    try:
        with torch.serialization.safe_globals(SAFE):
            saved = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        weights = {}
        for name, weight in saved.items():
            part, _, rest = name.removeprefix("module.").partition(".")
            weights[f"{HEADS.get(part, f'encoder.body.{part}')}.{rest}"] = weight
        stem = "encoder.body.conv1.weight"
        weights[stem] = weights[stem].sum(dim=1, keepdim=True)  # (64, 3, 7, 7) -> (64, 1, 7, 7)
        model = LiLNet(LiLNetSettings(classes, encoder, teacher="aggregate", answer="aggregate"))
        model.load_state_dict(weights)
    except FileNotFoundError as error:
        files = "Time_BM.pth.tar, Time_M.pth.tar or Time_B.pth.tar"
        raise InputError(f"{path}: no such file; fetch {files} from Zenodo record 12646854 (academic use)") from error
    except (OSError, RuntimeError, KeyError, TypeError, AttributeError, EOFError, pickle.UnpicklingError) as error:
        first = str(error).partition("\n")[0]
        raise InputError(f"{path}: not a published LiLNet of the classes {', '.join(classes)} ({first})") from error
    return model.eval()
