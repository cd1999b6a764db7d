"""The liver network of pyliverlesionseg (KU Leuven, Apache-2.0) in torch: a 3D U-Net that was taught on CT and MR.

    Tang et al., Whole liver segmentation based on deep learning and manual adjustment for clinical use in SIRT,
    Eur J Nucl Med Mol Imaging 47 (2020).

Four levels, each a third as fine as the one before.  A norm is over a whole map, so that what a voxel is depends on all
that is in the window: the network sees windows of one size, `WINDOW`, as it did when it was taught.
At full size a map has up to a gigabyte: so each is made in slabs, no more of it is kept than is needed later, and the
two that meet on the way up are read one after the other.
The original's answer is met to 1e-5 where its norms are summed in double precision; Keras on a CPU sums in single
precision, and so is off by up to .04 on a full window.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import conv3d, interpolate, leaky_relu_, max_pool3d

from .saved import load_model, save_model

SPACING = 3.0  # mm of a voxel
WINDOW = (189, 162, 162)  # voxels along x, y, z that are seen
MARGINS = (13, 4, 1)  # voxels of each level, at each end, that are not met again on the way up
MARGIN = MARGINS[0]  # for which there is no answer
WIDTHS = (20, 40, 80, 160)  # channels; a level has two of them
ACROSS, AROUND = (3, 3, 1), (3, 3, 3)  # kernels: within a slice, and in all directions
EPSILON = 1e-7  # Keras's, on the standard deviation
SLAB = 9  # voxels along x that are computed at once, a multiple of 3


class LiverNetwork(nn.Module):
    """Where liver is in a CT at 3 mm, axes to the right, front and head (RAS), -200 to 200 HU made -.5 to .5."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS):
        super().__init__()
        self.settings = {"widths": widths}
        before = (1, *widths[1:])
        pairs = [(ACROSS, AROUND)] * 3 + [(AROUND, AROUND)]
        last = (*widths[1:], widths[3])
        self.down = nn.ModuleList(
            nn.ModuleList([_conv(i, w, first), _conv(w, o, second)])
            for i, w, o, (first, second) in zip(before, widths, last, pairs, strict=True)
        )
        self.up = nn.ModuleList(
            nn.ModuleList([_conv(2 * n, n, AROUND), _conv(n, w, ACROSS)])
            for n, w in zip(last[2::-1], widths[2::-1], strict=True)
        )
        self.answer = _conv(widths[0], 1, (1, 1, 1))

    @torch.inference_mode()
    def forward(self, x: Tensor) -> Tensor:
        """(1, 1, X, Y, Z), sides multiples of 27 -> the probabilities of its inside, (1, 1, X - 26, Y - 26, Z - 26)."""
        left = []
        for (first, second), margin in zip(self.down[:-1], MARGINS, strict=True):
            x = _convolved(first, _activated(x) if left else x)
            x, beside = _pooled(second, _activated(x), margin)
            left.append(beside)
        for conv in self.down[-1]:
            x = _convolved(conv, _activated(x))
        for first, second in self.up:
            beside = _activated(left.pop())
            half, size = beside.shape[1], beside.shape[2:]
            y = _convolved(first, beside, slice(half))
            del beside
            # Repeating each voxel three times and averaging three is linear interpolation between corners.
            x = _activated(interpolate(x, size, mode="trilinear", align_corners=True))
            for there, slab in _slabs(first, x, slice(half, None)):
                y[:, :, there] += slab
            del x
            x = _convolved(second, _activated(y))
        return _convolved(self.answer, _activated(x)).sigmoid_()

    def save_pretrained(self, folder: str | Path, provenance: dict | None = None) -> None:
        """Write `config.json` (readable, with where the weights come from) and `model.safetensors`."""
        save_model(self, self.settings, folder, provenance)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "LiverNetwork":
        """Read what `save_pretrained` wrote."""
        return load_model(folder, lambda settings, weights: cls(**settings))


def _conv(before: int, after: int, kernel: tuple[int, int, int]) -> nn.Conv3d:
    return nn.Conv3d(before, after, kernel, padding=tuple(k // 2 for k in kernel))


def _activated(x: Tensor) -> Tensor:
    """Each channel at mean 0 and standard deviation 1 over its map, then leaky ReLU; in place."""
    variance, mean = torch.var_mean(x, (2, 3, 4), correction=0, keepdim=True)
    return leaky_relu_(x.sub_(mean).div_(variance.sqrt_() + EPSILON), 0.01)


def _slabs(conv: nn.Conv3d, x: Tensor, channels: slice = slice(None)) -> Iterator[tuple[slice, Tensor]]:
    """What a convolution makes of some of its input channels, from place to place along x; the first bring the bias."""
    weight, bias = conv.weight[:, channels], None if channels.start else conv.bias
    for start in range(0, x.shape[2], SLAB):
        stop = min(start + SLAB, x.shape[2])
        low, high = max(start - 1, 0), min(stop + 1, x.shape[2])  # a voxel more at each end, for the kernel
        slab = conv3d(x[:, :, low:high], weight, bias, padding=conv.padding)
        yield slice(start, stop), slab[:, :, start - low : stop - low]


def _convolved(conv: nn.Conv3d, x: Tensor, channels: slice = slice(None)) -> Tensor:
    made = x.new_empty(1, conv.out_channels, *x.shape[2:])
    for there, slab in _slabs(conv, x, channels):
        made[:, :, there] = slab
    return made


def _pooled(conv: nn.Conv3d, x: Tensor, margin: int) -> tuple[Tensor, Tensor]:
    """Of a convolved map, which is nowhere whole: the largest of 3 x 3 x 3, and all but a margin, for the way up."""
    sides = x.shape[2:]
    pooled = x.new_empty(1, conv.out_channels, *(n // 3 for n in sides))
    middle = x.new_empty(1, conv.out_channels, *(n - 2 * margin for n in sides))
    inside = slice(margin, -margin)
    for there, slab in _slabs(conv, x):
        pooled[:, :, there.start // 3 : there.stop // 3] = max_pool3d(slab, 3)
        low, high = max(there.start, margin), min(there.stop, sides[0] - margin)
        if low < high:
            part = slab[:, :, low - there.start : high - there.start, inside, inside]
            middle[:, :, low - margin : high - margin] = part
    return pooled, middle
