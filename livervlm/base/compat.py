"""One workaround, in one place: torchvision beside a torch that it was not compiled for."""

import importlib
import sys
from types import ModuleType
from unittest import mock

import torch


def import_torchvision() -> ModuleType:
    """Import torchvision even where its compiled operators do not load.

    The usual wheel is compiled for a CUDA build of torch.  Beside a CPU build its operators (box suppression and
    the like) are missing, and since torchvision describes them on import it fails, and transformers with it.
    No network used here needs those operators, so their descriptions are skipped.
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
        return importlib.import_module("torchvision")
