"""Image encoders behind one door: a stem for any number of phases, a feature map, a pooled vector."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ..base.compat import import_torchvision
from ..base.errors import InputError
from .efficientnet_lite import DIM, efficientnet_lite0


class ImageEncoder(nn.Module):
    """Phases as channels -> feature map -> its mean over space (section 3.2).

    body: (B, P, H, W) -> (B, dim, h, w).  norm: (B, dim, 1, 1) -> the same, where a network normalises after pooling.
    """

    def __init__(self, body: nn.Module, dim: int, norm: nn.Module | None = None):
        super().__init__()
        self.body, self.dim, self.norm = body, dim, norm or nn.Identity()

    def forward_features(self, images: Tensor) -> Tensor:
        """The last feature map, (B, dim, h, w): where Grad-CAM looks."""
        return self.body(images)

    def stages(self, images: Tensor, names: Sequence[str]) -> list[Tensor]:
        """The maps that parts of the body leave on the way, by their names, such as layer3 and layer4 of a ResNet."""
        found = {}
        for name, part in self.body.named_children():
            images = found[name] = part(images)
        return [found[name] for name in names]

    def forward(self, images: Tensor) -> Tensor:
        """The image's feature vector, (B, dim)."""
        return self.norm(self.forward_features(images).mean(dim=(2, 3), keepdim=True)).flatten(1)


class VideoSwin(nn.Module):
    """Phases as the frames of a grey video (Liu et al. 2021): (B, P, H, W) -> (B, dim, h, w), the mean over time.

    A patch is 2 frames x 4 x 4 pixels.  A grey one is the same as a picture of two channels, and so is its filter:
    the sum of the filters for red, green and blue.
    """

    def __init__(self, net: nn.Module):
        super().__init__()
        filters = net.patch_embed.proj
        self.stem = nn.Conv2d(2, filters.out_channels, kernel_size=4, stride=4)
        self.stem.weight = nn.Parameter(filters.weight.detach().sum(dim=1))  # (96, 3, 2, 4, 4) -> (96, 2, 4, 4)
        self.stem.bias = filters.bias
        self.stem_norm, self.features, self.norm = net.patch_embed.norm, net.features, net.norm

    def forward(self, images: Tensor) -> Tensor:
        b, p, h, w = images.shape
        images = pad(images, (0, -w % 4, 0, -h % 4, 0, p % 2))
        pairs = images.reshape(-1, 2, *images.shape[2:])  # (B * T, 2, H, W)
        patches = self.stem(pairs).unflatten(0, (b, -1)).permute(0, 1, 3, 4, 2)  # (B, T, H / 4, W / 4, 96)
        x = self.norm(self.features(self.stem_norm(patches)))  # (B, T, h, w, dim)
        return x.mean(dim=1).permute(0, 3, 1, 2)


def _resnet(name: str, n_phases: int, pretrained: bool) -> ImageEncoder:
    net = _network(name, "IMAGENET1K_V1" if pretrained else None)
    _fit_stem(net.conv1, n_phases, pretrained, partial(nn.init.kaiming_normal_, mode="fan_out", nonlinearity="relu"))
    body = OrderedDict(net.named_children())
    del body["avgpool"], body["fc"]
    return ImageEncoder(nn.Sequential(body), net.fc.in_features)


def narrow_resnet(width: int, blocks: int, n_phases: int) -> ImageEncoder:
    """ResNet18's own stem, basic blocks and four stages, with `width` channels after the stem and `blocks` a stage.

    ResNet18 has 64 and two.  16 and one are the narrow ResNet10: 0.31 million weights instead of 11.18.
    """
    import_torchvision()
    from torchvision.models.resnet import BasicBlock

    body = OrderedDict(conv1=nn.Conv2d(n_phases, width, 7, 2, 3, bias=False), bn1=nn.BatchNorm2d(width))
    body |= {"relu": nn.ReLU(inplace=True), "maxpool": nn.MaxPool2d(3, 2, 1), "layer1": nn.Sequential()}
    body["layer1"].extend(BasicBlock(width, width) for _ in range(blocks))
    for stage in (2, 3, 4):  # each halves the map and doubles the channels
        shortcut = nn.Sequential(nn.Conv2d(width, 2 * width, 1, 2, bias=False), nn.BatchNorm2d(2 * width))
        first = BasicBlock(width, 2 * width, 2, shortcut)
        width *= 2
        body[f"layer{stage}"] = nn.Sequential(first, *(BasicBlock(width, width) for _ in range(blocks - 1)))
    encoder = ImageEncoder(nn.Sequential(body), width)
    for layer in encoder.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return encoder


def _resnet10_narrow(n_phases: int, pretrained: bool) -> ImageEncoder:
    if pretrained:
        raise InputError("resnet10_narrow has no pretrained weights: name another encoder, such as resnet18")
    return narrow_resnet(16, 1, n_phases)


def _convnext_tiny(n_phases: int, pretrained: bool) -> ImageEncoder:
    net = _network("convnext_tiny", "IMAGENET1K_V1" if pretrained else None)
    _fit_stem(net.features[0][0], n_phases, pretrained, partial(nn.init.trunc_normal_, std=0.02))
    norm, _, linear = net.classifier
    return ImageEncoder(net.features, linear.in_features, norm)


def _efficientnet_v2_s(n_phases: int, pretrained: bool) -> ImageEncoder:
    net = _network("efficientnet_v2_s", "IMAGENET1K_V1" if pretrained else None)
    _fit_stem(net.features[0][0], n_phases, pretrained, partial(nn.init.kaiming_normal_, mode="fan_out"))
    return ImageEncoder(net.features, net.classifier[1].in_features)


def _efficientnet_lite0(n_phases: int, pretrained: bool) -> ImageEncoder:
    body = efficientnet_lite0(pretrained)
    _fit_stem(body.stem[0], n_phases, pretrained, partial(nn.init.kaiming_normal_, mode="fan_out"))
    return ImageEncoder(body, DIM)


def _video_swin_t(n_phases: int, pretrained: bool) -> ImageEncoder:
    net = _network("swin3d_t", "KINETICS400_V1" if pretrained else None)
    return ImageEncoder(VideoSwin(net), net.num_features)


ENCODERS: dict[str, Callable[[int, bool], ImageEncoder]] = {
    "resnet18": partial(_resnet, "resnet18"),
    "resnet50": partial(_resnet, "resnet50"),
    "resnet10_narrow": _resnet10_narrow,
    "convnext_tiny": _convnext_tiny,
    "efficientnet_v2_s": _efficientnet_v2_s,
    "efficientnet_lite0": _efficientnet_lite0,
    "video_swin_t": _video_swin_t,
}


def build_encoder(name: str, n_phases: int, pretrained: bool = False) -> ImageEncoder:
    """An encoder for images of 32 pixels and more.

    name: a key of `ENCODERS`.  n_phases: channels of its stem.  pretrained: begin with weights from ImageNet
    (Kinetics-400 for Video-Swin) instead of random ones.  Raises `InputError` when those cannot be had.
    """
    if name not in ENCODERS:
        raise InputError(f"image encoder {name!r} is unknown: choose one of {', '.join(ENCODERS)}")
    return ENCODERS[name](n_phases, pretrained)


def _network(name: str, weights: str | None) -> nn.Module:
    """torchvision's network with the weights called so there, or with random ones."""
    import_torchvision()
    from torchvision.models import get_model, get_model_weights

    net = get_model(name)
    if weights is None:
        return net
    source = get_model_weights(name)[weights]
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(source.url).name
    try:  # the hub's folder, else a download, whose hash is checked before it gets its name there
        net.load_state_dict(source.get_state_dict(check_hash=True, weights_only=True))
    except Exception as error:  # whatever the network or a damaged file raises
        reason = str(error).partition("\n")[0]
        if file.exists():
            raise InputError(f"{file}: not the weights of {name} ({reason}); delete it and run again") from error
        raise InputError(
            f"{file}: pretrained weights of {name}, neither there nor reachable ({reason}): "
            f"run once with a network, or fetch {source.url} and put it there"
        ) from error
    return net


def _fit_stem(conv: nn.Conv2d, n_phases: int, pretrained: bool, init: Callable[[Tensor], Tensor]) -> None:
    """Make a stem for red, green and blue one for phases, in place.

    Three phases take the three filters as they are.  For another number, random filters are drawn anew by `init`;
    learned ones are inflated: every phase gets the mean filter, scaled so that activations keep their size.
    """
    if n_phases == 3:
        return
    rgb = conv.weight.detach()  # (C, 3, k, k)
    if pretrained:
        filters = rgb.mean(dim=1, keepdim=True).repeat(1, n_phases, 1, 1) * (3 / n_phases)
    else:
        filters = init(rgb.new_empty(len(rgb), n_phases, *rgb.shape[2:]))
    conv.in_channels, conv.weight = n_phases, nn.Parameter(filters)
