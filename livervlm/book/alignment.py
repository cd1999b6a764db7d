"""A picture of a study before and after its phases are aligned: to be looked at before a number is believed."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter

from ..scans.conventions import WINDOW
from ..scans.study import Study
from .figures import PALETTE

FIELD = 60.0  # mm shown around the lesion's box
EDGE = 0.0  # HU between soft tissue, and fat or lung
BLUR = 1.5  # mm


def before_after(study: Study, aligned: Study) -> Figure:
    """Every phase about the lesion, as scanned and aligned, under the edges of the reference phase and its box.

    The slice is coronal, through the middle of the box, as breathing moves the liver up and down.  The head is up where
    slices count from the feet, as `read_study` has them.
    """
    z0, z1, y0, y1, x0, x1 = study.box
    dz, _, dx = study.spacing
    shape = study.volumes[study.reference].shape
    z, x = (
        slice(max(int(first - FIELD / mm), 0), min(int(last + FIELD / mm) + 1, n))
        for first, last, mm, n in ((z0, z1, dz, shape[0]), (x0, x1, dx, shape[2]))
    )
    shown = z, (y0 + y1) // 2, x
    extent = [(x.start - 0.5) * dx, (x.stop - 0.5) * dx, (z.start - 0.5) * dz, (z.stop - 0.5) * dz]  # mm
    reference = gaussian_filter(study.volumes[study.reference][shown].astype(float), np.divide(BLUR, (dz, dx)))
    n = len(study.volumes)
    figure, axes = plt.subplots(2, n, figsize=(2.6 * n, 5.4), squeeze=False, layout="constrained")
    for row, (name, of) in zip(axes, {"before": study, "after": aligned}.items(), strict=True):
        row[0].set_ylabel(name)
        for axis, volume in zip(row, of.volumes.values(), strict=True):
            low, high = WINDOW
            axis.imshow(volume[shown], cmap="gray", vmin=low, vmax=high, origin="lower", extent=extent)
            axis.contour(reference, levels=[EDGE], colors=PALETTE[1], linewidths=1, extent=extent)
            corner, size = ((x0 - 0.5) * dx, (z0 - 0.5) * dz), ((x1 - x0) * dx, (z1 - z0) * dz)
            axis.add_patch(plt.Rectangle(corner, *size, fill=False, color=PALETTE[5], linestyle="--"))
            axis.set(xticks=[], yticks=[])
    for axis, phase in zip(axes[0], study.volumes, strict=True):
        axis.set_title(f"{phase}, the reference" if phase == study.reference else phase)
    return figure
