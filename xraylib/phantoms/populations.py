"""Populations beside the children of one to five years: the same children more varied, and adults.

What they add teaches a network what is *not* an opacity: dense vessels at the hila, large hearts,
poor inspiration, rotation, breasts, gas in stomach and bowel, leads and tubes. None of it knows of
the disease. Sizes are rounded from adults; ranges and proportions are by eye.
"""

import math
from dataclasses import replace

import numpy as np

from xraylib.phantoms.body import Body, draw_child, draw_position, lung_vessels


def draw_varied_child(rng):
    """Draw a child of one to five years whose heart and vessels vary more than in `draw_child`.

    Returns
    -------
    Body

    Examples
    --------
    >>> draw_varied_child(np.random.default_rng(0)).scale < 1.2
    True
    """
    body = draw_child(rng)
    return replace(
        body,
        heart_size=rng.uniform(0.75, 1.3),
        vessels=dense_vessels(rng, body.vessels),
        blood=draw_blood(rng),
    )


def draw_adult(rng):
    """Draw the build of an adult.

    Returns
    -------
    Body

    Examples
    --------
    >>> 18 < draw_adult(np.random.default_rng(0)).height < 36
    True
    """
    scale = rng.uniform(1.5, 1.95)
    height = 15.0 * scale * rng.uniform(0.85, 1.2)
    # Half of all have breasts: displacement to the side and down, half axes and thickness, cm.
    breasts = [
        rng.uniform(0.45, 0.6),
        rng.uniform(0.6, 0.85),
        rng.uniform(4, 7.5),
        rng.uniform(1, 6),
    ]
    return Body(
        scale=scale,
        height=height,
        width=8.6 * scale * rng.uniform(0.88, 1.12),
        depth=5.4 * scale * rng.uniform(0.85, 1.2),
        taper=rng.uniform(-0.4, 0.5),
        wall=rng.uniform(1.0, 4.5),
        fat=rng.uniform(1.0, 4.5),
        heart_size=rng.uniform(0.65, 1.2),
        heart_x=rng.normal(0, 0.5),
        rib_radius=rng.uniform(0.22, 0.32) * scale,
        rib_pitch=rng.uniform(1.3, 1.55) * scale,
        rib_drop=rng.uniform(1.2, 2.8) * scale,
        bone_density=rng.uniform(0.8, 1.6),
        spine=rng.uniform(0.9, 1.2) * scale,
        dome=rng.uniform(2.2, 4.4) * scale,
        thymus=0.0,
        vessels=dense_vessels(
            rng,
            [*lung_vessels(rng, scale, height, -1), *lung_vessels(rng, scale, height, 1)],
        ),
        blood=draw_blood(rng),
        breasts=breasts if rng.random() < 0.5 else None,
    )


def dense_vessels(rng, vessels):
    """Return vessels with the stems, and what branches off them, thicker or thinner."""
    stems = rng.uniform(0.8, 1.7)
    branches = rng.uniform(0.8, 1.3)
    return [
        vessel._replace(radius=vessel.radius * (stems if len(vessel.x) < 30 else branches))
        for vessel in vessels
    ]


def draw_blood(rng):
    """Draw how much denser small vessels make lung at either hilum and at the bases: more right."""
    hila = rng.gamma(1.5, 0.4)
    return hila * rng.uniform(0.8, 1.6), hila * rng.uniform(0.5, 1.1), rng.gamma(1.5, 0.4)


def draw_varied_position(rng, body):
    """Draw what changes from image to image, as `draw_position` does, within wider ranges.

    Returns
    -------
    Position

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> len(draw_varied_position(rng, draw_adult(rng)).arms)
    2
    """
    position = draw_position(rng, body)
    # Rotated about the spine by up to some 15 degrees, seldom straight.
    position.view.yaw *= rng.uniform(1, 2.5)
    # One of three, a portable image: lying, with leads and tubes, blurred, more scatter.
    portable = rng.random() < 1 / 3
    leads = rng.integers(1, 6) if portable else 0
    # Gas: a stomach of up to 12 cm.
    gas = np.array(position.gas)
    gas[:, 2] *= rng.uniform(0.5, 3)
    # Arms hang down more often.
    arms = [
        (side, x, y, side * math.cos(a), math.sin(a))
        for side, x, y, *_ in position.arms
        for a in [rng.uniform(-1.4, -0.4) if rng.random() < 0.35 else rng.uniform(0.85, 1.5)]
    ]
    return replace(
        position,
        breath=rng.uniform(-0.7, 1),
        gas=gas.tolist(),
        arms=arms,
        leads=rng.uniform(-1.2, 1.2, (leads, 2, 4)),
        focus=rng.uniform(1, 3) if portable else position.focus,
        scatter=rng.uniform(0.1, 0.6) if portable else position.scatter,
    )
