"""What pneumonia does to the lungs: which disease, where it lies, what it adds to the attenuation.

In lobar pneumonia and bronchopneumonia fluid takes the place of air in the air spaces. In
interstitial pneumonia the walls between them thicken, and cuffs of fluid surround vessels and
bronchi. An effusion is fluid in the pleural space, between lung and chest wall, and displaces
lung. All are drawn as a proportion of the path through lung that water takes. Shapes, ranges and
proportions are by eye.
"""

import numpy as np

from xraylib.phantoms.body import MU
from xraylib.phantoms.fields import (
    GRID,
    block_mean,
    blur,
    ellipse,
    fractal_noise,
    random_stream,
    smoothstep,
    upsample,
)

VISIBLE = 0.25  # attenuation: disease that adds more than this counts as opacity
EXTENT = 0.15  # least proportion of the lung fields that a disease makes opaque
PROPORTION_DISEASED = 0.74  # of all images
DISEASES = {  # proportion among the diseased
    "lobar": 0.33,
    "bronchopneumonia": 0.34,
    "interstitial": 0.25,
    "effusion": 0.08,
}
FURTHER_DISEASES = {  # proportion among the diseased of the populations beside the children
    "lobar": 0.20,
    "bronchopneumonia": 0.22,
    "interstitial": 0.14,
    "effusion": 0.10,
    "upper lobe": 0.12,
    "ground glass": 0.12,
    "nodules": 0.05,
    "cavities": 0.05,
}


def draw_disease(patient, image_number=0, *, seed=0, disease=None, diseases=DISEASES):
    """Return the disease that `draw_phantom` would draw, without drawing it.

    Parameters
    ----------
    patient, image_number, seed : int
    disease : None, bool or str, optional
        None by lot, False none, True any, or the name of one.
    diseases : dict, optional
        The proportion of each among the diseased.

    Returns
    -------
    str
        "normal" or one of `diseases`.

    Raises
    ------
    ValueError
        If there is no disease of this name.

    Examples
    --------
    >>> draw_disease(0, disease=False)
    'normal'
    """
    if disease not in (None, True, False, "normal", *diseases):
        raise ValueError(f"No such disease: {disease!r}. There are {', '.join(diseases)}.")
    rng = random_stream(seed, patient, 2, image_number)
    diseased = rng.random() < PROPORTION_DISEASED
    name = str(rng.choice(list(diseases), p=list(diseases.values())))
    return {None: name if diseased else "normal", True: name, False: "normal"}.get(disease, disease)


def lobar(rng, body, x, y, noise, strength):
    """Draw one lobe, or all of a lung, with a sharp edge where a fissure bounds it."""
    centre, reach = ((0.25, 0.28), (0.55, 0.22), (0.80, 0.32), (0.55, 0.80))[
        rng.choice(4, p=(0.28, 0.25, 0.32, 0.15))
    ]  # of the lungs' height
    cx = rng.uniform(0.3, 0.6) * body.width
    rx = rng.uniform(0.45, 0.8) * body.width
    far = np.sqrt(ellipse((x - cx) / rx, (y - centre) / reach)) + 0.12 * noise
    fissure = (y - centre) * (1 if rng.random() < 0.5 else -1)  # above it or below it
    fissure += rng.normal(0, 0.2) * (np.abs(x) / body.width - 0.5)  # aslant
    return (
        smoothstep(-far, -1.25, -0.45)
        * smoothstep(-fissure, -0.85 * reach, -0.65 * reach)
        * smoothstep(x, -0.5, 0.5)
    )


def bronchopneumonia(rng, body, x, y, noise, strength):
    """Draw 4 to 11 patches of 1.2 to 3.4 cm in both lungs, most of them low and on one side."""
    f = np.zeros_like(x)
    for _ in range(rng.integers(4, 12)):
        cx = body.width * rng.uniform(0.2, 0.8)
        cy = min(rng.normal(0.58, 0.22), 0.95)
        cx *= 1 if rng.random() < 0.65 else -1
        r = rng.uniform(1.2, 3.4) * body.scale
        f += rng.uniform(0.4, 1) * np.exp(-ellipse((x - cx) / r, (y - cy) * (body.height / r)))
    return 1.15 * f / (0.35 + f) * np.clip(0.85 + 0.25 * noise, 0.2, 1.3)


def interstitial(rng, body, x, y, noise, strength):
    """Draw thickened walls on both sides, most about the hila, in a fine and a coarse texture."""
    hila = np.exp(
        -ellipse(
            (np.abs(x) - 2.5 * body.scale) / (4.2 * body.scale),
            (y - 0.5) * (body.height / (6 * body.scale)),
        )
    )
    texture = 0.3 * noise + 0.2 * fractal_noise(rng, 60, 2)
    return 0.65 * (hila + rng.uniform(0.1, 0.5)) * np.clip(0.85 + texture, 0.2, 2)


def effusion(rng, body, x, y, noise, strength):
    """Draw fluid in the pleural space: a level that climbs at the side wall, and a veil above."""
    level = y - 0.92 + 0.45 * strength + 0.3 * (np.abs(x) / body.width - 0.6) * (1 - 0.4 * strength)
    return np.maximum(smoothstep(level, -0.06, 0.10), 0.15) * smoothstep(x, -0.5, 0.5)


def upper_lobe(rng, body, x, y, noise, strength):
    """Draw streaks and patches in one or both upper lobes, as tuberculosis makes them."""
    centre = rng.uniform(0.1, 0.3)
    far = ellipse((np.abs(x) / body.width - 0.45) / 0.4, (y - centre) / rng.uniform(0.12, 0.25))
    other = rng.uniform(0, 1) * (rng.random() < 0.5)  # on the less affected side
    patches = np.clip(0.8 + 0.6 * fractal_noise(rng, 40, 2) + 0.3 * noise, 0, 1.6)
    return np.exp(-far) * patches * np.where(x > 0, 1, other)


def ground_glass(rng, body, x, y, noise, strength):
    """Draw a veil in blotches on both sides, denser at the periphery and the bases."""
    periphery = 0.4 + 0.6 * np.abs(x) / body.width
    blotches = smoothstep(noise + rng.uniform(0.5, 1.5) * (y - 0.5), -0.4, 0.8)
    return rng.uniform(0.4, 0.8) * periphery * blotches


def nodules(rng, body, x, y, noise, strength):
    """Draw 6 to 30 round nodules of 0.6 to 2 cm anywhere in both lungs."""
    return _spots(rng, body, x, y, rng.integers(6, 31), (0.6, 2.0), 0.0)


def cavities(rng, body, x, y, noise, strength):
    """Draw one to four round walls of 2 to 4 cm about air, in an opaque surrounding."""
    return _spots(rng, body, x, y, rng.integers(1, 5), (2.0, 4.0), rng.uniform(0.5, 0.95))


def _spots(rng, body, x, y, count, size, hollow):
    """Draw round spots, empty inside by the proportion `hollow`."""
    f = np.zeros_like(x)
    for _ in range(count):
        cx = body.width * rng.uniform(0.15, 0.85) * rng.choice([-1, 1])
        cy = rng.uniform(0.08, 0.9)
        r = rng.uniform(*size) * body.scale / 1.7
        far = ellipse((x - cx) / r, (y - cy) * (body.height / r))
        f = np.maximum(f, np.exp(-far * far) - hollow * np.exp(-4 * far * far))
    return f


SHAPES = {
    "lobar": lobar,
    "bronchopneumonia": bronchopneumonia,
    "interstitial": interstitial,
    "effusion": effusion,
    "upper lobe": upper_lobe,
    "ground glass": ground_glass,
    "nodules": nodules,
    "cavities": cavities,
}


def filling(rng, body, view, disease, strength):
    """Draw the proportion of the path through lung that a disease turns to fluid.

    Parameters
    ----------
    rng : numpy.random.Generator
    body : Body
    view : View
    disease : str
        One of DISEASES or FURTHER_DISEASES, each drawn by the function of its name from x (cm,
        positive on the side that it affects most), y (0 to 1 of the lungs' height) and a noise
        field.
    strength : float
        0 to 1.

    Returns
    -------
    ndarray
        (320, 320) float32, 0 to 0.97.
    """
    x, y = (block_mean(a, 2) for a in view.grid)  # (160, 160): all of it is smooth
    noise = fractal_noise(rng, 20)
    side = -1 if rng.random() < 0.5 else 1
    f = SHAPES[disease](rng, body, side * x, y / body.height, noise, strength) * strength
    return upsample(np.float32(f.clip(0, 0.97)), GRID)


def opacities(rng, body, view, disease, lung, lungs, vessels, extent=EXTENT):
    """Draw what a disease adds to the attenuation, again and stronger until it is visible.

    Parameters
    ----------
    rng, body, view, disease
        As for `filling`; or "normal", which adds nothing.
    lung, vessels : ndarray
        Of `healthy_body`.
    lungs : ndarray
        (320, 320) bool, the lung fields in the image.
    extent : float, optional
        Least proportion of the lung fields that becomes opaque.

    Returns
    -------
    ndarray
        (320, 320) float32, 0 or more: above VISIBLE in at least `extent` of the lung fields.
    """
    added = np.zeros_like(lung)
    strength = 0.0
    while disease != "normal" and (lungs & (added > VISIBLE)).sum() < extent * lungs.sum():
        strength = min(1, max(1.2 * strength, 0.6 + 0.4 * rng.beta(2.0, 1.3)))
        f = filling(rng, body, view, disease, strength)
        added = f * (lung * (MU["water"] - MU["lung"]) - 0.9 * vessels)
        if disease == "interstitial":  # cuffs about vessels and bronchi
            added += blur(vessels, 1.5) * strength
        if disease == "lobar":  # air bronchogram: beside the stems run bronchi that keep their air
            bronchi = view.attenuation(
                [v._replace(radius=0.6 * v.radius, mu=MU["water"]) for v in body.vessels[::4]], 4
            )
            added -= 0.6 * f * f * np.minimum(bronchi, 0.25) * smoothstep(lung, 1, 3)
    return np.maximum(added, 0)
