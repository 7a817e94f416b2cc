"""What it looks like: each function draws the data it is given and returns the Matplotlib `Figure`.

The style is set once, here. Colours are seaborn's colour-blind palette; classes are told apart by place, hatch or
mark as well.
"""

import io

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from IPython.display import display

from xraylib import CLASSES

PALETTE = sns.color_palette("colorblind")
COLOURS = {"NORMAL": PALETTE[0], "PNEUMONIA": PALETTE[1]}
STYLE = {"figure.dpi": 100, "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": "medium"}


def show(figure, alt):
    """Display a figure in a notebook with a text for those who cannot see it, and close it."""
    display(figure, metadata={"image/png": {"alt": alt}})
    plt.close(figure)


def explore(draw, **sliders):
    """ipywidgets sliders above the figure that ``draw(**values)`` returns, drawn anew whenever one is moved."""
    import ipywidgets as widgets

    picture = widgets.Image(format="png")

    def update(_=None):
        figure, png = draw(**{name: slider.value for name, slider in sliders.items()}), io.BytesIO()
        figure.savefig(png, format="png")
        plt.close(figure)
        picture.value = png.getvalue()

    for slider in sliders.values():
        slider.observe(update, "value")
    update()
    return widgets.VBox([*sliders.values(), picture])


def _axes(*shape, size):
    with plt.rc_context(STYLE):
        return plt.subplots(*shape, figsize=size, layout="constrained")


def _show_pixels(axis, image, title=""):
    axis.imshow(np.squeeze(image), cmap="gray", vmin=0, vmax=1 if np.asarray(image).dtype.kind == "f" else 255)
    axis.set_title(title, fontsize="small")
    axis.set_axis_off()


def plot_label_distribution(labels):
    """Bars of the number of images by split and class. `labels` maps a split's name to its (n,) int labels."""
    figure, axis = _axes(size=(7, 3.6))
    splits = list(labels)
    for row, name in enumerate(CLASSES):
        counts = [int(np.sum(np.asarray(labels[split]) == row)) for split in splits]
        places = np.arange(len(splits)) + (row - 0.5) * 0.4
        hatch = "//" if row else None
        bars = axis.bar(places, counts, 0.38, color=COLOURS[name], label=name, hatch=hatch, edgecolor="white")
        shares = [count / max(len(labels[split]), 1) for count, split in zip(counts, splits, strict=True)]
        axis.bar_label(bars, [f"{c:,}\n({s:.0%})" for c, s in zip(counts, shares, strict=True)], fontsize="small")
    axis.set_xticks(range(len(splits)), splits)
    axis.set(xlabel="split", ylabel="images", title="Images by split and class")
    axis.margins(y=0.18)
    axis.legend(frameon=False)
    return figure


def plot_sample_grid(images, titles, columns=6, outlines=None):
    """A grid of pictures, each with a title. Images are 2D, or (h, w, 1): uint8, or float in [0, 1].

    `outlines` has a pair of (h, w) bool masks for each picture: the first is outlined dashed, the second solid.
    """
    rows = -(-len(images) // columns)
    figure, axes = _axes(rows, columns, size=(1.7 * columns, 2 * rows))
    for axis in np.ravel(axes):
        axis.set_axis_off()
    for axis, image, title in zip(np.ravel(axes), images, titles, strict=False):
        _show_pixels(axis, image, title)
    for axis, pair in zip(np.ravel(axes), outlines or [], strict=False):
        for mask, style, colour in zip(pair, ("--", "-"), (COLOURS["NORMAL"], COLOURS["PNEUMONIA"]), strict=True):
            if mask.any():
                axis.contour(mask, [0.5], colors=colour, linestyles=style, linewidths=0.8)
    return figure


def plot_steps(images, titles):
    """Pictures in a row, one for each step of the preprocessing, with their pixel axes."""
    figure, axes = _axes(1, len(images), size=(3 * len(images), 3.4))
    for axis, image, title in zip(np.ravel(axes), images, titles, strict=True):
        _show_pixels(axis, image, title)
        axis.set_axis_on()
        axis.set(xlabel="pixel", ylabel="pixel")
    return figure


def plot_intensities(X, y):
    """How gray values are spread in each class. X is (n, size, size, 1) float in [0, 1], y is (n,) int."""
    figure, axis = _axes(size=(7, 3.6))
    edges = np.linspace(0, 1, 52)
    for row, name in enumerate(CLASSES):
        shares, _ = np.histogram(X[y == row], edges)
        style = "--" if row else "-"
        axis.stairs(shares / shares.sum(), edges, color=COLOURS[name], label=name, linewidth=2, linestyle=style)
    axis.set(xlabel="gray value (0 = black, 1 = white)", ylabel="share of pixels", title="Gray values by class")
    axis.legend(frameon=False)
    return figure


def plot_mean_images(X, y):
    """The mean picture of each class, and PNEUMONIA minus NORMAL on a symmetric scale."""
    figure, axes = _axes(1, 3, size=(9, 3.2))
    means = [X[y == row].mean(0).squeeze() for row in (0, 1)]
    for axis, mean, name in zip(axes, means, CLASSES, strict=False):
        _show_pixels(axis, mean, f"mean of {name}")
    difference = means[1] - means[0]
    reach = max(float(np.abs(difference).max()), 1e-6)
    drawn = axes[2].imshow(difference, cmap="PuOr", vmin=-reach, vmax=reach)
    axes[2].set_title("PNEUMONIA minus NORMAL", fontsize="small")
    axes[2].set_axis_off()
    figure.colorbar(drawn, ax=axes[2], label="difference of gray values", shrink=0.85)
    return figure


def plot_history(history):
    """Loss and accuracy by epoch. `history` is the dict of lists that `train_model` returns."""
    figure, axes = _axes(1, 2, size=(9, 3.4))
    epochs = np.arange(1, len(history["loss"]) + 1)
    for axis, name in zip(axes, ("loss", "accuracy"), strict=True):
        axis.plot(epochs, history[name], "o-", color=PALETTE[0], label="training (mean over the epoch)", markersize=4)
        axis.plot(epochs, history[f"val_{name}"], "s--", color=PALETTE[1], label="validation", markersize=4)
        axis.set(xlabel="epoch", title=name)
        axis.xaxis.get_major_locator().set_params(integer=True)
    axes[0].set_ylabel("cross-entropy (nats)")
    axes[1].set_ylabel("share of images")
    axes[0].legend(frameon=False)
    return figure


def plot_confusion(matrix):
    """A confusion matrix as counts and as rates of each true class. `matrix` is (2, 2) int: rows are the truth."""
    figure, axes = _axes(1, 2, size=(9, 3.6))
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    for axis, values, form, title in zip(
        axes, (matrix, shares), ("d", ".1%"), ("images", "share of each row"), strict=True
    ):
        style = {"cmap": "Blues", "cbar": False, "linewidths": 1, "annot_kws": {"size": 14}}
        sns.heatmap(values, annot=True, fmt=form, xticklabels=CLASSES, yticklabels=CLASSES, ax=axis, vmin=0, **style)
        axis.set(xlabel="predicted", ylabel="truth", title=title)
    return figure


def plot_roc(curve, point, auc):
    """A ROC curve: `curve` is (1 - specificity, sensitivity), two (m,) arrays; `point` the operating point on it."""
    figure, axis = _axes(size=(4.4, 4.2))
    axis.plot(*curve, color=PALETTE[0], label=f"network (AUC {auc:.3f})")
    axis.plot([0, 1], [0, 1], ":", color="gray", label="guessing (AUC 0.5)")
    axis.plot(*point, "o", color=PALETTE[1], markersize=9, label="threshold 0.5")
    axis.set(xlabel="1 - specificity (false alarms)", ylabel="sensitivity (found)", aspect="equal", title="ROC curve")
    axis.legend(frameon=False, loc="lower right")
    return figure


def plot_predictions(images, y, p, columns=6):
    """A grid of predictions. Right ones carry ✓ and a plain frame, wrong ones ✗ and a thick dashed one."""
    titles = []
    for truth, probability in zip(y, p, strict=True):
        said = int(probability >= 0.5)
        sure = probability if said else 1 - probability
        mark = "✓" if said == truth else f"✗ is {CLASSES[truth]}"
        titles.append(f"{CLASSES[said]} {'>99%' if sure > 0.99 else f'{sure:.0%}'}\n{mark}")
    figure = plot_sample_grid(images, titles, columns)
    for axis, image, truth, probability in zip(figure.axes, images, y, p, strict=False):
        right = int(probability >= 0.5) == truth
        height, width = np.squeeze(image).shape
        look = {
            "edgecolor": PALETTE[0 if right else 1],
            "linewidth": 1.5 if right else 4,
            "linestyle": "-" if right else "--",
        }
        axis.add_patch(plt.Rectangle((-0.5, -0.5), width, height, fill=False, clip_on=False, **look))
        axis.title.set_weight("normal" if right else "bold")
    return figure


def plot_intervals(tables, title=""):
    """Points with intervals. `tables` maps a name to a DataFrame with the columns ``value``, ``from`` and ``to``."""
    figure, axis = _axes(size=(7, 0.45 * len(next(iter(tables.values()))) + 1.3))
    for place, (name, table) in enumerate(tables.items()):
        rows = np.arange(len(table)) + (place - (len(tables) - 1) / 2) * 0.25
        reach = [table["value"] - table["from"], table["to"] - table["value"]]
        mark, colour = "osD^"[place % 4], PALETTE[place % len(PALETTE)]
        axis.errorbar(table["value"], rows, xerr=reach, fmt=mark, color=colour, capsize=3, label=name)
    axis.set_yticks(range(len(table)), [str(row).replace("_", " ") for row in table.index])
    axis.invert_yaxis()
    axis.grid(axis="x", alpha=0.3)
    axis.set(xlabel="value, with its 95% interval", title=title)
    if len(tables) > 1:
        axis.legend(frameon=False)
    return figure


def plot_reliability(tables):
    """Reliability diagram. `tables` maps a name to what `xraylib.evaluation.reliability` returns."""
    figure, axis = _axes(size=(4.8, 4.4))
    axis.plot([0, 1], [0, 1], ":", color="gray", label="perfect calibration")
    for place, (name, table) in enumerate(tables.items()):
        line, mark = ("-", "o") if place == 0 else ("--", "s")
        axis.plot(table["predicted"], table["observed"], line, color=PALETTE[place], label=name)
        axis.scatter(table["predicted"], table["observed"], 8 + 3 * np.sqrt(table["images"]), [PALETTE[place]], mark)
    axis.set(xlabel="predicted probability of PNEUMONIA", ylabel="observed share of PNEUMONIA", aspect="equal")
    axis.set_title("Reliability (larger marks: more images)")
    axis.legend(frameon=False)
    return figure


def plot_maps(images, rows, titles):
    """Maps over radiographs. `images` are 2D, with a title each; `rows` maps a name to (n, size, size) in [0, 1]."""
    figure, axes = _axes(len(rows) + 1, len(images), size=(1.8 * len(images), 1.9 * (len(rows) + 1)))
    for axis, image, title in zip(axes[0], images, titles, strict=True):
        _show_pixels(axis, image, title)
    for line, (name, maps) in zip(axes[1:], rows.items(), strict=True):
        for axis, image, values in zip(line, images, maps, strict=True):
            height, width = image.shape
            _show_pixels(axis, image)
            drawn = axis.imshow(
                values, cmap="magma", alpha=0.5, vmin=0, vmax=1, extent=(-0.5, width - 0.5, height - 0.5, -0.5)
            )
        line[0].set_title(name, fontsize="small", loc="left")
    figure.colorbar(drawn, ax=axes, label="share of the map's peak", shrink=0.6)
    return figure


def plot_dots(table, x, y, hue, title=""):
    """One dot a row of a DataFrame, by the names of its columns; `hue` is told apart by mark as well as by colour."""
    figure, axis = _axes(size=(8, 0.38 * table[y].nunique() + 1.4))
    style = {"palette": "colorblind", "style": hue, "s": 70, "ax": axis, "zorder": 3}
    sns.scatterplot(table, x=x, y=y, hue=hue, **style)
    axis.grid(axis="x", alpha=0.3)
    axis.set(xlabel=x.replace("_", " "), ylabel="", title=title)
    axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
