"""The widget of a live notebook: it draws, and its sliders move the picture."""

from matplotlib import pyplot as plt

from livervlm.book.widgets import browse


def test_sliders_choose_slice_and_window(toy, monkeypatch):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf().axes[0].images[0]))
    index, level, width, _ = browse(toy).children
    assert index.max == len(toy) - 1
    index.value, level.value, width.value = 2, 100, 60
    picture = shown[-1]
    assert picture.get_clim() == (70, 130)
    assert (picture.get_array() == toy.hu[2, 0]).all()
    plt.close("all")
