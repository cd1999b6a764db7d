"""What the tests of the moving figures share: a page around an output, and what stands in it."""

import json
import re

import numpy as np

ROWS = [3, 0, 6]  # of `toy`: one slice of each of three classes
PIXELS = "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"


def document(*outputs: str) -> str:
    return "\n".join(['<!doctype html><html lang="en"><meta charset="utf-8"><title>Test</title>', *outputs])


def drawn(canvas) -> np.ndarray:
    """(side, side, 4) uint8, what a canvas holds."""
    values = np.array(canvas.evaluate(PIXELS))
    side = int(len(values) ** 0.5 / 2)
    return values.reshape(side, side, 4)


def windowed(hu: np.ndarray, level: float, width: float) -> np.ndarray:
    return np.rint(np.clip((hu - (level - width / 2)) * 255 / width, 0, 255))


def check_pictures(scope, hu: np.ndarray, level: float, width: float) -> None:
    """Every canvas of `scope` shows its phase of hu (P, side, side) under the window, in grey and opaque."""
    for canvas, phase in zip(scope.locator("canvas").all(), hu, strict=True):
        pixels = drawn(canvas)
        assert (pixels[..., :3] == windowed(phase, level, width)[..., None]).all()
        assert (pixels[..., 3] == 255).all()


def set_slider(scope, name: str, value: float) -> None:
    scope.get_by_label(name, exact=True).evaluate(
        "(input, value) => { input.value = value; input.dispatchEvent(new Event('input', {bubbles: true})); }", value
    )


def value_of(scope, name: str) -> float:
    return float(scope.get_by_label(name, exact=True).input_value())


def spec_of(output: str) -> dict:
    """What Python hands to the script in an output."""
    return json.loads(re.search(r", (\{[^\n]*\})\);</script>$", output)[1])
