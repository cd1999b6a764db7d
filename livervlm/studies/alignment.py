"""Phases that breathing moved apart are brought onto the reference phase, about one lesion.

The liver moves and the spine does not, so a registration of the whole picture finds the spine.  Here the organ about
the lesion decides: what hangs together within `MARGIN` and is as bright as the lesion's surroundings, and a rim that
holds its edge.  The metric is Mattes' mutual information, as phases differ in contrast: tried along z first, then
followed by translation and by rotation.  Quality is told by another measure, `likeness`.  A coarse B-spline follows if
asked for.  For teaching and research, not for diagnosis.
"""

from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.ndimage import binary_erosion, distance_transform_edt, gaussian_filter, label, uniform_filter

from ..base.errors import InputError
from ..scans.rois import mask_box
from ..scans.study import PADDING, Study
from .reading import sitk

MARGIN = 50.0  # mm about the lesion's box within which voxels count
RIM = 8.0  # mm beyond the organ: its edge is in it, the ribs hardly
ALIKE = 30.0  # HU from the lesion's surroundings that are still the organ
SOFT = (-50.0, 200.0)  # HU; beyond them one lung, fat or bone is as another
LARGEST = 40.0  # mm; no breath moves a liver further between phases of one scan
LEAST = 0.42  # likeness below which the phase shows something else
COVERED = 0.5  # share of the region that a phase must show
VOXEL = 2.0  # mm; smaller ones are merged before the search
WINDOW = 15.0  # mm, the side of the cubes of `likeness`
KNOTS = 75.0  # mm between the knots of the B-spline
STRETCH = 0.03  # of its volume, the most by which a B-spline may change the lesion
FEWEST = 4  # voxels along an axis that can be smoothed
SAMPLES = 20_000
SEED = 1


@dataclass(frozen=True)
class Alignment:
    """How one phase lies to the reference phase, as found.

    displacement: (z, y, x) mm by which the lesion's centre lies elsewhere in the phase.
    before, after: `likeness` about the lesion, 0 to 1, without and with the transform.
    doubt: why the phase was left as it was, in words that go after its name; None where it is aligned.
    transform: from mm of the reference to mm of the phase, x y z from the middle of the first voxel.
    """

    displacement: tuple[float, float, float]
    before: float
    after: float
    doubt: str | None = None
    transform: sitk.Transform = field(default_factory=sitk.Transform, repr=False, compare=False)


def align(study: Study, deform: bool = False) -> tuple[Study, dict[str, Alignment]]:
    """Bring every phase onto the reference phase; also how each was found to lie, by its name.

    deform: a B-spline after the rigid transform, where it makes phase and reference more alike.

    The whole phase is moved as the liver about the lesion is, so the spine no longer agrees; beyond what was scanned
    it is -1024.  Masks move with the phase that they are drawn on; one that equals the reference's is the reference's
    and stays.  The box holds in every phase that is aligned, and its centre is the reference's.  A phase with a doubt
    stays as it is: further away than `LARGEST`, no more alike than before, less alike than `LEAST`, not covering the
    region, or without a picture.

    Raises `InputError` where the reference phase itself does not show the lesion's surroundings.
    """
    region = _Region(study)
    others = [p for p in study.volumes if p != study.reference]
    found = {p: _register(region, study.volumes[p], deform) for p in others}
    volumes, masks = dict(study.volumes), {name: dict(of) for name, of in study.masks.items()}
    centre = tuple((_middle(study)[::-1] / study.spacing).tolist())
    centres = {**study.centres, study.reference: centre}
    for phase, one in found.items():
        if one.doubt:
            continue
        volumes[phase], centres[phase] = _moved(study.volumes[phase], study.spacing, one), centre
        for of in masks.values():
            if not np.array_equal(of[phase], of[study.reference]):
                of[phase] = moved_mask(of[phase], study.spacing, one)
    return replace(study, volumes=volumes, centres=centres, masks=masks), found


def _register(region: "_Region", volume: np.ndarray, deform: bool) -> Alignment:
    before = 0.0
    try:
        other = region.near(volume)
        before = region.likeness(other, sitk.Transform())
        transform = region.rigid(other)
        after = region.likeness(other, transform)
    except InputError as error:
        return Alignment((0.0, 0.0, 0.0), before, before, str(error))
    if deform:
        with suppress(InputError):  # a B-spline that finds no way leaves the rigid transform
            bent = region.bent(other, transform)
            better = region.likeness(other, bent)
            if better > after and abs(region.stretched(bent) - 1) < STRETCH:
                transform, after = bent, better
    by = np.subtract(transform.TransformPoint(region.middle), region.middle)[::-1]
    if LEAST <= before >= after and (np.abs(by) < region.spacing).all():
        return Alignment((0.0, 0.0, 0.0), before, before)  # it lies where it should
    doubt = None
    if (distance := np.linalg.norm(by)) > LARGEST:
        doubt = f"lies {distance:.0f} mm from the reference, over the {LARGEST:.0f} mm that breathing may explain"
    elif after <= before:
        doubt = f"is no more like the reference than before ({before:.2f}, now {after:.2f})"
    elif after < LEAST:
        doubt = f"is too little like the reference ({after:.2f}, at least {LEAST:.2f})"
    return Alignment(tuple(by.tolist()), before, after, doubt, transform)


def _moved(volume: np.ndarray, spacing: tuple[float, float, float], alignment: Alignment) -> np.ndarray:
    """The phase on the reference, linear; -1024 where the phase was not scanned."""
    grid, scanned = _picture(volume, spacing), _scanned(volume, spacing)
    on = sitk.Resample(scanned, grid, alignment.transform, sitk.sitkLinear, PADDING)
    made = sitk.GetArrayFromImage(on)
    return made.astype(volume.dtype) if volume.dtype.kind == "f" else np.rint(made).astype(volume.dtype)


def moved_mask(mask: np.ndarray, spacing, alignment: Alignment, origin=(0.0, 0.0, 0.0)) -> np.ndarray:
    """The mask on the reference: the voxels that hold most of it, as many as all their shares add up to.

    spacing, origin: mm along z, y, x; the origin is where its first voxel lies from the study's.

    A threshold of one half would take from a small lesion what is spread over neighbouring slices.
    """
    grid = _picture(mask, spacing, origin)
    shares = sitk.GetArrayFromImage(sitk.Resample(grid, grid, alignment.transform, sitk.sitkLinear, 0.0))
    most = np.argsort(-shares, axis=None, kind="stable")[: round(float(shares.sum(dtype=float)))]
    made = np.zeros(mask.shape, dtype=bool)
    made.flat[most] = True
    return made


def likeness(reference: np.ndarray, other: np.ndarray, spacing, where: np.ndarray) -> float:
    """How much of the reference the other picture tells, 0 to 1, in the voxels `where`.

    The share of the variance in cubes of `WINDOW` that a straight line through the other's values explains, whatever
    its slope: vessels may be bright in one phase and dark in another.
    """
    size = [max(2 * round(WINDOW / mm / 2) + 1, 3) for mm in spacing]
    a, b = (picture.astype(np.float64) for picture in (reference, other))
    mean_a, mean_b = uniform_filter(a, size), uniform_filter(b, size)
    var_a, var_b = uniform_filter(a * a, size) - mean_a**2, uniform_filter(b * b, size) - mean_b**2
    both = uniform_filter(a * b, size) - mean_a * mean_b
    told = np.divide(both**2, var_b, out=np.zeros_like(both), where=var_b > 1e-6)
    return float(np.clip(told[where].sum() / max(var_a[where].sum(), 1e-6), 0, 1))


class _Region:
    """The reference about the lesion, what is searched in it, and the search."""

    def __init__(self, study: Study):
        self.spacing = study.spacing
        box = (np.reshape(study.box, (3, 2)) - [0, 1]) * np.array(study.spacing)[:, None]  # middles of voxels, mm
        self.low, self.high = box[:, 0] - MARGIN, box[:, 1] + MARGIN
        try:
            cut = self._cut(study.volumes[study.reference])
        except InputError as error:
            raise InputError(f"reference phase {study.reference} {error}; its phases cannot be aligned") from None
        self.where, self.lesion = _organ(cut, box), _within(cut, box)
        self.mask = sitk.GetImageFromArray(self.where.astype(np.uint8))
        self.mask.CopyInformation(cut)
        self.coarse, self.fine = _smoothed(cut)
        self.middle = _middle(study).tolist()

    def near(self, volume: np.ndarray) -> tuple[sitk.Image, sitk.Image]:
        """Another phase, as far about the lesion as it can have moved: coarse and fine."""
        cut = self._cut(volume, LARGEST)
        if np.std(sitk.GetArrayViewFromImage(cut)) < 1:
            raise InputError("shows nothing about the lesion: all values are the same")
        return _smoothed(cut)

    def likeness(self, other: tuple[sitk.Image, sitk.Image], transform: sitk.Transform) -> float:
        told, there = self._shown(other[1], transform)
        return likeness(sitk.GetArrayViewFromImage(self.fine), told, self.fine.GetSpacing()[::-1], there)

    def rigid(self, other: tuple[sitk.Image, sitk.Image]) -> sitk.Transform:
        shift = sitk.TranslationTransform(3)
        worst = {z: self._tried(z, other[0]) for z in np.arange(-36.0, 37.0, 6.0)}  # breathing goes along z
        shift.SetOffset((0.0, 0.0, min(worst, key=worst.get)))
        self._descend(shift, self.coarse, other[0], 4.0, 0.25)
        self._descend(shift, self.fine, other[1], 1.0, 0.05)
        turn = sitk.Euler3DTransform()
        turn.SetCenter(self.middle)
        turn.SetTranslation(shift.GetOffset())
        self._descend(turn, self.fine, other[1], 0.5, 0.05)
        return turn

    def bent(self, other: tuple[sitk.Image, sitk.Image], rigid: sitk.Transform) -> sitk.Transform:
        """The rigid transform after a B-spline, which leaves all outside the region as it is.

        By correlation in neighbourhoods: mutual information swells what it may bend, to see more of what is around.
        """
        extent = np.multiply(self.fine.GetSize(), self.fine.GetSpacing())
        bend = sitk.BSplineTransformInitializer(self.fine, [max(round(mm / KNOTS), 1) for mm in extent.tolist()])
        method = self._method(bend)
        method.SetMetricAsANTSNeighborhoodCorrelation(2)
        method.SetMetricSamplingStrategy(method.NONE)
        method.SetMovingInitialTransform(rigid)
        method.SetOptimizerAsLBFGSB(numberOfIterations=6)
        self._run(method, bend, self.fine, other[1])
        return sitk.CompositeTransform([rigid, bend])

    def stretched(self, transform: sitk.Transform) -> float:
        """The volume of the lesion's box in the phase over that in the reference."""
        grid = self.fine.GetSize(), self.fine.GetOrigin(), self.fine.GetSpacing()
        field = sitk.TransformToDisplacementField(transform, sitk.sitkVectorFloat64, *grid)
        ratio = sitk.GetArrayViewFromImage(sitk.DisplacementFieldJacobianDeterminant(field))
        return float(ratio[self.lesion].mean())

    def _shown(self, other: sitk.Image, transform: sitk.Transform) -> tuple[np.ndarray, np.ndarray]:
        """Another phase on the reference, and which of the voxels that decide it shows."""
        told = sitk.GetArrayFromImage(sitk.Resample(other, self.fine, transform, sitk.sitkLinear, PADDING))
        there = self.where & (told > PADDING)
        if there.sum() < COVERED * self.where.sum():
            raise InputError(f"shows less than {COVERED:.0%} of what is about the lesion in the reference")
        return told, there

    def _tried(self, z: float, other: sitk.Image) -> float:
        """The metric, which is to be small, at `z` mm along z; of few voxels it is always small, so these are out."""
        shift = sitk.TranslationTransform(3, (0.0, 0.0, z))
        try:
            self._shown(other, shift)
            return self._method(shift).MetricEvaluate(self.coarse, other)
        except (InputError, RuntimeError):
            return np.inf

    def _descend(self, transform: sitk.Transform, fixed: sitk.Image, other: sitk.Image, step: float, last: float):
        """Steps in mm, halved until they are shorter than `last`."""
        method = self._method(transform)
        method.SetOptimizerAsRegularStepGradientDescent(step, last, 60, relaxationFactor=0.5)
        method.SetOptimizerScalesFromPhysicalShift()
        self._run(method, transform, fixed, other)

    def _method(self, transform: sitk.Transform) -> sitk.ImageRegistrationMethod:
        method = sitk.ImageRegistrationMethod()
        method.SetNumberOfThreads(1)
        method.SetMetricAsMattesMutualInformation(32)
        method.SetMetricFixedMask(self.mask)
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(min(1.0, SAMPLES / self.where.size), SEED)
        method.SetMetricUseMovingImageGradientFilter(False)
        method.SetInterpolator(sitk.sitkLinear)
        method.SetInitialTransform(transform, True)
        return method

    def _run(self, method: sitk.ImageRegistrationMethod, transform: sitk.Transform, fixed, other) -> None:
        try:
            method.Execute(fixed, other)
        except RuntimeError:
            raise InputError("does not overlap with the reference about the lesion") from None
        # The metric's threads add up in any order, which tells in the last digits: these are cut off.
        transform.SetParameters(np.round(transform.GetParameters(), 4).tolist())

    def _cut(self, volume: np.ndarray, further: float = 0.0) -> sitk.Image:
        """What was scanned of the region, in voxels of `VOXEL` or more."""
        picture = _scanned(volume, self.spacing)
        origin, spacing = np.array(picture.GetOrigin()), np.array(picture.GetSpacing())
        merged = np.maximum(np.floor(VOXEL / spacing), 1).astype(int)
        first = np.floor((self.low[::-1] - further - origin) / spacing).clip(0).astype(int)
        last = np.ceil((self.high[::-1] + further - origin) / spacing).clip(None, picture.GetSize()).astype(int)
        if (last - first < FEWEST * merged).any():
            raise InputError(f"shows too little about the lesion: fewer than {FEWEST} slices, rows or columns")
        return sitk.BinShrink(sitk.RegionOfInterest(picture, (last - first).tolist(), first.tolist()), merged.tolist())


def _organ(cut: sitk.Image, box: np.ndarray) -> np.ndarray:
    """(Z, Y, X) bool: what hangs together about the lesion and is as bright as its surroundings, and a rim of it.

    box: (3, 2) mm.
    """
    spacing, lesion, near = cut.GetSpacing()[::-1], _within(cut, box), _within(cut, box, 10)
    smooth = gaussian_filter(sitk.GetArrayViewFromImage(cut), np.divide(2.5, spacing))
    around = near & ~lesion & (smooth > SOFT[0]) & (smooth < SOFT[1])
    level = np.median(smooth[around if around.any() else near])
    pieces, _ = label(binary_erosion((np.abs(smooth - level) < ALIKE) | lesion))
    voxels = np.bincount(pieces[near], minlength=2)
    voxels[0] = 0
    core = pieces == voxels.argmax() if voxels.any() else near
    return distance_transform_edt(~core, sampling=spacing) < RIM


def _within(cut: sitk.Image, box: np.ndarray, mm: float = 0.0) -> np.ndarray:
    """(Z, Y, X) bool: the voxels of a box, (3, 2) mm, and as far around it."""
    axes = zip(cut.GetOrigin()[::-1], cut.GetSpacing()[::-1], cut.GetSize()[::-1], box, strict=True)
    z, y, x = (
        np.abs(start + step * np.arange(n) - np.mean(two)) <= np.ptp(two) / 2 + mm for start, step, n, two in axes
    )
    return z[:, None, None] & y[:, None] & x


def _smoothed(cut: sitk.Image) -> tuple[sitk.Image, sitk.Image]:
    """Coarse and fine, of soft tissue only."""
    levels = (sitk.SmoothingRecursiveGaussian(cut, mm) for mm in (3.0, 1.5))
    return tuple(sitk.Clamp(one, lowerBound=SOFT[0], upperBound=SOFT[1]) for one in levels)


def _middle(study: Study) -> np.ndarray:
    """The lesion's centre in the reference, x y z mm."""
    z0, z1, y0, y1, x0, x1 = study.box
    centre = study.centres.get(study.reference, ((z0 + z1 - 1) / 2, (y0 + y1 - 1) / 2, (x0 + x1 - 1) / 2))
    return np.multiply(centre, study.spacing)[::-1]


def _scanned(volume: np.ndarray, spacing: tuple[float, float, float]) -> sitk.Image:
    """The part of a phase that is not padding."""
    there = volume > PADDING
    if not there.any():
        raise InputError("is empty: padding alone")
    ends = mask_box(there)
    part = volume[tuple(slice(*two) for two in np.reshape(ends, (3, 2)))]
    return _picture(part, spacing, np.multiply(ends[::2], spacing))


def _picture(array: np.ndarray, spacing: tuple[float, float, float], origin=(0.0, 0.0, 0.0)) -> sitk.Image:
    made = sitk.GetImageFromArray(array.astype(np.float32))
    made.SetSpacing([float(mm) for mm in reversed(spacing)])
    made.SetOrigin([float(mm) for mm in reversed(origin)])
    return made
