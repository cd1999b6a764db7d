"""One table of orders, and a shuffle that follows it on every device."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from livervlm.base.errors import InputError
from livervlm.scans.conventions import CANONICAL
from livervlm.scans.phases import inverses, order_names, orders, shuffle

DTYPES = (torch.int16, torch.float32, torch.bfloat16)


@st.composite
def shuffles(draw, n_orders=1):
    """(images, order, ...): every voxel differs from every other, so that a wrong move shows."""
    k, b, h, w = (draw(st.integers(1, n)) for n in (5, 4, 3, 3))
    images = torch.arange(b * k * h * w).reshape(b, k, h, w).to(draw(st.sampled_from(DTYPES)))
    numbers = st.lists(st.integers(0, math.factorial(k) - 1), min_size=b, max_size=b)
    return images, *(torch.tensor(draw(numbers)) for _ in range(n_orders))


@pytest.mark.parametrize("k", range(1, 6))
def test_table_holds_every_order_once_and_begins_with_the_canonical_one(k):
    table = orders(k)
    assert table.dtype == torch.int64
    assert table[0].tolist() == list(range(k))
    assert sorted(map(tuple, table.tolist())) == sorted(itertools.permutations(range(k)))


def test_six_orders_of_three_phases_by_name():
    assert order_names(CANONICAL) == [
        ("NC", "ART", "PV"),
        ("NC", "PV", "ART"),
        ("ART", "NC", "PV"),
        ("ART", "PV", "NC"),
        ("PV", "NC", "ART"),
        ("PV", "ART", "NC"),
    ]


@pytest.mark.parametrize("k", [0, -1])
def test_no_phases_have_no_orders(k):
    with pytest.raises(InputError, match="at least one phase"):
        orders(k)


@given(shuffles())
def test_channel_j_shows_the_phase_that_the_table_names(case):
    images, order = case
    k = images.shape[1]
    table = list(itertools.permutations(range(k)))
    out = shuffle(images, order)
    assert out.dtype == images.dtype
    for b in range(len(images)):
        for j in range(k):
            assert torch.equal(out[b, j], images[b, table[order[b]][j]])


@given(shuffles())
def test_inverse_undoes_a_shuffle(case):
    images, order = case
    back = inverses(images.shape[1])[order]
    assert torch.equal(shuffle(shuffle(images, order), back), images)
    assert torch.equal(shuffle(shuffle(images, back), order), images)


@given(shuffles(n_orders=2))
def test_two_shuffles_are_the_shuffle_by_their_composition(case):
    images, first, second = case
    table = orders(images.shape[1])
    composed = table[first].gather(1, table[second])  # channel j shows what the second took from the first
    number = (composed[:, None] == table).all(dim=2).int().argmax(dim=1)
    assert torch.equal(shuffle(shuffle(images, first), second), shuffle(images, number))


def test_names_and_images_tell_the_same_order():
    images = torch.arange(3).reshape(1, 3, 1, 1).expand(6, 3, 1, 1)
    shown = shuffle(images, torch.arange(6))[:, :, 0, 0]
    assert [tuple(CANONICAL[i] for i in row) for row in shown.tolist()] == order_names(CANONICAL)


@pytest.mark.parametrize("dtype", DTYPES)
def test_shuffle_stays_on_the_accelerator(dtype):
    with FakeTensorMode():
        images = torch.empty(2, 3, 4, 4, dtype=dtype, device="cuda")
        out = shuffle(images, torch.zeros(2, dtype=torch.long, device="cuda"))
    assert (out.device.type, out.dtype, out.shape) == ("cuda", dtype, images.shape)


def test_shuffle_works_on_meta_and_passes_a_gradient():
    images = torch.empty(2, 4, 4, 4, device="meta", requires_grad=True)
    shuffle(images, torch.zeros(2, dtype=torch.long, device="meta")).sum().backward()
    assert images.grad.shape == images.shape


@pytest.mark.parametrize("mode", [FakeTensorMode, lambda: torch.device("meta"), torch.inference_mode])
def test_table_is_not_spoilt_by_the_mode_it_was_first_asked_in(mode):
    for table in (orders, inverses):
        getattr(table, "cache_clear", lambda: None)()
        with mode():
            table(3)
        later = table(3)
        assert type(later) is torch.Tensor
        assert (later.device.type, later.is_inference()) == ("cpu", False)


def test_changing_a_table_in_hand_changes_no_later_one():
    orders(3)[0] = 2
    assert orders(3)[0].tolist() == [0, 1, 2]
