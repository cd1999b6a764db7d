"""Nobody is named: identifiers in every tag, name and cell, and all that is printed, warned of or written."""

import io
import logging
import re
import traceback
import warnings
from shutil import copytree

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from door_files import SPACING, hounsfield, pydicom, series
from pydicom.datadict import DicomDictionary
from test_door_masks import contours, segmentation

from livervlm import cli
from livervlm.base.errors import InputError
from livervlm.studies.manifest import ImportReport, import_studies
from livervlm.studies.reading import Reading

pytestmark = pytest.mark.usefixtures("one_process")
SECRET = re.compile(r"Meier|Anna|471103|19500229|2\.25\.471103", re.IGNORECASE)
SHAPE = (12, 30, 32)  # of the masks of `test_door_masks`
PHASES = ("NC", "ART", "PV")
z, y, x = np.indices(SHAPE)
LESION = ((z - 5) / 2.5) ** 2 + ((y - 15) / 7) ** 2 + ((x - 16) / 6) ** 2 <= 1
PLANTED = {
    **{"PN": "Meier^Anna", "LO": "Meier Anna 471103", "SH": "Meier", "CS": "MEIER", "ST": "Anna", "LT": "Anna Meier"},
    **{"UI": "2.25.471103", "DA": "19500229", "AS": "047Y", "IS": "471103", "UT": "Meier", "UC": "Meier"},
}
# What the volume itself hangs on, and what would change its values.
NEEDED = re.compile(
    "Rows|Columns|Bits|Pixel|Rescale|Image(Position|Orientation)|SOPClass|Frame|Modality|ImageType|Segment|Contour|ROI|"
    "Photometric|Samples|Number|Series|Transfer|MediaStorage|Command"
)
TAGS = {
    tag: vr for tag, (vr, _, _, _, name) in DicomDictionary.items()
    if 0x00080000 <= tag < 0x00410000 and vr in PLANTED and not NEEDED.search(name)
}  # fmt: skip


def plant(file) -> None:
    """Identifiers in every text tag that DICOM knows, in private ones and in the preamble."""
    made = pydicom.dcmread(file)
    for tag, vr in TAGS.items():
        made.add_new(tag, vr, PLANTED[vr])
    made.SeriesDescription, made.ProtocolName = "Anna", "Meier"
    made.add_new(0x00090010, "LO", "MEIER")
    made.add_new(0x00091001, "LO", "Anna")
    made.preamble = b"Meier Anna 471103".ljust(128, b"\0")
    made.save_as(file)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A study in a folder with a patient's name, and a mask of each kind."""
    home = tmp_path_factory.mktemp("scans") / "Meier^Anna_19500229"
    for i, phase in enumerate(PHASES):
        noise = np.random.default_rng(i).normal(0, 9, SHAPE)
        hu = (hounsfield(SHAPE) * 0.1 + 40 + 25 * i + noise).astype(np.int16)
        folder = home / f"471103_{phase}"
        for number, file in enumerate(series(folder, hu, AcquisitionNumber=1 + i, SeriesInstanceUID=f"1.2.{i}")):
            plant(file)
            file.rename(folder / f"Meier_{number:03d}.dcm")
    mask = sitk.GetImageFromArray(LESION.astype(np.uint8))
    mask.SetSpacing(SPACING[::-1])
    mask.SetOrigin((-5, -7, 0))
    sitk.WriteImage(mask, home / "Anna.nii.gz")
    plant(segmentation(home / "Anna_seg.dcm", [LESION, LESION], names=("Meier", "Anna")))
    plant(contours(home / "Anna_rs.dcm", [LESION, LESION], names=("Meier", "Anna")))
    return home


@pytest.fixture
def cohort(tmp_path, planted):
    """A copy of it, and the cells of its row."""
    copytree(planted, tmp_path / planted.name)
    row = {"patient": "Meier^Anna", "label": "HCC", "group": 1, "mask": f"{planted.name}/Anna.nii.gz"}
    return tmp_path, row | {p: f"{planted.name}/471103_{p}" for p in PHASES}


def table(folder, row):
    pd.DataFrame([row]).to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


def said(folder, row, capfd, caplog, **more) -> str:
    """All that anybody could read after an import: the error, its chain, warnings, logs, both streams, the report."""
    caplog.clear()
    report, texts = ImportReport(), []
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            lesions = import_studies(table(folder, row), 16, report=report, **more)
            lesions.save(folder / "set.safetensors")
            texts.append((folder / "set.safetensors").read_bytes().decode("latin-1"))
        except InputError as error:
            texts += ["".join(traceback.format_exception_only(error)), repr(error.__cause__)]
    texts += [str(w.message) for w in warned] + [repr(report)]
    return "\n".join([*texts, *capfd.readouterr(), caplog.text]).replace(str(folder), "")


def test_a_whole_import_names_nobody(cohort, capfd, caplog):
    folder, row = cohort
    home, accepted = next(folder.glob("Meier*")), {"accept_doubts": True}  # the planted count of pictures is one
    text = said(folder, row, capfd, caplog, **accepted)
    assert "livervlm.LesionSet" in text
    assert not SECRET.search(text)
    for mask, value in (("Anna_seg.dcm", "Meier"), ("Anna_seg.dcm", 2), ("Anna_rs.dcm", "Anna"), ("Anna_rs.dcm", 1)):
        text = said(folder, {**row, "mask": f"{home.name}/{mask}", "mask_value": value}, capfd, caplog, **accepted)
        assert "livervlm.LesionSet" in text
        assert not SECRET.search(text), text[-500:]


def damages():
    """What can be wrong with a study, each leading to a message of its own."""

    def one(change):
        def damage(home, row):
            file = sorted((home / "471103_ART").iterdir())[3]
            change(file)

        return damage

    def tags(**own):
        def change(file):
            made = pydicom.dcmread(file)
            for name, value in own.items():
                setattr(made, name, value) if value is not None else delattr(made, name)
            made.save_as(file)

        return change

    yield "truncated", one(lambda f: f.write_bytes(f.read_bytes()[:-9]))
    yield "cut in its header", one(lambda f: f.write_bytes(f.read_bytes()[:500]))
    yield "empty", one(lambda f: f.write_bytes(b""))
    yield "no position", one(tags(ImagePositionPatient=None))
    yield "another patient", one(tags(PatientID="Anna 2"))
    yield "another series", one(tags(SeriesInstanceUID="2.25.4711030"))
    yield "slope 0", one(tags(RescaleSlope=0))
    yield "huge", one(tags(Rows=65000))
    yield "rows beyond the pixels", one(tags(Rows=31))
    yield "another modality", one(tags(Modality="MEIER"))
    yield "gone", one(lambda f: f.unlink())
    yield "no class", one(tags(SOPClassUID="2.25.471103"))
    yield "colour", one(tags(SamplesPerPixel=3))
    yield "junk", one(lambda f: f.with_name("Anna.jpg").write_bytes(b"Meier"))
    yield "copy", one(lambda f: f.with_name("Meier_again.dcm").write_bytes(f.read_bytes()))
    yield "mask elsewhere", lambda home, row: row.update(mask=f"{home.name}/471103_PV")
    yield "segments", lambda home, row: row.update(mask=f"{home.name}/Anna_seg.dcm")
    yield "no such segment", lambda home, row: row.update(mask=f"{home.name}/Anna_seg.dcm", mask_value="Meier Anna")
    yield "contours", lambda home, row: row.update(mask=f"{home.name}/Anna_rs.dcm")
    yield "long path", lambda home, row: row.update(mask="Meier" * 1000)
    yield "no such file", lambda home, row: row.update(PV=f"{home.name}/Anna")
    yield "name as label", lambda home, row: row.update(label="Meier")
    yield "name as value", lambda home, row: row.update(mask_value="Meier")
    yield "name as box", lambda home, row: row.update(box="Meier", mask="")
    yield "name as piece", lambda home, row: row.update(piece="Meier")
    yield "name as threshold", lambda home, row: row.update(mask_threshold="Meier")
    yield "name as group", lambda home, row: row.update(group="Meier 471103")


@pytest.mark.parametrize(("what", "damage"), damages(), ids=[name for name, _ in damages()])
def test_no_message_names_anybody(cohort, what, damage, capfd, caplog):
    folder, row = cohort
    damage(next(folder.glob("Meier*")), row)
    text = said(folder, row, capfd, caplog, accept_doubts=True)
    assert not SECRET.search(text), text[-600:]


def test_a_file_without_permission_names_nobody(cohort, capfd, caplog, monkeypatch):
    folder, row = cohort
    opened = io.open

    def refusing(file, *args, **kwargs):
        if str(file).endswith("Anna.nii.gz"):
            raise PermissionError(13, "Permission denied", str(file))
        return opened(file, *args, **kwargs)

    monkeypatch.setattr("builtins.open", refusing)
    text = said(folder, row, capfd, caplog)
    assert "row 2: mask of PV: no permission to read it" in text
    assert not SECRET.search(text)


def test_the_command_line_names_nobody(cohort, capfd):
    folder, row = cohort
    row = {**row, "mask": f"{next(folder.glob('Meier*')).name}/Anna_seg.dcm"}
    arguments = ["import", str(table(folder, row)), "--out", str(folder / "set.st"), "--size", "16"]
    assert cli.main([*arguments, "--accept-doubts"]) == 0
    assert cli.main(arguments) == 2
    out, err = capfd.readouterr()
    assert "row 2: doubt: mask of PV: 2 segments in one mask" in out
    assert not SECRET.search(out + err)


def test_a_report_is_made_of_its_lines_alone():
    reading = Reading()
    reading.doubt("one")
    reading.assume("two")
    reading.assume("two")
    reading.leave_out("three")
    whole = Reading()
    whole.add(reading, "PV")
    assert whole.lines() == ["doubt: PV: one", "assumed: PV: two", "left out: PV: three"]
