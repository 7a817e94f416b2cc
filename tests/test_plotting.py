"""The figures show the data they are given."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

from xraylib import plotting  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.random((12, 28, 28, 1), np.float32)
Y = np.arange(12) % 2


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def texts(figure):
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text)]


def test_label_distribution_shows_the_counts():
    figure = plotting.plot_label_distribution({"train": np.array([0] * 3 + [1] * 9), "test": np.array([0, 1])})
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert heights == [3, 1, 9, 1]
    assert "9\n(75%)" in texts(figure)


def test_the_mean_images_are_means():
    figure = plotting.plot_mean_images(X, Y)
    normal, pneumonia, difference = (axis.images[0].get_array() for axis in figure.axes[:3])
    assert np.allclose(normal, X[Y == 0].mean(0)[..., 0])
    assert np.allclose(difference, pneumonia - normal)


def test_intensities_are_shares():
    figure = plotting.plot_intensities(X, Y)
    for patch in figure.axes[0].patches:
        assert patch.get_data().values.sum() == pytest.approx(1)


def test_the_curves_are_the_history():
    history = {name: list(RNG.random(5)) for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
    figure = plotting.plot_history(history)
    drawn = [line.get_ydata().tolist() for axis in figure.axes for line in axis.lines]
    assert drawn == [history["loss"], history["val_loss"], history["accuracy"], history["val_accuracy"]]


def test_the_confusion_matrix_shows_counts_and_rates():
    shown = texts(plotting.plot_confusion(np.array([[30, 10], [5, 55]])))
    assert {"30", "10", "5", "55", "75.0%", "25.0%", "8.3%", "91.7%"} <= set(shown)
    assert {"truth", "predicted"} <= set(shown)


def test_the_roc_curve_names_its_axes_and_area():
    shown = texts(plotting.plot_roc((np.array([0, 0.2, 1]), np.array([0, 0.9, 1])), (0.2, 0.9), 0.912))
    assert any("0.912" in text for text in shown)
    assert any("sensitivity" in text for text in shown)


def test_right_and_wrong_differ_by_more_than_colour():
    figure = plotting.plot_predictions(X[:2], np.array([1, 0]), np.array([0.9, 0.8]))
    right, wrong = (axis.get_title() for axis in figure.axes[:2])
    assert "✓" in right and "✗ is NORMAL" in wrong
    frames = [axis.patches[-1].get_linestyle() for axis in figure.axes[:2]]
    assert frames[0] != frames[1]


def test_a_grid_shows_every_image():
    figure = plotting.plot_sample_grid(X[:7], [f"image {i}" for i in range(7)])
    assert sum(bool(axis.images) for axis in figure.axes) == 7
    assert plotting.plot_steps(X[:3], "abc").axes[0].get_xlabel() == "pixel"


def test_a_shown_figure_carries_its_alternative_text(monkeypatch):
    shown = {}
    monkeypatch.setattr(plotting, "display", lambda figure, metadata: shown.update(metadata))
    plotting.show(plt.figure(), "a bare figure")
    assert shown == {"image/png": {"alt": "a bare figure"}}
    assert not plt.get_fignums()


def test_a_moved_slider_draws_anew():
    import ipywidgets as widgets

    drawn = []

    def draw(height):
        drawn.append(height)
        figure, axis = plt.subplots()
        axis.bar([0], [height])
        return figure

    slider = widgets.FloatSlider(0.5, min=0, max=1)
    box = plotting.explore(draw, height=slider)
    before = bytes(box.children[-1].value)
    slider.value = 0.9
    assert drawn == [0.5, 0.9]
    assert bytes(box.children[-1].value).startswith(b"\x89PNG")
    assert bytes(box.children[-1].value) != before
    assert not plt.get_fignums()
