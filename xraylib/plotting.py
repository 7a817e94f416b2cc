"""What it looks like: each function draws the data it is given and returns the Matplotlib `Figure`.

Nothing here thresholds or scores. The style is set once, below: at most 9 inches, which is 900
pixels and JupyterLab's column, with letters that can still be read at 700. Colors are seaborn's
color-blind palette; classes differ by place, hatch, line or mark as well.
"""

import base64
import io
import math

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from IPython.display import display
from matplotlib.colors import ListedColormap
from sklearn.metrics import ConfusionMatrixDisplay, RocCurveDisplay

from xraylib import CLASSES

PALETTE = sns.color_palette("colorblind")
COLORS = {"NORMAL": PALETTE[0], "PNEUMONIA": PALETTE[1]}
STYLE = {
    "figure.dpi": 100,
    "font.size": 11,
    "axes.titlesize": "medium",
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def png(figure, scale=2):
    """Draw a figure as PNG and close it.

    Parameters
    ----------
    figure : Figure
    scale : float
        Pixels of the PNG for each pixel on the page: 2 is sharp on every screen.

    Returns
    -------
    tuple of str and dict
        The PNG in base64, and its width and height on the page in pixels.

    Examples
    --------
    >>> png(plt.figure(figsize=(3, 2)))[1]
    {'width': 300, 'height': 200}
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100 * scale)
    plt.close(figure)
    width, height = (round(100 * inches) for inches in figure.get_size_inches())
    return base64.b64encode(buffer.getvalue()).decode(), {"width": width, "height": height}


def show(figure, alt, scale=2):
    """Display a figure in a notebook with a text for those who cannot see it, and close it.

    Parameters
    ----------
    figure : Figure
        Any Matplotlib figure.
    alt : str
        What there is to be seen.
    scale : float
        2 for lines and letters; 1 for grids of images, which would only grow in the file.

    Examples
    --------
    >>> show(plt.figure(), "an empty figure")  # doctest: +ELLIPSIS
    {'image/png': 'iVBOR...', 'text/plain': 'an empty figure'}
    """
    image, size = png(figure, scale)
    display(
        {"image/png": image, "text/plain": alt},
        metadata={"image/png": {"alt": alt, **size}},
        raw=True,
    )


def subplots(rows, columns, size):
    """Make a figure in the style of the series, with its axes in a flat array.

    Parameters
    ----------
    rows, columns : int
        Shape of the grid of axes.
    size : tuple of float
        Width and height in inches of 100 pixels; the width at most 9.

    Returns
    -------
    tuple of Figure and ndarray of Axes, (rows * columns,)

    Examples
    --------
    >>> figure, axes = subplots(2, 3, size=(9, 4))
    >>> axes.shape
    (6,)
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained")
    return figure, np.ravel(axes)


def draw_image(axis, image, title="", cmap="gray", vmin=0, vmax=None):
    """Draw one image without axes, in shades of gray unless told otherwise.

    Parameters
    ----------
    axis : Axes
        Where to.
    image : array_like, (h, w) or (h, w, 1)
        uint8, or float in [0, 1].
    title : str
        At most two lines.
    cmap : str
        A color map of Matplotlib.
    vmin, vmax : float
        The values at its ends; 0 and, if not given, 255 for integers, 1 for floats.

    Returns
    -------
    AxesImage
        For a color bar.

    Examples
    --------
    >>> figure, axes = subplots(1, 1, size=(2, 2))
    >>> draw_image(axes[0], np.eye(3), "a diagonal").get_clim()
    (0.0, 1.0)
    """
    white = 255 if np.asarray(image).dtype.kind in "iu" else 1
    axis.set_title(title, fontsize=9.5)
    axis.set_axis_off()
    return axis.imshow(np.squeeze(image), cmap, vmin=vmin, vmax=white if vmax is None else vmax)


def plot_label_distribution(labels):
    """Draw the number of images by split and class as bars.

    Parameters
    ----------
    labels : dict of str to array_like of int, (n,)
        The labels of each split, by its name.

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = plot_label_distribution({"train": [0, 1, 1], "test": [0, 1]})
    """
    figure, (axis,) = subplots(1, 1, size=(7, 3.8))
    for row, name in enumerate(CLASSES):
        # One bar for each split, beside that of the other class
        counts = [int(np.sum(np.asarray(values) == row)) for values in labels.values()]
        bars = axis.bar(
            np.arange(len(labels)) + (row - 0.5) * 0.4,
            counts,
            width=0.38,
            label=name,
            color=COLORS[name],
            hatch="//" if row else None,
            edgecolor="white",
        )

        # Above each bar its count, and the proportion of its split
        pairs = zip(counts, labels.values(), strict=True)
        texts = [f"{n:,}\n({n / max(len(values), 1):.0%})" for n, values in pairs]
        axis.bar_label(bars, texts, padding=2, fontsize=10)
    axis.set(
        xlabel="split",
        ylabel="images",
        title="Images by split and class",
        xticks=range(len(labels)),
        xticklabels=list(labels),
    )
    axis.margins(y=0.2)
    axis.legend(frameon=False)
    return figure


def plot_sample_grid(images, titles, columns=6, outlines=None):
    """Draw images in a grid, each with a title.

    Parameters
    ----------
    images : sequence of array_like, (h, w) or (h, w, 1)
        uint8, or float in [0, 1]; they need not be of one size.
    titles : sequence of str
        One for each, of at most two lines.
    columns : int
        Images in a row; more than six leave room for a word or two above each.
    outlines : sequence of pairs of ndarray of bool, (h, w), optional
        Two masks for each image: the first is outlined dashed, the second solid.

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = plot_sample_grid(np.zeros((3, 28, 28, 1)), ["first", "second", "third"], columns=3)
    """
    rows = max(math.ceil(len(images) / columns), 1)
    side = min(9 / columns, 3)  # inches; a title takes another 0.25, one of two lines 0.45
    height = side + (0.45 if "\n" in "".join(titles) else 0.25)
    figure, axes = subplots(rows, columns, size=(side * columns, height * rows))
    for axis in axes[len(images) :]:
        axis.remove()
    pairs = outlines or [()] * len(images)
    for axis, image, title, masks in zip(axes[: len(images)], images, titles, pairs, strict=True):
        draw_image(axis, image, title)
        for mask, name, line in zip(masks, CLASSES, ("--", "-"), strict=False):
            if mask.any():
                axis.contour(mask, [0.5], colors=[COLORS[name]], linestyles=line, linewidths=1.2)
    return figure


def plot_overlay(images, lungs, opacity, titles, columns=6):
    """Draw images with the lungs outlined in light blue and opacities laid over in vermilion.

    Parameters
    ----------
    images : (n, h, w) or (n, h, w, 1) ndarray
        uint8, or float in [0, 1].
    lungs, opacity : (n, h, w) float in [0, 1]
        Probabilities, as `xraylib.beyond.find_lungs` and `find_opacity` give them.
    titles : sequence of str
        One for each, of at most two lines.
    columns : int
        Images in a row.

    Returns
    -------
    Figure

    Examples
    --------
    >>> maps = np.eye(28)[None]
    >>> figure = plot_overlay(np.zeros((1, 28, 28)), maps, maps, ["a diagonal"], columns=1)
    """
    figure = plot_sample_grid(images, titles, columns)
    for axis, mask, marked in zip(figure.axes, lungs, opacity, strict=False):
        # As strong as the probability: what is not marked stays as it is.
        axis.imshow(np.ones_like(marked), ListedColormap(PALETTE[3:4]), alpha=0.7 * marked)
        if mask.max() > 0.5:
            axis.contour(mask, [0.5], colors=[PALETTE[9]], linewidths=1.2)
    return figure


def plot_intensities(X, y):
    """Draw how the gray values of all pixels are distributed in each class.

    Parameters
    ----------
    X : ndarray of float, (n, h, w, 1)
        Images in [0, 1].
    y : ndarray of int, (n,)
        Their labels.

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = plot_intensities(np.linspace(0, 1, 8).reshape(2, 2, 2, 1), np.array([0, 1]))
    """
    figure, (axis,) = subplots(1, 1, size=(7, 3.8))
    for row, name in enumerate(CLASSES):
        counts, edges = np.histogram(X[y == row], bins=51, range=(0, 1))
        axis.stairs(
            counts / counts.sum(),
            edges,
            label=name,
            color=COLORS[name],
            linestyle="-" if row else "--",
            linewidth=2,
        )
    axis.set(
        xlabel="gray value (0 = black, 1 = white)",
        ylabel="proportion of pixels",
        title="Gray values by class",
    )
    axis.legend(frameon=False)
    return figure


def plot_mean_images(X, y):
    """Draw the mean image of each class, and PNEUMONIA minus NORMAL on a symmetric scale.

    Parameters
    ----------
    X : ndarray of float, (n, h, w, 1)
        Images in [0, 1].
    y : ndarray of int, (n,)
        Their labels.

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = plot_mean_images(np.linspace(0, 1, 8).reshape(2, 2, 2, 1), np.array([0, 1]))
    """
    figure, axes = subplots(1, 3, size=(9, 3))
    normal, pneumonia = (X[y == row].mean(0).squeeze() for row in (0, 1))
    draw_image(axes[0], normal, "mean of NORMAL")
    draw_image(axes[1], pneumonia, "mean of PNEUMONIA")

    # Orange where PNEUMONIA is brighter, purple where it is darker
    limit = np.abs(pneumonia - normal).max()
    drawn = draw_image(
        axes[2], pneumonia - normal, "PNEUMONIA minus NORMAL", "PuOr_r", vmin=-limit, vmax=limit
    )
    figure.colorbar(drawn, ax=axes[2], label="difference of gray values", shrink=0.85)
    return figure


def plot_history(history):
    """Draw loss and accuracy by epoch.

    Parameters
    ----------
    history : dict of str to sequence of float
        ``loss``, ``accuracy``, ``val_loss`` and ``val_accuracy``, as Keras records them.

    Returns
    -------
    Figure

    Examples
    --------
    >>> names = ("loss", "val_loss", "accuracy", "val_accuracy")
    >>> figure = plot_history({name: [0.5, 0.4] for name in names})
    """
    figure, axes = subplots(1, 2, size=(9, 3.6))
    for axis, name, unit in zip(axes, ("loss", "accuracy"), ("nats", "proportion"), strict=True):
        epochs = range(1, len(history[name]) + 1)
        axis.plot(epochs, history[name], "o-", color=PALETTE[0], label="training", ms=4)
        axis.plot(epochs, history[f"val_{name}"], "s--", color=PALETTE[1], label="validation", ms=4)
        axis.set(xlabel="epoch", ylabel=f"{name} ({unit})")
        axis.xaxis.get_major_locator().set_params(integer=True)
    axes[0].legend(frameon=False)
    return figure


def plot_confusion(matrix):
    """Draw a confusion matrix as counts and as proportions of each true class.

    Parameters
    ----------
    matrix : ndarray of int, (2, 2)
        Rows are the true class, columns the predicted class.

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = plot_confusion(np.array([[30, 10], [5, 55]]))
    """
    figure, axes = subplots(1, 2, size=(8, 3.6))
    proportions = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    for axis, values, form in zip(axes, (matrix, proportions), (",d", ".1%"), strict=True):
        ConfusionMatrixDisplay(values, display_labels=CLASSES).plot(
            ax=axis,
            cmap="Blues",
            colorbar=False,
            values_format=form,
            im_kw={"vmin": 0},
            text_kw={"size": 14},
        )
    axes[0].set(xlabel="predicted class", ylabel="true class", title="images")
    axes[1].set(xlabel="predicted class", ylabel="", title="proportion of each true class")
    return figure


def plot_roc(fpr, tpr, auc, point):
    """Draw a ROC curve, and its upper left corner enlarged beside it.

    Parameters
    ----------
    fpr, tpr : array_like of float, (m,)
        1 - specificity and sensitivity, as `sklearn.metrics.roc_curve` returns them.
    auc : float
        The area under the curve.
    point : tuple of float
        1 - specificity and sensitivity at threshold 0.5.

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = plot_roc([0, 0.2, 1], [0, 0.9, 1], auc=0.85, point=(0.2, 0.9))
    """
    figure, axes = subplots(1, 2, size=(9, 4.5))
    for axis in axes:
        drawn = RocCurveDisplay(fpr=np.asarray(fpr), tpr=np.asarray(tpr))
        drawn.plot(ax=axis, name=f"network (AUC {auc:.3f})", plot_chance_level=True)
        drawn.line_.set(color=PALETTE[0], linewidth=2)
        axis.plot(*point, "o", color=PALETTE[1], markersize=8, label="threshold 0.5")
        axis.set(xlabel="1 - specificity", ylabel="sensitivity", title="ROC curve")
        axis.legend(loc="lower right", frameon=False)
    axes[1].set(xlim=(-0.005, 0.25), ylim=(0.75, 1.005), title="its upper left corner")
    return figure


def plot_predictions(images, y, y_pred, p, columns=6):
    """Draw images with their predictions: correct ones ✓, wrong ones ✗ in a thick dashed frame.

    Parameters
    ----------
    images : sequence of array_like, (h, w) or (h, w, 1)
        uint8, or float in [0, 1].
    y, y_pred : array_like of int, (n,)
        True and predicted labels.
    p : array_like of float, (n,)
        Probabilities of PNEUMONIA; the titles give that of the predicted class.
    columns : int
        Images in a row.

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = plot_predictions(np.zeros((2, 28, 28)), [0, 1], [0, 0], [0.1, 0.4])
    """
    titles = []
    for true, predicted, value in zip(y, y_pred, p, strict=True):
        certainty = value if predicted else 1 - value
        text = ">99%" if certainty > 0.99 else f"{certainty:.0%}"
        mark = "✓" if predicted == true else f"✗ is {CLASSES[true]}"
        titles.append(f"{CLASSES[predicted]} {text}\n{mark}")
    figure = plot_sample_grid(images, titles, columns)

    # A frame for each: its axes end where the image does
    for axis, correct in zip(figure.axes, np.equal(y, y_pred), strict=False):
        axis.title.set_weight("normal" if correct else "bold")
        axis.add_patch(
            plt.Rectangle(
                (0, 0),
                1,
                1,
                transform=axis.transAxes,
                fill=False,
                clip_on=False,
                edgecolor=PALETTE[0 if correct else 1],
                linewidth=1.5 if correct else 4,
                linestyle="-" if correct else "--",
            )
        )
    return figure
