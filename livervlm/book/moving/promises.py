"""What five folds promise in one hospital after another, and what comes of it inside and outside."""

import numpy as np
from matplotlib import pyplot as plt

from ...base.errors import InputError
from ..figures import PALETTE
from .shared import MovingFigure, packed

HOSPITALS, OTHERS, FOLDS = 30, 20, 5  # others: whose patients are outside, as in the recorded study
REACH = 10  # points
RANGES = (
    {"name": "Gain", "min": -4, "max": 4, "step": 0.5},
    {"name": "Between hospitals", "min": 0, "max": 4, "step": 0.5},
    {"name": "Luck of five folds", "min": 0, "max": 4, "step": 0.5},
    {"name": "Luck of the network", "min": 0, "max": 4, "step": 0.5},
)


def promises(gain: float = 1.0, between: float = 1.0, folds: float = 3.0, network: float = 1.0) -> MovingFigure:
    """Hospitals that are drawn one by one: the gain that five folds promise, and the gain inside and outside.

    In points.  gain: of the method, the mean over hospitals.  between: sd of what a hospital adds to it for good.
    folds: sd of the luck of five folds together; that of one is sqrt(5) times as large.  network: sd of the luck of the
    network that is tested inside and outside.  All are simulated, with normal numbers; none of the starting values was
    measured.
    """
    start = gain, between, folds, network
    for value, one in zip(start, RANGES, strict=True):
        if not one["min"] <= value <= one["max"]:
            raise InputError(f"{one['name'].lower()} {value}: give {one['min']} to {one['max']} points")
    draws = np.random.default_rng(0).standard_normal((HOSPITALS, 3 + FOLDS)).astype(np.float32)
    draws[:, 2] /= OTHERS**0.5
    draws[:, 3:] *= FOLDS**0.5
    own, trained, others, *of_folds = draws.T
    promised = gain + between * own + folds * np.mean(of_folds, axis=0)
    figure, axis = plt.subplots(figsize=(4, 3.6), layout="constrained")
    axis.axline((0, 0), slope=1, color="0.7", linewidth=1)
    for truth, mark, name in ((own, "o", "inside"), (others, "x", "outside")):
        colour = PALETTE[mark == "x"]
        axis.scatter(promised, gain + between * truth + network * trained, marker=mark, color=colour, label=name)
    axis.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), xlabel="promised, points", ylabel="came, points")
    axis.legend()
    spec = {"hospitals": HOSPITALS, "reach": REACH, "ranges": RANGES, "start": start, "draws": packed(draws)}
    alt = (
        f"What came over what five folds promised, for {HOSPITALS} simulated hospitals, inside and outside, beside the "
        "line on which it came as promised."
    )
    return MovingFigure("promises", spec, figure, alt)
