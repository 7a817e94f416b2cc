"""Figures that go past the reference system, in the style of `xraylib.plotting`: they draw only."""

import html

import ipywidgets as widgets
import numpy as np
import seaborn as sns

from xraylib.plotting import PALETTE, draw_image, png, subplots


class Explorer(widgets.VBox):
    """Show sliders above a figure that is drawn anew whenever one of them is moved.

    Where nothing can move, as on GitHub, it is the figure as it was first drawn.

    Parameters
    ----------
    draw : callable
        ``draw(**values)`` returns a Figure.
    alt : str
        What there is to be seen, for those who cannot see it.
    sliders : ipywidgets widgets
        One for each argument of `draw`, by its name.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> slider = widgets.FloatSlider(2, min=1, max=3)
    >>> explorer = Explorer(lambda width: plt.figure(figsize=(width, 1)), "a figure", width=slider)
    >>> explorer.children[-1].value[:57]
    '<img alt="a figure" width="200" style="max-width: 100%" s'
    """

    def __init__(self, draw, alt, **sliders):
        figure = widgets.HTML()
        super().__init__([*sliders.values(), figure])

        def update(_=None):
            self.image, size = png(draw(**{name: slider.value for name, slider in sliders.items()}))
            source = f"data:image/png;base64,{self.image}"
            shown = f'width="{size["width"]}" style="max-width: 100%"'  # of a narrow column
            figure.value = f'<img alt="{html.escape(alt)}" {shown} src="{source}">'
            self.metadata = {"image/png": {"alt": alt, **size}}

        for slider in sliders.values():
            slider.observe(update, "value")
        update()

    def _repr_mimebundle_(self, **kwargs):
        return super()._repr_mimebundle_(**kwargs) | {"image/png": self.image}, self.metadata


def plot_fields(fields, labels, titles=None):
    """Draw physical quantities side by side, each with a color bar of its own.

    Parameters
    ----------
    fields : sequence of ndarray of float, (h, w)
        Quantities at each pixel.
    labels : sequence of str
        What each is, with its unit.
    titles : sequence of str, optional
        What stands above each.

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = plot_fields([np.eye(3), np.ones((3, 3))], ["lung (cm)", "body (cm)"])
    """
    side = min(9 / len(fields), 4)
    figure, axes = subplots(1, len(fields), size=(side * len(fields), side + 0.5))
    titles = titles or [""] * len(fields)
    for axis, field, label, title in zip(axes, fields, labels, titles, strict=True):
        drawn = axis.imshow(field, cmap="gray", vmin=0)
        axis.set_title(title, fontsize=9.5)
        axis.set_axis_off()
        figure.colorbar(drawn, ax=axis, label=label, location="bottom", shrink=0.8)
    return figure


def plot_reliability(tables):
    """Draw reliability diagrams: observed against predicted, with intervals and numbers of images.

    Parameters
    ----------
    tables : dict of str to DataFrame
        What `xraylib.beyond.calibration.reliability` returns, by name; one to three.

    Returns
    -------
    Figure

    Examples
    --------
    >>> from xraylib.beyond.calibration import reliability
    >>> figure = plot_reliability({"as trained": reliability([0, 1, 1], [0.1, 0.2, 0.9])})
    """
    side = min(9 / len(tables), 4.5)
    figure, axes = subplots(1, len(tables), size=(side * len(tables), side))
    for place, (axis, (name, table)) in enumerate(zip(axes, tables.items(), strict=True)):
        axis.plot([0, 1], [0, 1], ":", color="gray")
        reach = [table["observed"] - table["ci_low"], table["ci_high"] - table["observed"]]
        axis.errorbar(
            table["predicted"],
            table["observed"],
            yerr=reach,
            fmt="os^"[place],
            color=PALETTE[place],
            capsize=3,
        )
        for centre, images in table["images"].items():
            axis.annotate(f"{images:,}", (centre, 1.04), ha="center", fontsize=8)
        axis.set(title=f"{name}\n(images in each bin above)", aspect="equal")
        axis.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.1), xlabel="predicted probability")
    axes[0].set_ylabel("observed proportion of PNEUMONIA")
    return figure


def plot_intervals(tables, title="", leave_out=("brier_score",), difference=False):
    """Draw values with their intervals, a row of points for each metric.

    Parameters
    ----------
    tables : dict of str to DataFrame
        Tables with one index and the columns ``value``, ``ci_low`` and ``ci_high``, by name.
    title : str
        Above it all.
    leave_out : sequence of str
        Rows not to draw. The Brier score is near 0 where the others are near 1.
    difference : bool
        If the values are differences: the axis says so, and 0 is marked.

    Returns
    -------
    Figure

    Examples
    --------
    >>> from xraylib.evaluation import bootstrap_table
    >>> table = bootstrap_table([0, 0, 1, 1], [0.1, 0.7, 0.8, 0.9], ["a", "b", "c", "d"])
    >>> figure = plot_intervals({"network": table})
    """
    shown = {name: table.drop(list(leave_out), errors="ignore") for name, table in tables.items()}
    names = [
        name.replace("roc_auc", "ROC AUC").replace("f1", "F1").replace("_", " ")
        for name in next(iter(shown.values())).index
    ]
    figure, (axis,) = subplots(1, 1, size=(8, 0.45 * len(names) + 1.4))
    for place, (name, table) in enumerate(shown.items()):
        rows = np.arange(len(table)) + (place - (len(shown) - 1) / 2) * 0.25
        reach = [table["value"] - table["ci_low"], table["ci_high"] - table["value"]]
        axis.errorbar(
            table["value"],
            rows,
            xerr=reach,
            fmt="osD^"[place % 4],
            color=PALETTE[place],
            capsize=3,
            label=name,
        )
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    axis.grid(axis="x", alpha=0.3)
    kind = "difference" if difference else "value"
    axis.set(xlabel=f"{kind}, with its 95% interval", title=title)
    if difference:
        axis.axvline(0, color="gray", linestyle=":")
    if len(shown) > 1:
        axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def plot_saliency(images, maps, titles):
    """Draw saliency maps below the radiographs they belong to, in the colors of the color bar.

    White lines on a map follow the radiograph's median gray value, so that one sees where it is.

    Parameters
    ----------
    images : sequence of array_like, (h, w) or (h, w, 1)
        Radiographs: uint8, or float in [0, 1].
    maps : dict of str to ndarray of float, (n, size, size)
        Maps in [0, 1] for these n images, by the name of the method.
    titles : sequence of str
        One for each radiograph, of at most two lines.

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = plot_saliency(np.zeros((2, 28, 28)), {"flat": np.ones((2, 7, 7))}, ["a", "b"])
    """
    rows = len(maps) + 1
    side = min(9 / (len(images) + 0.7), 2.5)  # inches
    figure, axes = subplots(
        rows, len(images), size=(side * (len(images) + 0.7), (side + 0.3) * rows)
    )
    grid = axes.reshape(rows, len(images))
    for axis, image, title in zip(grid[0], images, titles, strict=True):
        draw_image(axis, image, title)
    for line, (name, values) in zip(grid[1:], maps.items(), strict=True):
        for axis, image, value in zip(line, images, values, strict=True):
            drawn = draw_image(axis, value, cmap="magma")
            height, width = value.shape
            extent = (-0.5, width - 0.5, -0.5, height - 0.5)  # the image, over the map's pixels
            gray = np.squeeze(image)
            axis.contour(
                gray,
                [np.median(gray)],
                colors="white",
                linewidths=0.6,
                origin="lower",
                extent=extent,
            )
        line[0].set_title(name, fontsize=9.5, loc="left")
    figure.colorbar(drawn, ax=axes, label="relative saliency", shrink=0.6)
    return figure


def plot_dots(table, x, y, hue, title=""):
    """Draw a dot for each row of a table; `hue` differs by mark as well as by color.

    Parameters
    ----------
    table : DataFrame
        One row a dot.
    x, y, hue : str
        Names of its columns: the value, the row of the figure and the group.
    title : str
        Above it all.

    Returns
    -------
    Figure

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"accuracy": [0.9, 0.8], "seed": ["0", "1"], "network": ["a", "b"]})
    >>> figure = plot_dots(table, "accuracy", "seed", "network")
    """
    figure, (axis,) = subplots(1, 1, size=(9, 0.38 * table[y].nunique() + 1.6))
    sns.scatterplot(
        table, x=x, y=y, hue=hue, style=hue, palette="colorblind", s=70, ax=axis, zorder=3
    )
    axis.grid(axis="x", alpha=0.3)
    axis.set(xlabel=x.replace("_", " "), ylabel="", title=title)
    axis.legend(
        loc="center left", bbox_to_anchor=(1, 0.5), title=hue.replace("_", " "), frameon=False
    )
    return figure
