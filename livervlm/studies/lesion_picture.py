"""What a person looks at to see that a lesion was read at its place: one slice in every phase, with its contour."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from scipy.ndimage import binary_erosion, map_coordinates

from ..scans.conventions import WINDOW
from ..scans.study import PADDING, Study

VIEW = 150.0  # mm a side, or twice the lesion, as far as was scanned: shows on which side of the liver it lies
SIDE = 176  # pixels
YELLOW = (255, 200, 0)


def lesion_picture(studies: Sequence[Study], phases: Sequence[str]) -> bytes:
    """JPEG: the slice that shows most of the lesion, in every phase side by side, with the lesion's mask or box.

    studies: of one lesion, a row of pictures each, such as before its phases were aligned and after it.

    Each phase is shown around the lesion's centre in it, as `extract_rois` cuts it: what it refuses has no picture.
    """
    from matplotlib.image import imsave  # slow to import

    rows = [np.concatenate(_panels(study, phases), axis=1) for study in studies]
    file = BytesIO()
    imsave(file, np.concatenate(rows), format="jpeg", pil_kwargs={"quality": 85, "subsampling": 0})
    return file.getvalue()


def _panels(study: Study, phases: Sequence[str]) -> list[np.ndarray]:
    """(SIDE, SIDE, 3) uint8 of each phase."""
    z0, z1, y0, y1, x0, x1 = study.box
    masks = study.masks.get("lesion")
    middle = np.array([(z0 + z1 - 1) // 2, (y0 + y1 - 1) / 2, (x0 + x1 - 1) / 2])
    if masks:
        middle[0] = z0 + masks[study.reference][z0:z1].sum(axis=(1, 2)).argmax()
    dy, dx = study.spacing[1:]
    rows, columns = study.volumes[study.reference].shape[1:]
    lesion, scanned = max((y1 - y0) * dy, (x1 - x0) * dx), max(rows * dy, columns * dx)  # mm
    offsets = (np.arange(SIDE) - (SIDE - 1) / 2) * min(max(VIEW, 2 * lesion), scanned) / SIDE
    reference = np.array(study.centres.get(study.reference, middle))
    panels = []
    for phase in phases:
        shift = np.array(study.centres.get(phase, reference)) - reference
        depth = int(middle[0]) + round(shift[0])
        at = (middle[1] + shift[1] + offsets / dy, middle[2] + shift[2] + offsets / dx)
        where = np.meshgrid(*at, indexing="ij")
        hu = map_coordinates(study.volumes[phase][depth], where, float, 1, cval=PADDING)
        if masks:
            inside = map_coordinates(masks[phase][depth], where, np.uint8, 0) > 0
        else:
            inside = (where[0] > y0 - 0.5) & (where[0] < y1 - 0.5) & (where[1] > x0 - 0.5) & (where[1] < x1 - 0.5)
        grey = np.clip((hu - WINDOW[0]) / (WINDOW[1] - WINDOW[0]), 0, 1) * 255
        panel = np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)
        panel[inside & ~binary_erosion(inside)] = YELLOW
        panels.append(panel)
    return panels
