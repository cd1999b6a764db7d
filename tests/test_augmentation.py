"""Phase-shuffle augmentation: the picture and the prompt agree, or disagree, exactly as each variant says."""

import pytest
import torch
from conftest import CLASSES
from torch import nn
from torch.nn.functional import cross_entropy

from livervlm.base.errors import InputError
from livervlm.models.augmentation import AUGMENTATIONS, all_prompts, matched, mismatched
from livervlm.models.liver_vlm import LiverVLM
from livervlm.models.settings import Config
from livervlm.scans.phases import shuffle

PHASES = ("NC", "ART", "PV")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def batch():
    image = torch.arange(3.0).view(1, 3, 1, 1).expand(64, 3, 8, 8) + torch.randn(64, 3, 8, 8, generator=seeded()) / 10
    return {"image": image, "label": torch.arange(64) % 4}


@pytest.fixture
def asked():
    """A model that keeps what it is asked, with any answer."""

    class Asked(nn.Module):
        def forward(self, image, order):
            self.image, self.order = image, order
            return torch.zeros(len(image), 4)

    return Asked()


@pytest.fixture
def model(tiny_encoder):
    torch.manual_seed(0)
    return lambda head="text": LiverVLM(Config(CLASSES, PHASES, head=head, text_encoder="random"))


def test_the_matched_prompt_names_the_order_that_is_shown(asked, batch):
    loss = matched(asked, batch, seeded())
    assert torch.equal(asked.image, shuffle(batch["image"], asked.order))
    assert set(asked.order.tolist()) == set(range(6))
    assert loss == pytest.approx(torch.log(torch.tensor(4.0)).item())


def test_the_mismatched_prompt_never_does_and_names_all_others(asked, batch):
    mismatched(asked, batch, seeded())
    shown = torch.stack(
        [(shuffle(batch["image"], torch.full((64,), o)) == asked.image).flatten(1).all(1) for o in range(6)]
    )
    shown = shown.int().argmax(0)
    assert torch.equal(asked.image, shuffle(batch["image"], shown))
    assert set(((asked.order - shown) % 6).tolist()) == {1, 2, 3, 4, 5}


def test_all_prompts_compete_as_classes_of_their_own(model, batch):
    net = model()
    loss = all_prompts(net, batch, seeded(5))
    order = torch.randint(6, (64,), generator=seeded(5))
    pictures = shuffle(batch["image"], order)
    by_order = torch.stack([net(pictures, torch.full((64,), o)) for o in range(6)], dim=1)  # (B, 6, C)
    assert torch.allclose(net.every_logit(pictures), by_order, atol=1e-5)
    expected = cross_entropy(by_order.reshape(64, 24), order * 4 + batch["label"])
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    assert loss > matched(net, batch, seeded(5))  # 24 rivals instead of 4


@pytest.mark.parametrize("head", ["fc", "prototypes"])
def test_prompts_cannot_compete_where_there_are_none(model, batch, head):
    with pytest.raises(InputError, match=f"only with the head text, not with {head}"):
        all_prompts(model(head), batch, seeded())


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_variant_trains_repeats_and_stays_on_its_device(model, batch, name):
    net = model()
    first, again = (AUGMENTATIONS[name](net, batch, seeded(2)) for _ in range(2))
    assert torch.equal(first, again)
    first.backward()
    assert all(p.grad is not None for p in net.parameters())
    on_meta = net.to("meta")
    loss = AUGMENTATIONS[name](on_meta, {k: v.to("meta") for k, v in batch.items()}, seeded())
    assert loss.device.type == "meta"
