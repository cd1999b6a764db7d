"""Every chapter that reads a data set, executed on one that no code of the phantom made.

    make foreign

48 made-up patients of six classes in two phases, on three matrix sizes and two voxel sizes, are written as DICOM with
pydicom, found with `livervlm scan`, imported with `livervlm import`, and given to the chapters as `LIVERVLM_DATA`.
The lesions are lumps of smoothed noise.  They teach nothing: that a chapter runs is all that is asked.
"""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import SimpleITK as sitk
from common import ROOT
from myst_nb.core.read import read_myst_markdown_notebook
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from scipy.ndimage import gaussian_filter

sys.path.insert(0, str(ROOT / "book" / "tools"))

import execute
from pages import Book

CLASSES = ("CYST", "FNH", "HCC", "HEM", "ICC", "MET")
PHASES = {"ART": 35, "PV": 70}  # seconds after the injection
LIVER = {"ART": 75, "PV": 105}  # HU
LESION = {  # HU in ART, PV
    **{"CYST": (5, 6), "FNH": (150, 115), "HCC": (120, 90)},
    **{"HEM": (95, 130), "ICC": (70, 85), "MET": (50, 65)},
}
SHAPES = ((18, 80, 96), (14, 96, 80), (22, 72, 72))  # slices, rows, columns
VOXELS = ((5.0, 1.4, 1.4), (3.0, 1.7, 1.7))  # mm


def lump(rng: np.random.Generator, shape: tuple[int, int, int], voxel: tuple[float, float, float]) -> np.ndarray:
    """(Z, Y, X) bool: what of a blurred, noisy ball is over a threshold."""
    radius = rng.uniform(9, 20)  # mm
    middle = [n * d / 2 + rng.uniform(-6, 6) for n, d in zip(shape, voxel, strict=True)]
    axes = (d * (np.arange(n) + 0.5) - m for n, d, m in zip(shape, voxel, middle, strict=True))
    z, y, x = np.meshgrid(*axes, indexing="ij")
    noise = gaussian_filter(rng.normal(size=shape), [4 / d for d in voxel])
    return np.sqrt(x**2 + y**2 + z**2) + 4 * noise / noise.std() < radius


def write_series(folder: Path, hu: np.ndarray, voxel: tuple[float, float, float], **tags) -> None:
    """One DICOM file a slice, stored as CT scanners do: unsigned, with an intercept."""
    folder.mkdir(parents=True)
    series = generate_uid()
    for number, picture in enumerate(hu):
        made = Dataset()
        made.SOPClassUID, made.SOPInstanceUID, made.SeriesInstanceUID = CTImageStorage, generate_uid(), series
        made.Modality, made.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        made.InstanceNumber, made.ImagePositionPatient = number + 1, [-60, -60, number * voxel[0]]
        made.ImageOrientationPatient, made.PixelSpacing = [1, 0, 0, 0, 1, 0], [*voxel[1:]]
        made.SliceThickness = voxel[0]
        made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
        made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
        made.RescaleSlope, made.RescaleIntercept, made.RescaleType = 1, -1024, "HU"
        made.Rows, made.Columns = picture.shape
        for name, value in tags.items():
            setattr(made, name, value)
        made.PixelData = (np.rint(picture) + 1024).clip(0).astype(np.uint16).tobytes()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.file_meta.MediaStorageSOPClassUID, made.file_meta.MediaStorageSOPInstanceUID = (
            CTImageStorage,
            made.SOPInstanceUID,
        )
        made.save_as(folder / f"IM{number:04d}", enforce_file_format=True)


def write_tree(folder: Path) -> dict[str, str]:
    """The studies, a folder each, with a mask on PV; returns the class of each by its folder's name."""
    rng, kinds = np.random.default_rng(0), {}
    for number in range(48):
        name, kind = f"{number:03d}", CLASSES[number % 6]
        shape, voxel = SHAPES[number % 3], VOXELS[number // 3 % 2]
        inside = lump(rng, shape, voxel)
        study = {"StudyInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid(), "PatientID": name}
        for phase, lesion in zip(PHASES, LESION[kind], strict=True):
            edge = gaussian_filter(inside.astype(float), [0.5, 1, 1])
            hu = LIVER[phase] + (lesion - LIVER[phase] + rng.normal(0, 15)) * edge + rng.normal(0, 12, shape)
            seconds = f"1000{PHASES[phase] % 60:02d}" if PHASES[phase] < 60 else f"1001{PHASES[phase] % 60:02d}"
            tags = {"AcquisitionTime": seconds, "SeriesDescription": {"ART": "arterial", "PV": "portal venous"}[phase]}
            write_series(folder / name / phase.lower(), hu, voxel, StudyDate="20250101", **study, **tags)
        mask = sitk.GetImageFromArray(inside.astype(np.uint8))
        mask.SetSpacing(voxel[::-1])
        mask.SetOrigin((-60, -60, 0))
        sitk.WriteImage(mask, folder / name / "lesion_mask.nii.gz")
        kinds[name] = kind
    return kinds


def main() -> None:
    read = {source.path: source for source in Book(ROOT).sources if source.executable}
    chapters = [path for path, source in read.items() if any("load_dataset" in cell.source for cell in source.cells)]
    chosen = [path for path in chapters if not sys.argv[1:] or path.stem in sys.argv[1:]]
    with TemporaryDirectory() as scratch:
        home = Path(scratch)
        kinds = write_tree(home / "scans")
        livervlm = partial(subprocess.run, cwd=home, check=True)
        command = [sys.executable, "-m", "livervlm.cli"]
        livervlm([*command, "scan", "scans", "--out", "studies.csv"])
        table = pd.read_csv(home / "studies.csv")
        table["label"] = [kinds[Path(mask).parent.name] for mask in table["mask"]]
        table.to_csv(home / "studies.csv", index=False)
        livervlm([*command, "import", "studies.csv", "--out", "own.safetensors", "--classes", ",".join(CLASSES)])
        subprocess.run([*command, "audit", "own.safetensors"], cwd=home)  # one that has doubts ends with 1
        os.environ["LIVERVLM_DATA"] = str(home / "own.safetensors")
        failed = []
        for path in chosen:
            notebook = read_myst_markdown_notebook((ROOT / path).read_text("utf-8"), add_source_map=True)
            _, result = execute._run(path, notebook, None)
            print(
                f"{path}: {result.time:.0f} s" if not result.err else f"{path}: failed\n{result.exc_string}", flush=True
            )
            failed += [path.stem] if result.err else []
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
