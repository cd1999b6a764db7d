"""Image encoders behind one door: a stem for any number of phases, a feature map, a pooled vector."""

from collections import OrderedDict

from torch import Tensor, nn

from .compat import import_torchvision
from .errors import InputError


class ImageEncoder(nn.Module):
    """Phases as channels -> feature map -> its mean over space (section 3.2).

    body: (B, P, H, W) -> (B, dim, h, w).
    """

    def __init__(self, body: nn.Module, dim: int):
        super().__init__()
        self.body, self.dim = body, dim

    def forward_features(self, images: Tensor) -> Tensor:
        """The last feature map, (B, dim, h, w): where Grad-CAM looks."""
        return self.body(images)

    def forward(self, images: Tensor) -> Tensor:
        """The image's feature vector, (B, dim)."""
        return self.forward_features(images).mean(dim=(2, 3))


def _resnet18(n_phases: int) -> ImageEncoder:
    import_torchvision()
    from torchvision.models import resnet18

    net = resnet18()
    net.conv1 = nn.Conv2d(n_phases, 64, kernel_size=7, stride=2, padding=3, bias=False)
    nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")  # as torchvision's own stem
    body = OrderedDict(net.named_children())
    del body["avgpool"], body["fc"]
    return ImageEncoder(nn.Sequential(body), net.fc.in_features)


ENCODERS = {"resnet18": _resnet18}


def build_encoder(name: str, n_phases: int) -> ImageEncoder:
    """An encoder with random weights.  name: a key of `ENCODERS`.  n_phases: channels of its stem."""
    if name not in ENCODERS:
        raise InputError(f"image encoder {name!r} is unknown: choose one of {', '.join(ENCODERS)}")
    return ENCODERS[name](n_phases)
