"""Pictures in red, green and blue that are made of the phases of a CT, for networks of photographs."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from livervlm.base.errors import InputError
from livervlm.models.zero_shot import to_rgb

PHASES = ("NC", "ART", "PV")


@given(st.integers(1, 5), st.integers(0, 2**16))
def test_pictures_are_grey_copies_of_the_phases(p, seed):
    windowed = torch.rand(2, p, 4, 6, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    phases, unit = ("NC", "ART", "PV", "DL", "X")[:p], (windowed + 1) / 2
    for number, phase in enumerate(phases):
        assert torch.equal(to_rgb(windowed, phases, phase), unit[:, [number] * 3])
    assert torch.allclose(to_rgb(windowed, phases, "mean")[:, 2], unit.mean(dim=1))
    montage, side = to_rgb(windowed, phases, "montage"), {1: 1, 2: 2, 3: 2, 4: 2, 5: 3}[p]
    assert montage.shape == (2, 3, 4 * side, 6 * side)
    for tile in range(side**2):
        row, column = divmod(tile, side)
        shown = montage[:, 0, row * 4 : row * 4 + 4, column * 6 : column * 6 + 6]
        assert torch.equal(shown, unit[:, tile] if tile < p else torch.zeros(2, 4, 6))


def test_a_stack_puts_three_phases_in_three_colours_and_nothing_else():
    windowed = torch.tensor([-1.0, 0.0, 1.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert to_rgb(windowed, PHASES, "stack")[0, :, 0, 0].tolist() == [0, 0.5, 1]
    with pytest.raises(InputError, match="2 phases make no picture by 'stack': choose one of mean, montage, NC, PV"):
        to_rgb(windowed[:, :2], ("NC", "PV"), "stack")
    with pytest.raises(InputError, match="3 phases make no picture by 'DL': choose one of stack, mean, montage, NC"):
        to_rgb(windowed, PHASES, "DL")
    with pytest.raises(InputError, match="do not have one channel for each of"):
        to_rgb(windowed, ("NC", "PV"), "mean")
