"""The figures show the data they are given."""

import base64
import io
import struct

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

from xraylib import plotting  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.random((12, 28, 28, 1), np.float32)
Y = np.arange(12) % 2
HISTORY = {name: list(RNG.random(5)) for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
ROC = (np.array([0, 0.2, 1]), np.array([0, 0.9, 1]), 0.912, (0.2, 0.9))


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def texts(figure):
    return {text.get_text() for text in figure.findobj(matplotlib.text.Text)}


@pytest.fixture
def shown(monkeypatch):
    """What `show` displays of an empty figure of 4 by 3 inches."""
    calls = []
    monkeypatch.setattr(plotting, "display", lambda data, **options: calls.append((data, options)))
    plotting.show(plt.figure(figsize=(4, 3)), "a bare figure")
    return calls[0]


def test_a_shown_figure_carries_its_alternative_text(shown):
    assert shown[1]["metadata"]["image/png"]["alt"] == "a bare figure"


def test_a_terminal_gets_the_alternative_text(shown):
    assert shown[0]["text/plain"] == "a bare figure"


def test_a_shown_figure_has_twice_the_pixels_of_its_place_on_the_page(shown):
    header = io.BytesIO(base64.b64decode(shown[0]["image/png"])).read(24)
    assert struct.unpack(">II", header[16:]) == (800, 600)
    size = shown[1]["metadata"]["image/png"]
    assert (size["width"], size["height"]) == (400, 300)


def test_a_shown_figure_is_closed(shown):
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plotting.plot_label_distribution({"train": Y}),
        lambda: plotting.plot_sample_grid(X, "abcdefghijkl", 9),
        lambda: plotting.plot_sample_grid(X[:1], "a", 1),
        lambda: plotting.plot_intensities(X, Y),
        lambda: plotting.plot_mean_images(X, Y),
        lambda: plotting.plot_history(HISTORY),
        lambda: plotting.plot_confusion(np.eye(2, dtype=int)),
        lambda: plotting.plot_roc(*ROC),
        lambda: plotting.plot_predictions(X, Y, Y, Y),
    ],
)
def test_no_figure_is_wider_than_the_column(draw):
    assert draw().get_figwidth() <= 9


def test_the_label_distribution_has_a_bar_for_each_count():
    labels = {"train": np.array([0] * 3 + [1] * 9), "test": np.array([0, 1])}
    figure = plotting.plot_label_distribution(labels)
    assert [bar.get_height() for bar in figure.axes[0].patches] == [3, 1, 9, 1]


def test_the_label_distribution_gives_the_proportion_of_each_class():
    figure = plotting.plot_label_distribution({"train": np.array([0] * 3 + [1] * 9)})
    assert {"3\n(25%)", "9\n(75%)"} <= texts(figure)


def test_a_grid_shows_every_image_and_no_empty_axes():
    figure = plotting.plot_sample_grid(X[:7], [f"image {i}" for i in range(7)])
    assert [axis.get_title() for axis in figure.axes] == [f"image {i}" for i in range(7)]


def test_an_empty_mask_has_no_outline():
    half = np.arange(784).reshape(28, 28) < 392
    figure = plotting.plot_sample_grid(X[:1], ["a"], 1, outlines=[(half, np.zeros_like(half))])
    outlines = figure.axes[0].findobj(matplotlib.contour.ContourSet)
    assert len(outlines) == 1


def test_an_overlay_outlines_lungs_and_covers_opacities_as_strongly_as_they_are_likely():
    lungs = np.zeros((2, 28, 28))
    lungs[0, 4:20, 4:20] = 1
    opacity = np.full((2, 28, 28), 0.5)
    figure = plotting.plot_overlay(X[:2], lungs, opacity, ["lungs", "none"], columns=2)
    outlined, bare = figure.axes
    assert (len(outlined.collections), len(bare.collections)) == (1, 0)
    assert np.allclose(outlined.images[1].get_alpha(), 0.35)


def test_no_image_is_a_grid_without_axes():
    assert plotting.plot_predictions(X[:0], [], [], []).axes == []


def test_each_image_needs_a_title():
    with pytest.raises(ValueError, match="shorter"):
        plotting.plot_sample_grid(X[:3], "ab")


def test_a_mask_is_white_where_it_is_true():
    figure, axes = plotting.subplots(1, 1, size=(2, 2))
    assert plotting.draw_image(axes[0], np.eye(3, dtype=bool), "mask").get_clim() == (0, 1)


def test_intensities_are_proportions():
    figure = plotting.plot_intensities(X, Y)
    sums = [patch.get_data().values.sum() for patch in figure.axes[0].patches]
    assert sums == pytest.approx([1, 1])


def test_the_mean_images_are_means():
    normal, pneumonia, _ = (
        axis.images[0].get_array() for axis in plotting.plot_mean_images(X, Y).axes[:3]
    )
    assert np.allclose(normal, X[Y == 0].mean(0)[..., 0])
    assert np.allclose(pneumonia, X[Y == 1].mean(0)[..., 0])


def test_the_difference_is_pneumonia_minus_normal():
    difference = plotting.plot_mean_images(X, Y).axes[2].images[0].get_array()
    assert np.allclose(difference, (X[Y == 1].mean(0) - X[Y == 0].mean(0))[..., 0])


def test_the_curves_are_the_history():
    figure = plotting.plot_history(HISTORY)
    drawn = [line.get_ydata().tolist() for axis in figure.axes for line in axis.lines]
    assert drawn == [HISTORY[name] for name in ("loss", "val_loss", "accuracy", "val_accuracy")]


def test_the_confusion_matrix_shows_counts_and_proportions():
    shown = texts(plotting.plot_confusion(np.array([[30, 10], [5, 55]])))
    assert {"30", "10", "5", "55", "75.0%", "25.0%", "8.3%", "91.7%"} <= shown


def test_the_confusion_matrix_has_the_true_class_in_its_rows():
    axis = plotting.plot_confusion(np.array([[30, 10], [5, 55]])).axes[0]
    assert (axis.get_ylabel(), axis.get_xlabel()) == ("true class", "predicted class")


def test_the_roc_curve_names_its_area():
    assert "network (AUC 0.912)" in texts(plotting.plot_roc(*ROC))


def test_the_roc_curve_marks_the_operating_point_in_both_panels():
    marks = [axis.lines[-1].get_xydata().tolist() for axis in plotting.plot_roc(*ROC).axes]
    assert marks == [[[0.2, 0.9]], [[0.2, 0.9]]]


def test_predictions_are_called_what_they_are_given_as():
    figure = plotting.plot_predictions(X[:2], [1, 0], [0, 0], [0.9, 0.001])
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["NORMAL 10%\n✗ is PNEUMONIA", "NORMAL >99%\n✓"]


def test_correct_and_wrong_differ_by_more_than_color():
    figure = plotting.plot_predictions(X[:2], [1, 0], [1, 1], [0.9, 0.8])
    assert [axis.patches[-1].get_linestyle() for axis in figure.axes] == ["-", "--"]
