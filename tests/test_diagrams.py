"""The drawings of the book: they tell the shapes of the models that they are given, and their words stay apart."""

from itertools import combinations

import pytest
import torch
from matplotlib import pyplot as plt

from livervlm.base.paths import data_file
from livervlm.book import diagrams
from livervlm.book.learning import learning_curves
from livervlm.models.lilnet import LiLNet
from livervlm.models.liver_vlm import LiverVLM
from livervlm.models.settings import Config
from livervlm.models.towers import SliceTowers


def liver_vlm():
    config = Config(classes=("A", "B"), phases=("NC", "ART", "PV"), encoder="resnet10_narrow", joint_dim=16)
    model = LiverVLM(config, torch.randn(6, 2, 5)).eval()
    return diagrams.liver_vlm_diagram(model, torch.zeros(7, 3, 32, 32))


def lilnet():
    return diagrams.lilnet_diagram(LiLNet.from_pretrained(data_file("lilnet")).eval(), torch.zeros(3, 1, 64, 64))


def selector():
    towers = SliceTowers().eval()
    towers.tokens = lambda sentences: torch.zeros(len(sentences), 384)  # no encoder is needed for a shape
    return diagrams.selector_diagram(towers, torch.zeros(9, 1, 64, 64), ["A sentence."])


DRAWN = {"Liver-VLM": liver_vlm, "LiLNet": lilnet, "key slices": selector, "protocols": diagrams.protocols_diagram}


@pytest.fixture(params=DRAWN)
def figure(request):
    yield DRAWN[request.param]()
    plt.close("all")


def words(figure):
    return [text for axis in figure.axes for text in axis.texts if text.get_text()]


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("Liver-VLM", ["(7, 3, 32, 32)", "(7, 128)", "(2, 5)", "(7, 16)", "(2, 16)", "(7, 2)"]),
        ("LiLNet", ["(3, 1, 64, 64)", "(3, 64, 4, 4)", "(3, 5, 64)", "(3, 5, 30)", "(3, 6)"]),
        ("key slices", ["(9, 1, 64, 64)", "(9, 128)", "(1, 384)", "(1, 128)", "(1, 9)"]),
    ],
)
def test_a_drawing_tells_the_shapes_of_its_model(name, shapes):
    said = "\n".join(text.get_text() for text in words(DRAWN[name]()))
    plt.close("all")
    assert [shape for shape in shapes if shape not in said] == []


def test_words_stay_apart_and_legible_on_a_telephone(figure):
    inches = figure.get_size_inches()[0]
    figure.set_dpi(360 / inches)  # the width of a page on a telephone, in pixels
    figure.canvas.draw()
    spans = [text.get_window_extent() for text in words(figure)]
    assert min(text.get_fontsize() for text in words(figure)) * figure.dpi / 72 > 9  # pixels
    assert not [pair for pair in combinations(spans, 2) if pair[0].overlaps(pair[1])]
    assert all(span.x0 >= 0 and span.x1 <= 360 for span in spans)


def test_words_stay_inside_their_boxes():
    figure = lilnet()
    figure.canvas.draw()
    boxes = [patch.get_window_extent() for patch in figure.axes[0].patches]
    spans = {text.get_text(): text.get_window_extent() for text in words(figure)}
    plt.close("all")
    outside = [said for said, span in spans.items() if not any(b.x0 <= span.x0 and span.x1 <= b.x1 for b in boxes)]
    assert outside == []


def test_learning_curves_draw_each_loss_from_its_first_epoch():
    axis = learning_curves({"one": [3.0, 2.0], "two": [1.0]}, {"a guess": 2.5}).axes[0]
    drawn = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axis.lines}
    plt.close("all")
    assert drawn["one"] == ([1, 2], [3.0, 2.0])
    assert drawn["two"] == ([1], [1.0])
    assert drawn["a guess"][1] == [2.5, 2.5]
    assert axis.get_ylim()[0] == 0
