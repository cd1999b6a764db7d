"""The small networks that answer in a reader's page: trained by the book's recipe, folded, in bytes.

A batch norm that follows a convolution is a factor and a shift of each of its channels: both go into the convolution.
Weights are then int8, with one scale for each row of a matrix and each filter.  `network` gives back a `LiverVLM` with
these very weights, so that the page and PyTorch answer with the same network.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ...models.liver_vlm import LiverVLM
from ...models.prompts import build_prompt, descriptions, templates
from ...models.settings import Config
from ...models.text import RANDOM, encode_text
from ...scans.conventions import CANONICAL, LILNET_CLASSES, LIVER_VLM_CLASSES
from ...scans.phases import order_names

ENCODER = "resnet10_narrow"
NETWORKS = "phases in order", "phases shuffled"  # how their training pictures came
DESCRIPTION = "description"  # the templates of the page that are none of data/prompts.json
TEMPLATES = (*templates(), DESCRIPTION, RANDOM)


def sentences() -> list[tuple[str, int, str, list[str]]]:
    """What a page can say of a class: (template, order, class, variants); the order is 0 where none is named."""
    found = []
    for template, order, kind in ((t, o, c) for t in TEMPLATES for o in range(6) for c in LILNET_CLASSES):
        texts = templates().get(template, [descriptions().get(kind) if template == DESCRIPTION else "{class}"])
        names_order = any("{phases}" in text for text in texts)
        if order == 0 or names_order:
            phases = order_names(CANONICAL)[order]
            found.append((template, order, kind, [build_prompt(text, kind, phases) for text in texts]))
    return found


CANONICAL_ROWS = [
    row
    for row, (t, order, kind, _) in enumerate(sentences())
    if (t, order) == ("enriched", 0) and kind in LIVER_VLM_CLASSES
]


@torch.no_grad()
def folded(model: LiverVLM) -> dict[str, Tensor]:
    """Filters and shifts of the convolutions, by the names of the body's modules; FC_I; a vector of each sentence."""
    body, parts = dict(model.encoder.body.named_modules()), {}
    for name, conv in body.items():
        if isinstance(conv, nn.Conv2d):
            norm = body[_norm_of(name)]
            factor = norm.weight / (norm.running_var + norm.eps).sqrt()
            parts[f"{name}.weight"] = conv.weight * factor[:, None, None, None]
            parts[f"{name}.bias"] = norm.bias - norm.running_mean * factor
    parts["fc_i"] = model.head.fc_i.weight
    features = [
        encode_text(variants, RANDOM if template == RANDOM else model.config.text_encoder).mean(dim=0)
        for template, _, _, variants in sentences()
    ]
    parts["vectors"] = normalize(model.head.fc_t(torch.stack(features)), dim=-1)
    parts["scale"] = torch.as_tensor(model.head.logit_scale).reshape(1)
    return {name: part.detach().cpu().contiguous() for name, part in parts.items()}


def in_bytes(parts: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Matrices and filters as int8 with a scale for each row; vectors of one number a row stay float32."""
    arrays = {}
    for name, part in parts.items():
        if part.ndim == 1:
            arrays[name] = part.numpy()
        else:
            rows = part.flatten(1)
            scale = rows.abs().amax(dim=1).clamp(min=1e-12) / 127
            arrays[name] = (rows / scale[:, None]).round().to(torch.int8).view(part.shape).numpy()
            arrays[f"{name}.scales"] = scale.numpy()
    return arrays


def out_of_bytes(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """The other way: float32."""
    parts = {}
    for name, array in arrays.items():
        scales = arrays.get(f"{name}.scales")
        if scales is not None:
            array = np.float32(array) * scales.reshape(-1, *(1,) * (array.ndim - 1))
        if not name.endswith(".scales"):
            parts[name] = torch.from_numpy(np.float32(array))
    return parts


@torch.no_grad()
def network(parts: dict[str, Tensor], rows: Sequence[int], scale: float | None = None) -> LiverVLM:
    """A `LiverVLM` of what `folded` gives, whose classes are these rows of its vectors.

    Every batch norm then only adds the shift.  scale: on the cosine; None takes the one that was learned.
    """
    learned = float(parts["scale"]) if scale is None else scale
    config = Config(LIVER_VLM_CLASSES, CANONICAL, "prototypes", ENCODER, logit_scale=learned)
    model = LiverVLM(config).eval()
    body = dict(model.encoder.body.named_modules())
    for name, conv in body.items():
        if isinstance(conv, nn.Conv2d):
            conv.weight.copy_(parts[f"{name}.weight"])
            norm = body[_norm_of(name)]
            norm.bias.copy_(parts[f"{name}.bias"])
            norm.eps = 0.0  # mean 0, variance 1 and weight 1 are what a new one has
    model.head.fc_i.weight.copy_(parts["fc_i"])
    model.head.prototypes.copy_(parts["vectors"][list(rows)][None])
    return model


def _norm_of(conv: str) -> str:
    """The name of the batch norm behind a convolution of a ResNet."""
    return conv.replace("downsample.0", "downsample.1").replace("conv", "bn")
