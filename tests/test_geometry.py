"""Ordinary augmentation: what moves, how far, and that every phase of a picture moves alike."""

import pytest
import torch
from skimage.transform import AffineTransform
from skimage.transform import warp as skimage_warp

from livervlm.base.errors import InputError
from livervlm.models import geometry
from livervlm.models.geometry import GEOMETRIES, affine, flips, moved, turns, uniform, warp


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_known_maps_give_known_pictures():
    pictures = torch.randn(2, 3, 9, 9)

    def seen(theta):
        return warp(pictures, torch.tensor(theta).expand(2, 2, 3))

    assert torch.allclose(seen([[1.0, 0, 0], [0, 1, 0]]), pictures, atol=1e-5)
    assert torch.allclose(seen([[-1.0, 0, 0], [0, 1, 0]]), pictures.flip(3), atol=1e-5)
    assert torch.allclose(seen([[0.0, -1, 0], [1, 0, 0]]), pictures.rot90(1, (2, 3)), atol=1e-5)
    shifted = seen([[1.0, 0, 2 / 9], [0, 1, 0]])  # a pixel to the left, and the border again
    assert torch.allclose(shifted, torch.cat([pictures[..., 1:], pictures[..., -1:]], dim=3), atol=1e-5)


def test_a_warp_agrees_with_scikit_image():
    theta = torch.tensor([[[0.9, -0.4, 0.1], [0.3, 1.1, -0.05]]])
    picture = torch.randn(1, 1, 33, 33)
    centre = AffineTransform(translation=(-16, -16))
    grow, linear = AffineTransform(translation=(16, 16)), AffineTransform(matrix=[*theta[0].tolist(), [0, 0, 1]])
    scale = AffineTransform(scale=2 / 33)  # its places are pixels, ours run from -1 to 1
    inverse = centre + scale + linear + scale.inverse + grow
    wanted = skimage_warp(picture[0, 0].numpy(), inverse, order=1, mode="edge", preserve_range=True)
    assert torch.allclose(warp(picture, theta)[0, 0], torch.from_numpy(wanted).float(), atol=1e-4)


def test_flips_give_the_four_mirror_images_equally_often_and_every_phase_the_same():
    picture = torch.randn(1, 3, 5, 5)
    found = flips(picture.expand(400, -1, -1, -1), generator())
    wanted = [picture, picture.flip(2), picture.flip(3), picture.flip(2, 3)]
    counts = torch.stack([(found == w).all(dim=(1, 2, 3)) for w in wanted]).sum(dim=1)
    assert counts.sum() == 400
    assert counts.min() > 70


def test_affine_draws_angle_scale_shift_and_mirror_within_what_it_says(monkeypatch):
    maps = []
    monkeypatch.setattr(geometry, "warp", lambda images, theta: maps.append(theta) or images)
    affine(torch.zeros(4000, 1, 2, 2), generator())
    linear, shift = maps[0][:, :, :2], maps[0][:, :, 2]
    scale = linear.det().abs().sqrt()
    assert torch.allclose(linear @ linear.mT, scale[:, None, None] ** 2 * torch.eye(2), atol=1e-5)  # nothing is sheared
    assert 0.85 <= scale.min() < 0.855 and 1.145 < scale.max() <= 1.15  # noqa: PT018
    assert 0.099 < shift.abs().max() <= 0.1  # of a side of 2
    assert 0.45 < (linear.det() < 0).float().mean() < 0.55
    angles = torch.atan2(linear[:, 1, 0], linear[:, 0, 0])
    assert torch.histc(angles, 8, -torch.pi, torch.pi).min() > 400


def test_turns_neither_scale_nor_shift(monkeypatch):
    maps = []
    monkeypatch.setattr(geometry, "warp", lambda images, theta: maps.append(theta) or images)
    turns(torch.zeros(400, 1, 2, 2), generator())
    linear, shift = maps[0][:, :, :2], maps[0][:, :, 2]
    assert torch.allclose(linear @ linear.mT, torch.eye(2).expand(400, 2, 2), atol=1e-5)
    assert 0.4 < (linear.det() < 0).float().mean() < 0.6
    assert torch.atan2(linear[:, 1, 0], linear[:, 0, 0]).abs().max() > 3
    assert not shift.any()


def test_phases_move_together_and_pictures_apart():
    picture = torch.randn(1, 1, 16, 16).expand(4, 3, -1, -1)
    found = affine(picture, generator())
    assert torch.equal(found[:, 0], found[:, 2])
    assert not torch.allclose(found[0], found[1], atol=0.1)
    assert torch.equal(found, affine(picture, generator()))


@pytest.mark.parametrize("name", [name for name in GEOMETRIES if name != "none"])
def test_a_moved_task_sees_moved_pictures_and_their_own_labels(name):
    batch = {"image": torch.randn(6, 3, 8, 8), "label": torch.arange(6)}

    def task(model, batch, generator):
        return batch, generator

    own = generator()
    seen, given = moved(task, name)(None, batch, own)
    assert given is own
    assert torch.equal(seen["image"], GEOMETRIES[name](batch["image"], generator()))
    assert seen["label"] is batch["label"]
    assert moved(task, name).__name__ == "task"  # which a progress bar shows


def test_none_is_the_task_itself_and_another_name_is_refused():
    def task():
        """What is learned."""

    assert moved(task, "none") is task
    with pytest.raises(
        InputError, match="recipe: geometry 'magic' is unknown: choose one of none, flips, turns, affine"
    ):
        moved(task, "magic")


def test_draws_run_from_minus_one_to_one():
    drawn = uniform(generator(), 1000)
    assert -1 <= drawn.min() < -0.98
    assert 0.98 < drawn.max() < 1


def test_memory_order_changes_nothing_and_draws_go_to_the_pictures_device():
    pictures = torch.randn(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    assert torch.allclose(affine(pictures, generator()), affine(pictures.contiguous(), generator()), atol=1e-6)
    assert affine(pictures.to("meta"), generator()).device.type == "meta"
    assert flips(pictures.to("meta"), generator()).device.type == "meta"
