"""What cannot be concluded: phases that are one scan, another patient's, swapped; what a row's mask does not say."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from door_files import fails, pydicom
from door_scans import LESION, SECOND, SHAPE, TIMES, change, table, write_mask
from test_door_masks import contours, item, segmentation

from livervlm import cli
from livervlm.phantom.abdomen import abdomen_study, draw_abdomens
from livervlm.scans.study import Study
from livervlm.studies.files import read_study, write_study
from livervlm.studies.manifest import ImportReport, import_studies
from livervlm.studies.reading import Reading

pytestmark = pytest.mark.usefixtures("one_process")
pytest_plugins = ["door_scans"]


def test_a_study_without_contradictions(scans):
    report = ImportReport()
    lesions = import_studies(table(scans), 16, progress=False, report=report)
    assert len(lesions) == int(LESION.any(axis=(1, 2)).sum())
    assert [(one.row, one.said.lines()) for one in report.lesions] == [(2, [])]


CONTRADICTIONS = {
    "NC and ART show the same acquisition": lambda f: (shutil.rmtree(f / "NC"), shutil.copytree(f / "ART", f / "NC")),
    "ART: taken as ART, and acquired at the same time as PV": lambda f: change(f / "PV", AcquisitionTime="100201"),
    "PV: taken as PV, and acquired 5.0 h from ART": lambda f: change(f / "PV", AcquisitionTime="150200"),
    "NC and ART are of different patients": lambda f: change(f / "NC", PatientID="P2"),
    "NC and ART are of different examinations": lambda f: change(f / "NC", StudyInstanceUID="1.8"),
    "NC and ART were acquired on different days": lambda f: change(f / "NC", AcquisitionDate="20190101"),
    "NC: taken as NC, and acquired 250 s after ART": lambda f: change(f / "NC", AcquisitionTime="100610"),
    "NC: the words of its header say PV": lambda f: change(f / "NC", SeriesDescription="PORTAL VENOUS 5.0"),
    "PV: the words of its header say NC": lambda f: change(f / "PV", ProtocolName="Abdomen nativ"),
    "ART: the words of its header call it a localizer": lambda f: change(f / "ART", SeriesDescription="Topogram"),
    "NC: taken as NC, and its header names a contrast agent": lambda f: (
        change(f / "NC", ContrastBolusAgent="Iomeron"),
        change(f / "PV", ContrastBolusAgent="NONE"),
    ),
    "PV: taken as PV, and its header names no contrast agent": lambda f: (
        change(f / "ART", ContrastBolusAgent="Iomeron"),
        change(f / "PV", ContrastBolusAgent="NONE"),
    ),
    "NC and ART have different frames of reference": lambda f: change(f / "NC", FrameOfReferenceUID="1.7"),
}


@pytest.mark.parametrize("words", CONTRADICTIONS)
def test_phases_that_contradict_each_other(scans, words, capsys):
    CONTRADICTIONS[words](scans)
    fails(f"row 2: {words}", import_studies, table(scans), 16, progress=False)
    with pytest.warns(UserWarning, match=words):
        read_study({p: scans / p for p in TIMES}, scans / "mask.nii.gz")
    assert cli.main(["import", str(table(scans)), "--out", str(scans / "o.st"), "--size", "16", "--accept-doubts"]) == 0
    assert re.search(f"row 2: doubt: {words}", capsys.readouterr().out)


def test_files_whose_names_say_another_column(scans):
    row = {"NC": "PV", "PV": "NC"}
    for phase in TIMES:
        change(scans / phase, AcquisitionTime="")
    message = fails("row 2: NC: the name of its file or folder says PV; is it in the right column", import_studies,
                    table(scans, **row), 16, progress=False)  # fmt: skip
    assert "PV: the name of its file or folder says NC" in message
    for phase in TIMES:
        (scans / phase).rename(scans / f"{phase} Portal")  # of the case's name, and the same in all
    assert len(import_studies(table(scans, **{p: f"{p} Portal" for p in TIMES}), 16, progress=False))


def test_an_agent_that_every_header_names_tells_nothing(scans):
    report = ImportReport()
    for phase in TIMES:
        change(scans / phase, ContrastBolusAgent="Iomeron")
    assert len(import_studies(table(scans), 16, progress=False, report=report))
    (line,) = report.lesions[0].said.lines()
    assert line.startswith("assumed: the headers of all phases name a contrast agent, also of NC")


def test_words_of_a_header_are_read_and_never_shown(scans):
    change(scans / "NC", SeriesDescription="Meier portal venous")
    message = fails("NC: the words of its header say PV", import_studies, table(scans), 16, progress=False)
    assert "Meier" not in message


def test_a_picture_that_shows_another_phase(tmp_path):
    """Without a time, a word or a name: a whole abdomen, of which two phases are exchanged."""
    (patient,) = draw_abdomens(30_100, 1)
    drawn = abdomen_study(patient, ("NC", "ART", "PV"), 64)
    z, y, x = (int(middle) for middle in np.argwhere(drawn.organ("liver")).mean(axis=0))
    lesion = (z, z + 3, y - 4, y + 4, x - 4, x + 4)
    files = write_study(Study(dict(drawn.volumes), drawn.spacing, "PV", lesion), tmp_path / "s", "nifti")
    for number, phase in enumerate(TIMES):
        files[phase].rename(tmp_path / f"{number}.nii.gz")
    row = {p: f"{n}.nii.gz" for n, p in enumerate(TIMES)}
    row |= {"mask": "", "box": "{}:{},{}:{},{}:{}".format(*lesion)}
    assert len(import_studies(table(tmp_path, **row), 16, progress=False)) == 3
    swapped = table(tmp_path, **row | {"NC": row["PV"], "PV": row["NC"]})
    message = fails("NC: named NC, and all else says rather PV", import_studies, swapped, 16, progress=False)
    assert "PV: named PV, and all else says rather NC" in message


def test_one_scan_as_two_files_is_known_by_its_noise(scans):
    """Without a header that says so, and on a grid of its own."""
    scan = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(scans / "PV")))
    sitk.WriteImage(scan[2:, 1:, :], scans / "art.nii.gz")
    fails("ART and PV show the same acquisition", import_studies, table(scans, ART="art.nii.gz"), 16, progress=False)


def test_frames_of_reference_do_not_matter_where_each_phase_has_its_mask(scans):
    change(scans / "ART", FrameOfReferenceUID="1.7")
    masks = {p: scans / "mask.nii.gz" for p in TIMES}
    reading = Reading()
    read_study({p: scans / p for p in TIMES}, masks, reading=reading)
    assert not reading.doubts
    assert any("each has its own mask" in line for line in reading.assumed)


def test_pieces_and_labels_of_a_row(scans):
    both = LESION.astype(np.uint8) + 2 * SECOND
    write_mask(scans / "mask.nii.gz", both)
    fails("row 2: mask of PV: labels 1, 2 in one mask", import_studies, table(scans), 16, progress=False)
    slices = [int(m.any(axis=(1, 2)).sum()) for m in (LESION, SECOND)]
    for value, n in zip((1, "2.0"), slices, strict=True):
        assert len(import_studies(table(scans, mask_value=value), 16, progress=False)) == n
    write_mask(scans / "mask.nii.gz", both > 0)
    fails("row 2: mask of PV: 2 pieces that do not touch", import_studies, table(scans), 16, progress=False)
    for piece, n in ((1, slices[0]), (2, slices[1]), ("each", sum(slices))):
        lesions = import_studies(table(scans, piece=piece), 16, progress=False)
        assert len(lesions) == n
        shown = lesions.mask("lesion")[:, 2].mean(axis=(1, 2))
        assert shown.max() < 0.6  # of a ROI 1.5 times as wide: one piece fills each
        assert np.median(shown) > 0.1
    whole = import_studies(table(scans, piece=0), 16, progress=False)
    assert len(whole) == int((LESION | SECOND).any(axis=(1, 2)).sum())
    fails("piece: write 1 for the largest", import_studies, table(scans, piece="-2"), 16)


def test_a_liver_is_no_lesion(scans):
    """Voxels are so large here that the mask holds over a litre."""
    for name in (*TIMES, "mask"):
        files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(scans / name)) if name != "mask" else None
        image = sitk.ReadImage(files) if files else sitk.ReadImage(scans / "mask.nii.gz")
        image.SetSpacing((14, 14, 14))
        image.SetOrigin((0, 0, 0))
        sitk.WriteImage(image, scans / f"{name}.nii")
    large = {p: f"{p}.nii" for p in TIMES} | {"mask": "mask.nii"}
    volume = LESION.sum() * 14**3 / 1e6
    assert volume > 1
    words = f"row 2: {volume:.1f} l for one lesion, as large as a liver: name its label with mask_value"
    fails(words, import_studies, table(scans, **large), 16, progress=False)
    fails("row 2: 1.7 l for one", import_studies, table(scans, **large | {"mask": "", "box": "2:8,10:24,13:27"}), 16,
          progress=False)  # fmt: skip


@pytest.mark.parametrize(("moved", "words"), [(-3, "first slice of PV"), (2, "last slice of PV"), (0, "")])
def test_a_lesion_that_the_scan_cuts_is_told(scans, moved, words):
    write_mask(scans / "mask.nii.gz", np.roll(LESION, moved, axis=0))
    report = ImportReport()
    import_studies(table(scans), 16, progress=False, report=report)
    lines = [f"assumed: the lesion lies in the {words}: taken to end there, and may go on beyond the scan"]
    assert report.lesions[0].said.lines() == lines * bool(words)


@pytest.mark.parametrize(
    ("lowest", "words"), [(4, "31% of it lies beyond the volume"), (7, "it lies beyond the volume")]
)
def test_a_mask_that_the_reference_cuts_off(scans, lowest, words):
    """PV has six slices of ten; NC has all of them, and so has its mask."""
    for file in sorted((scans / "PV").iterdir())[6:]:
        file.unlink()
    masks = {}
    for phase, z0 in (("NC", lowest), ("PV", 2)):
        masks[phase] = np.zeros(SHAPE, bool)
        masks[phase][z0 : z0 + 3] = LESION[4:7]
        write_mask(scans / f"{phase}.nii.gz", masks[phase])
    files = {f"mask_{phase}": f"{phase}.nii.gz" for phase in masks}
    fails(f"row 2: .*mask of NC: {words}", import_studies, table(scans, mask="", **files), 16, progress=False)
    if lowest == 4:
        drawn = {phase: scans / f"{phase}.nii.gz" for phase in masks}
        study = read_study({p: scans / p for p in TIMES}, drawn, reading=Reading())
        for phase, mask in masks.items():
            assert study.centres[phase] == pytest.approx(np.argwhere(mask).mean(axis=0))


def test_a_soft_map_in_a_row(scans):
    image = sitk.ReadImage(scans / "mask.nii.gz", sitk.sitkFloat32)
    sitk.WriteImage(sitk.SmoothingRecursiveGaussian(image, 3.0), scans / "mask.nii.gz")
    fails(
        "row 2: mask of PV: a soft map from .* state from which value", import_studies, table(scans), 16, progress=False
    )
    small, large = (len(import_studies(table(scans, mask_threshold=t), 16, progress=False)) for t in (0.6, 0.1))
    assert small < large


def test_what_is_taken_for_granted_is_said(scans, capsys):
    scan = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(scans / "ART")))
    sitk.WriteImage(scan[2:, 1:, :], scans / "art.nii.gz")
    report = ImportReport()
    lesions = import_studies(table(scans, ART="art.nii.gz"), 16, progress=False, report=report)
    assert report.lesions[0].said.lines() == ["assumed: ART: resampled (linear) onto the grid of PV"]
    row = {"patient": "a", "label": "HCC", **{p: p for p in TIMES}, "box": "3:8,0:9,30:40", "group": 1}
    pd.concat([pd.read_csv(table(scans)), pd.DataFrame([row])]).to_csv(scans / "t.csv", index=False)
    arguments = ["import", str(scans / "t.csv"), "--out", str(scans / "o.st"), "--size", "16"]
    assert cli.main(arguments) == 0
    said = capsys.readouterr().out.splitlines()
    assert "the set has no masks: row 2 gave one, but row 3 a box" in said
    box = "the box is in voxels of PV turned upright, from the feet, the front and the right"
    assert f"row 3: assumed: {box}" in said
    assert len(lesions.mask_names) == 1


def test_a_scan_is_not_overwritten(scans, capsys):
    before = (scans / "mask.nii.gz").read_bytes()
    arguments = ["import", str(table(scans)), "--size", "16", "--out"]
    assert cli.main([*arguments, str(scans / "mask.nii.gz")]) == 2
    assert "already there, and no data set" in capsys.readouterr().err
    assert (scans / "mask.nii.gz").read_bytes() == before
    assert cli.main([*arguments, str(scans / "o.st")]) == 0
    assert cli.main([*arguments, str(scans / "o.st")]) == 0  # a set may be made anew


def test_a_mask_that_names_another_phase_is_doubtful(scans):
    drawn = [item(SeriesInstanceUID="1.2.1")]  # ART
    for make, file in ((segmentation, "seg.dcm"), (contours, "rs.dcm")):
        if make is segmentation:
            make(scans / file, [LESION], ReferencedSeriesSequence=drawn)
        else:
            study = item(RTReferencedSeriesSequence=drawn)
            make(scans / file, [LESION], ReferencedFrameOfReferenceSequence=[item(RTReferencedStudySequence=[study])])
        words = "row 2: mask of PV: by its header the mask was drawn not on PV but on ART: is it a mask_ART?"
        fails(words, import_studies, table(scans, mask=file), 16, progress=False)
        assert len(import_studies(table(scans, mask="", mask_ART=file), 16, progress=False))
    drawn[0].SeriesInstanceUID = "1.7"
    segmentation(scans / "seg.dcm", [LESION], ReferencedSeriesSequence=drawn)
    fails("not on PV but on another scan", import_studies, table(scans, mask="seg.dcm"), 16, progress=False)


def test_a_mask_of_one_of_two_phases_in_one_series(scans):
    """As in HCC-TACE-Seg: series and frame of reference are those of both, and the pictures tell."""
    change(scans / "ART", SeriesInstanceUID="1.2.2")
    pictures = [pydicom.dcmread(file).SOPInstanceUID for file in sorted((scans / "ART").iterdir())]
    segmentation(scans / "seg.dcm", [LESION], ReferencedSeriesSequence=[item(SeriesInstanceUID="1.2.2")])
    made = pydicom.dcmread(scans / "seg.dcm")
    for group, picture in zip(made.PerFrameFunctionalGroupsSequence, pictures[3:], strict=False):
        source = item(SourceImageSequence=[item(ReferencedSOPInstanceUID=picture)])
        group.DerivationImageSequence = [source]
    made.save_as(scans / "seg.dcm")
    words = "row 2: mask of PV: by its header the mask was drawn not on PV but on ART: is it a mask_ART?"
    fails(words, import_studies, table(scans, mask="seg.dcm"), 16, progress=False)
    assert len(import_studies(table(scans, mask="", mask_ART="seg.dcm"), 16, progress=False))


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"PatientID": "P2"}, "the mask is of another patient than PV"),
        ({"FrameOfReferenceUID": "1.7"}, "the mask was drawn in another frame of reference than PV"),
    ],
)
def test_a_mask_of_another_scan_is_doubtful(scans, tags, words):
    segmentation(scans / "seg.dcm", [LESION], **tags)
    fails(f"row 2: mask of PV: {words}", import_studies, table(scans, mask="seg.dcm"), 16, progress=False)
