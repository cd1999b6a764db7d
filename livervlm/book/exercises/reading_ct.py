"""Checkers of the chapter 'Reading a CT'."""

import numpy as np

from .judge import Wrong, array_of, as_text, checker, expect


@checker
def window(answer):
    """Hounsfield units, clipped to a window and scaled to -1 ... 1."""
    hu = np.array([-1000.0, -160.0, 40.0, 140.0, 240.0, 3000.0])
    expected = np.array([-1.0, -1.0, 0.0, 0.5, 1.0, 1.0])
    got = array_of(answer(hu, -160, 240), hu.shape)
    if np.allclose(got, [-160, -160, 40, 140, 240, 240]):
        raise Wrong("You clip, but these are still Hounsfield units: scale them to -1 ... 1.")
    if np.allclose(got, -expected):
        raise Wrong("Your picture is a negative: the low end of the window is -1 and the high end 1.")
    if np.allclose(got, (expected + 1) / 2):
        raise Wrong("Your numbers run from 0 to 1; asked for was -1 to 1.")
    if np.allclose(got[1:5], expected[1:5]) and (got.min() < -1 or got.max() > 1):
        raise Wrong(
            f"Right inside the window, but beyond it your numbers leave -1 ... 1 (air becomes {got[0]:.1f}, metal "
            f"{got[-1]:.1f}). Clip: what lies outside must become exactly -1 or 1."
        )
    expect(got, expected, f"the window -160 to 240 HU on `{as_text(hu)}`")
    got = array_of(answer(np.array([[0.0, 50.0], [100.0, 200.0]]), 0, 100), (2, 2))
    if np.allclose(got, [[-0.2, 0.05], [0.3, 0.8]]):
        raise Wrong("Whatever window is asked for, yours is -160 to 240 HU: use `low` and `high`.")
    expect(got, [[-1, 0], [1, 1]], "the window 0 to 100 HU on `[[0, 50], [100, 200]]`")


@checker
def washes_out(answer):
    """Which lesions outshine their liver in the arterial phase and fall below it in the portal venous one."""
    liver, fatty = (55, 65, 105), (20, 30, 70)
    cases = [  # HU of the lesion and of its liver in NC, ART, PV; the truth; what another answer means
        (
            *((45, 110, 125), liver, False),
            "stays bright, as a hemangioma does. Ask for both: bright first, dark later.",
        ),
        (
            *((10, 12, 11), liver, False),
            "is dark from the beginning, as a cyst. Ask for both: bright first, dark later.",
        ),
        (
            *((55, 130, 115), liver, False),
            "falls from its own peak and yet stays brighter than the liver. Washout compares with the liver of the "
            "same phase, not with the lesion before.",
        ),
        (
            *((25, 50, 80), liver, False),
            "gains 25 HU over its own native phase and yet is darker than the liver in the arterial one. Brightness, "
            "too, compares with the liver of the same phase.",
        ),
        (*((50, 70, 85), liver, False), "is only 5 HU brighter than the liver in the arterial phase: ask for 10."),
        (*((50, 100, 100), liver, False), "is only 5 HU darker than the liver in the portal venous phase: ask for 10."),
        (
            *((45, 100, 85), liver, True),
            "is an HCC that washes out: 35 HU above the liver in ART, 20 HU below it in PV.",
        ),
        (
            *((25, 60, 45), fatty, True),
            "is brighter, then darker than its own liver, which is fatty and dark: compare each lesion with its own.",
        ),
        (*((50, 75, 95), liver, True), "is brighter and then darker by exactly 10 HU, and 'at least 10' includes 10."),
    ]
    lesion, around, truth, _ = zip(*cases, strict=True)
    got = array_of(answer(np.array(lesion, float), np.array(around, float)), (len(cases),))
    if not np.isin(got, (0, 1)).all():
        raise Wrong("Answer True or False for every lesion: compare, and return what the comparison gives.")
    if wrong := np.flatnonzero(got != truth).tolist():
        values, its_liver, washes, meaning = cases[wrong[0]]
        raise Wrong(
            f"You say {'no' if washes else 'yes'} to a lesion of `{values}` HU in a liver of `{its_liver}` HU "
            f"(NC, ART, PV). But it {meaning}"
        )
