"""One workaround, in one place: torchvision beside a torch that it was not compiled for."""

import importlib
import sys
from types import ModuleType
from unittest import mock

import torch
from torch import Tensor


def import_torchvision() -> ModuleType:
    """Import torchvision even where its compiled operators do not load.

    The usual wheel is compiled for a CUDA build of torch.  Beside a CPU build its operators (box suppression and
    the like) are missing, and since torchvision describes them on import it fails, and transformers with it.
    Their descriptions are skipped, and the one operator that a network here needs, a detector's box suppression, is
    `plain_nms` there.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]  # half imported
    register = torch.library.register_fake

    def skip_missing(op, *args, **kwargs):
        return (lambda function: function) if op.startswith("torchvision::") else register(op, *args, **kwargs)

    with mock.patch.object(torch.library, "register_fake", skip_missing):
        torchvision = importlib.import_module("torchvision")
    torchvision.ops.boxes.nms = plain_nms
    return torchvision


def plain_nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """What `torchvision.ops.nms` does, in plain torch: boxes (N, 4) and scores (N,) -> the places of those kept.

    From the highest score down, a box is dropped where its IoU with one that was kept is above the threshold.
    """
    from torchvision.ops import box_iou

    order = scores.argsort(descending=True, stable=True)
    over = (box_iou(boxes[order], boxes[order]) > iou_threshold).cpu()
    kept: list[int] = []
    for i in range(len(order)):
        if not over[i, kept].any():
            kept.append(i)
    return order[kept]
