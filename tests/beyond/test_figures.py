"""The figures past the reference system show the data they are given."""

import base64

import matplotlib

matplotlib.use("Agg")

import ipywidgets as widgets  # noqa: E402
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pytest  # noqa: E402

from xraylib.beyond import figures  # noqa: E402

RNG = np.random.default_rng(0)
INTERVALS = pd.DataFrame(
    {"value": [0.95, 0.9, 0.03], "ci_low": [0.93, 0.8, 0.01], "ci_high": [0.97, 1.0, 0.04]},
    index=["accuracy", "roc_auc", "brier_score"],
)
RELIABILITY = pd.DataFrame(
    {
        "predicted": [0.1, 0.8],
        "observed": [0.2, 0.9],
        "ci_low": [0.1, 0.8],
        "ci_high": [0.4, 1.0],
        "images": [7, 1234],
    },
    index=[0.25, 0.75],
)


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def texts(figure):
    return {text.get_text() for text in figure.findobj(matplotlib.text.Text)}


@pytest.fixture
def explorer():
    """A slider above a bar of its height; `heights` is what has been drawn."""
    heights = []

    def draw(height):
        heights.append(height)
        figure, axis = plt.subplots()
        axis.bar([0], [height])
        axis.set_ylim(0, 1)
        return figure

    made = figures.Explorer(draw, 'a "bar"', height=widgets.FloatSlider(0.5, min=0, max=1))
    made.heights = heights
    return made


def test_a_moved_slider_draws_anew(explorer):
    slider, image = explorer.children
    before = image.value
    slider.value = 0.9
    assert explorer.heights == [0.5, 0.9]
    assert image.value != before


def test_the_figure_below_the_sliders_has_an_alternative_text(explorer):
    assert 'alt="a &quot;bar&quot;"' in explorer.children[-1].value


def test_a_page_without_widgets_shows_the_figure(explorer):
    data, metadata = explorer._repr_mimebundle_()
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert metadata["image/png"]["alt"] == 'a "bar"'


def test_moving_a_slider_leaves_no_figure_open(explorer):
    explorer.children[0].value = 0.9
    assert not plt.get_fignums()


def test_each_field_has_a_color_bar_with_its_unit():
    fields = [np.eye(3), np.ones((3, 3))]
    figure = figures.plot_fields(fields, ["lung (cm)", "body (cm)"], ["one", "two"])
    assert {"lung (cm)", "body (cm)", "one", "two"} <= texts(figure)


def test_reliability_has_a_point_a_bin_and_no_line_through_them():
    axis = figures.plot_reliability({"as trained": RELIABILITY}).axes[0]
    points = axis.containers[0].lines[0]
    assert points.get_xydata().tolist() == [[0.1, 0.2], [0.8, 0.9]]
    assert points.get_linestyle() == "None"


def test_reliability_draws_the_intervals():
    axis = figures.plot_reliability({"as trained": RELIABILITY}).axes[0]
    bars = axis.containers[0].lines[2][0].get_segments()
    assert np.allclose([bar[:, 1] for bar in bars], [[0.1, 0.4], [0.8, 1.0]])


def test_reliability_gives_the_images_of_each_bin():
    assert {"7", "1,234"} <= texts(figures.plot_reliability({"as trained": RELIABILITY}))


def test_intervals_are_drawn_from_end_to_end():
    axis = figures.plot_intervals({"network": INTERVALS}).axes[0]
    bars = axis.containers[0].lines[2][0].get_segments()
    assert np.allclose([bar[:, 0] for bar in bars], [[0.93, 0.97], [0.8, 1.0]])


def test_intervals_leave_the_brier_score_out_and_so_show_the_differences():
    axis = figures.plot_intervals({"network": INTERVALS}).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["accuracy", "ROC AUC"]
    assert axis.get_xlim()[0] > 0.7


def test_intervals_of_differences_say_so_and_mark_no_difference():
    axis = figures.plot_intervals({"network": INTERVALS}, difference=True).axes[0]
    assert axis.get_xlabel().startswith("difference")
    assert [0, 0] in [list(line.get_xdata()) for line in axis.lines]


def test_intervals_draw_the_brier_score_when_asked():
    assert "brier score" in texts(figures.plot_intervals({"a": INTERVALS}, leave_out=()))


def test_saliency_is_drawn_in_the_colors_of_its_color_bar():
    maps = RNG.random((2, 7, 7))
    figure = figures.plot_saliency(RNG.random((2, 28, 28)), {"random": maps}, ["a", "b"])
    drawn = figure.axes[2].images[0]
    assert np.array_equal(drawn.get_array(), maps[0])
    assert drawn.get_alpha() is None


def test_saliency_outlines_the_radiograph_where_it_is():
    image = np.zeros((28, 28))
    image[:7, :7] = 1  # the upper left corner is the upper left quarter of a map of 2 by 2
    image[7:] = 0.5
    figure = figures.plot_saliency([image], {"flat": np.ones((1, 2, 2))}, ["a"])
    (outline,) = figure.axes[1].findobj(matplotlib.contour.ContourSet)
    top = min(path.vertices[:, 1].min() for path in outline.get_paths())
    assert top < 0


def test_dots_are_the_rows_of_the_table():
    table = pd.DataFrame({"accuracy": [0.9, 0.8], "seed": ["0", "1"], "network": ["a", "b"]})
    axis = figures.plot_dots(table, "accuracy", "seed", "network").axes[0]
    assert axis.collections[0].get_offsets()[:, 0].tolist() == [0.9, 0.8]
