"""The healthy child before the beam: its build, its position, and the attenuation along each ray.

Lengths are in cm. x runs to the image's right, the child's left; y down from the top of the lungs;
z to the front. Attenuation is the exponent -ln T, without a unit. What is drawn has the shape
(320, 320) and the type float32. Numbers without a source are by eye.
"""

import math
from collections import namedtuple
from dataclasses import dataclass

import numpy as np

from xraylib.phantoms.fields import (
    GRID,
    block_mean,
    chord,
    ellipse,
    fractal_noise,
    smooth_union,
    smoothstep,
    upsample,
)

# Attenuation coefficients at 60 keV, 1/cm: mass coefficient (cm2/g) times density (g/cm3).
MU = {
    "soft tissue": 0.205 * 1.05,  # muscle, blood, heart, liver
    "water": 0.206 * 1.00,  # the fluid of a disease
    "lung": 0.205 * 0.27,  # inflated
    "bone": 0.315 * 1.50,  # a child's cortex; density by eye (adults 1.92)
    "lead": 8.0,  # marker and leads; that of lead is some 57, but 8 is white already
}

ALONG = np.linspace(0, 1, 300, dtype=np.float32)[None]  # (1, 300): along a tube from end to end
# Curves with a round cross-section: x, y, z and radius (cm) and mu (1/cm) broadcast to
# (curves, points); hollow is the proportion of the radius that is empty.
Tube = namedtuple("Tube", ["x", "y", "radius", "mu", "z", "hollow"], defaults=(0, 0))
# The edge of a shoulder blade, x of the chest's width and y of the lungs' height.
BLADE_X, BLADE_Y = (
    np.interp(ALONG, np.linspace(0, 1, 5), corners)
    for corners in ([0.92, 0.62, 0.76, 0.97, 0.92], [0.05, 0.14, 0.50, 0.22, 0.05])
)
LETTERS = {  # strokes of the marker, across and down, 0 to 1
    "R": ([0, 0, 0.4, 0.6, 0.6, 0.4, 0, 0.25, 0.65], [1, 0, 0, 0.12, 0.38, 0.5, 0.5, 0.5, 1]),
    "L": ([0, 0, 0.6], [0, 1, 1]),
}


@dataclass(frozen=True)
class Body:
    """The build of one patient, the same in all its images.

    A function draws it for a population, such as `draw_child`. What follows takes every size from
    here.
    """

    scale: float  # size relative to the average
    height: float  # cm, of the lungs
    width: float  # cm, half the inside of the chest from side to side
    depth: float  # cm, half the inside of the chest from front to back
    taper: float  # -0.4 to 0.5: how the chest narrows to the top
    wall: float  # cm, the chest wall at the sides
    fat: float  # cm, the chest wall in front and behind
    heart_size: float  # relative to the average of this scale
    heart_x: float  # cm, displacement to the child's left
    rib_radius: float  # cm
    rib_pitch: float  # cm, from rib to rib
    rib_drop: float  # cm that a rib descends on its way
    bone_density: float  # relative
    spine: float  # cm, half the width of a vertebra
    dome: float  # cm, height of a dome of the diaphragm
    thymus: float  # cm by which it widens the mediastinum
    vessels: list  # of Tube, one for each generation of branches
    # Of the half width and of the lungs' height, where they lie; half axis and thickness, cm.
    breasts: list | None = None
    # Blood that makes lung denser, relative: at the right and left hilum, at both bases.
    blood: tuple = ()

    def diaphragm(self, breath):
        """Return y (cm) of the edge of the diaphragm's domes."""
        return self.height * (0.83 + 0.16 * breath)


def draw_child(rng):
    """Draw the build of a child of one to five years; sizes are rounded from such children.

    Returns
    -------
    Body

    Examples
    --------
    >>> 11 < draw_child(np.random.default_rng(0)).height < 19
    True
    """
    scale = rng.uniform(0.85, 1.15)
    height = 15.0 * scale * rng.uniform(0.9, 1.1)
    return Body(
        scale=scale,
        height=height,
        width=8.8 * scale * rng.uniform(0.9, 1.1),
        depth=5.4 * scale * rng.uniform(0.9, 1.1),
        taper=rng.uniform(-0.4, 0.5),
        wall=rng.uniform(0.8, 2.0),
        fat=rng.uniform(0.7, 1.9),
        heart_size=rng.uniform(0.84, 1.1),
        heart_x=rng.normal(0, 0.3),
        rib_radius=rng.uniform(0.26, 0.36) * scale,
        rib_pitch=rng.uniform(1.28, 1.5) * scale,
        rib_drop=rng.uniform(1.0, 2.2) * scale,
        bone_density=rng.uniform(0.8, 1.5),
        spine=rng.uniform(1.0, 1.3) * scale,
        dome=rng.uniform(2.8, 4.4) * scale,
        thymus=rng.gamma(1.5, 0.35),
        vessels=[*lung_vessels(rng, scale, height, -1), *lung_vessels(rng, scale, height, 1)],
    )


def lung_vessels(rng, scale, height, side):
    """Draw the vessels of one lung: eight stems from the hilum, and three generations of branches.

    Parameters
    ----------
    scale, height : float
        Of the `Body`.
    side : int
        -1 the child's right, 1 its left.

    Yields
    ------
    Tube
        A generation: 8, 24, 72 and 144 curves.
    """
    # The stems: direction (rad below the horizontal), root, length and radius (cm).
    angle = np.linspace(-1.35, 1.5, 8) + rng.normal(0, 0.15, 8)
    x = side * 2.2 * scale + rng.normal(0, 0.2, 8)
    y = 0.44 * height + np.sin(angle) * 0.7
    length = rng.uniform(4.5, 7.0, 8) * scale
    radius = rng.uniform(0.22, 0.44, 8) * scale
    for points, children in ((72, 3), (40, 3), (24, 2), (14, 2)):
        # Each bends steadily, and ends at 0.4 of its radius: (vessels, points).
        bent = angle[:, None] + rng.normal(0, 0.35, len(x))[:, None] * np.linspace(0, 1, points)
        xs = x[:, None] + side * np.cumsum(np.cos(bent), 1) * (length / points)[:, None]
        ys = y[:, None] + np.cumsum(np.sin(bent), 1) * (length / points)[:, None]
        radii = radius[:, None] * np.linspace(1, 0.4, points)
        yield Tube(xs, ys, radii, MU["soft tissue"] - MU["lung"])
        # Where its branches leave, to one side and the other in turn: (vessels, children).
        at = np.clip(
            (np.linspace(0.2, 0.75, children) + rng.normal(0, 0.06, (len(x), children))) * points,
            0,
            points - 1,
        ).astype(int)
        turn = np.where(np.arange(children) % 2, 1, -1) * rng.choice([-1, 1], (len(x), 1))
        angle = (np.take_along_axis(bent, at, 1) + turn * rng.uniform(0.35, 0.9, at.shape)).ravel()
        x, y, radius = (np.take_along_axis(a, at, 1).ravel() for a in (xs, ys, radii * 0.75))
        length = (length[:, None] * rng.uniform(0.4, 0.65, at.shape)).ravel()


class View:
    """Where the image lies over the body.

    Pixels are not square: the real images are wide ones, squeezed to a square.

    Attributes
    ----------
    height, width : float
        Of the field shown, cm.
    x0, y0 : float
        Its middle, cm.
    yaw : float
        Rotation of the body about the spine, rad: what lies in front moves to the side.
    grid : tuple of ndarray
        x and y of each pixel of the drawing grid, cm; (320, 320) float32.
    """

    def __init__(self, rng, body):
        self.height = body.height * rng.uniform(1.25, 1.65)
        self.width = 2 * (body.width + body.wall) * rng.uniform(1, 1.35)
        self.x0 = rng.normal(0, 0.7)
        self.y0 = body.height * rng.uniform(0.43, 0.61)
        tilt = rng.normal(0, 0.05)  # rad, in the plane of the image
        self.yaw = rng.normal(0, 0.10)
        self.cos = math.cos(tilt)
        self.sin = math.sin(tilt)
        t = (np.arange(GRID, dtype=np.float32) + 0.5) / GRID
        self.grid = self.to_body(t[None, :], t[:, None])

    def to_body(self, u, v):
        """Return x and y (cm) of a place in the image: u from its left, v from its top, 0 to 1."""
        u = (u - 0.5) * self.width
        v = (v - 0.5) * self.height
        return self.cos * u - self.sin * v + self.x0, self.sin * u + self.cos * v + self.y0

    def sample(self, tube, samples):
        """Cut a tube into pieces from point to point, and each piece into strips that run along it.

        Returns
        -------
        list of ndarray
            Column, row (pixels of the drawing grid) and mass (mu times volume, cm2) of a strip.
        """
        # The pieces: (curves, points - 1).
        curve = np.stack(
            np.broadcast_arrays(tube.x + self.yaw * tube.z, tube.y, tube.z, tube.radius, tube.mu),
            dtype=np.float32,
        )
        x, y, _, radius, mu = (curve[..., 1:] + curve[..., :-1]) / 2
        dx, dy, dz = np.diff(curve[:3])
        flat = np.sqrt(dx * dx + dy * dy) + 1e-6  # length in the image
        length = np.minimum(np.sqrt(flat * flat + dz * dz), 1.35 * flat)  # capped along the beam
        # The strips, across from -1 to 1: (samples, curves, points - 1).
        q = ((np.arange(samples, dtype=np.float32) + 0.5) * (2 / samples) - 1)[:, None, None]
        path = (
            2 * radius * (chord(q) - (tube.hollow * chord(q / tube.hollow) if tube.hollow else 0))
        )
        x = x - q * radius * (dy / flat) - self.x0
        y = y + q * radius * (dx / flat) - self.y0
        j = (self.cos * x + self.sin * y) * (GRID / self.width) + (GRID / 2 - 0.5)
        i = (self.cos * y - self.sin * x) * (GRID / self.height) + (GRID / 2 - 0.5)
        seen = (j >= 0) & (j < GRID - 1) & (i >= 0) & (i < GRID - 1)
        return [a[seen] for a in (j, i, mu * path * (2 / samples) * radius * length)]

    def attenuation(self, tubes, samples):
        """Return the attenuation of tubes on the drawing grid.

        Parameters
        ----------
        tubes : list of Tube
        samples : int
            Strips across each.

        Returns
        -------
        ndarray
            (320, 320) float32.
        """
        strips = (self.sample(tube, samples) for tube in tubes)
        j, i, mass = (np.concatenate(part).astype(float) for part in zip(*strips, strict=True))
        # Each mass is shared among the four nearest pixels: left and right, above and below.
        right, left = np.modf(j)
        low, top = np.modf(i)
        pixel = (top * GRID + left).astype(int)
        total = sum(
            np.bincount(pixel + across + down, part * proportion, GRID * GRID)
            for across, part in ((0, mass - mass * right), (1, mass * right))
            for down, proportion in ((0, 1 - low), (GRID, low))
        )
        # The mass by the area of a pixel (cm2).
        return np.float32(total * (GRID**2 / (self.width * self.height))).reshape(GRID, GRID)


@dataclass(frozen=True)
class Position:
    """What changes from image to image of one patient."""

    # The child.
    view: View
    breath: float  # 1 is breathed in; a poor breath is below 0
    chin_x: float  # cm
    chin_y: float  # cm
    slope: np.ndarray  # (2,) float32, how the right and the left shoulder fall
    gas: list  # stomach, five loops of bowel: place across and down, size (to 3), presence, 0 to 1
    arms: list  # of side (-1 right, 1 left), x and y of the shoulder (cm) and of the direction
    leads: np.ndarray  # (leads, 2, 4), -1.2 to 1.2: x and y of the four points that bend each
    marker: tuple  # its letter, and from 0 to 1 its place across and down, and its size
    # The exposure.
    border: np.ndarray  # (2, 2) pixels of the grid that are shut: top, bottom; left, right
    scatter: float  # scattered photons per primary photon
    focus: float  # pixels of the grid, standard deviation of the blur
    photons: float  # a quarter of the number per pixel of the finished radiograph in air
    # The display.
    sharpen: float  # strength of the edge enhancement
    black: float  # what is black, relative to the least attenuation of the trunk
    white: float  # what is white, from black, relative to the greatest
    gamma: float  # exponent of the curve
    knee: float  # 0 to 1, how the curve flattens towards white
    dark: float  # gray level of black
    gain: float  # gray levels from black to white


def draw_position(rng, body):
    """Draw all that changes from image to image, always in the same order.

    Returns
    -------
    Position
    """
    return Position(
        view=View(rng, body),
        breath=rng.beta(3, 1.8),
        chin_x=rng.normal(0, 1.0),
        chin_y=rng.uniform(-6.5, -2),
        slope=rng.uniform(0.4, 2.2, 2).astype(np.float32),
        gas=rng.random((6, 4)).tolist(),
        leads=rng.uniform(-1.2, 1.2, (rng.integers(1, 4) if rng.random() < 0.08 else 0, 2, 4)),
        marker=("L" if rng.random() < 0.1 else "R", *rng.random(3).tolist()),
        dark=rng.uniform(0, 20),
        border=np.int64(rng.uniform(-0.02, 0.10, (2, 2)).clip(0) * GRID * (rng.random() < 0.15)),
        scatter=rng.uniform(0.03, 0.30),
        focus=rng.uniform(0.3, 1.0),
        photons=10 ** rng.uniform(3.0, 4.5),
        sharpen=rng.uniform(0, 0.9),
        black=rng.uniform(0.2, 0.8),
        white=rng.uniform(1.0, 1.2),
        gamma=rng.uniform(0.8, 1.2),
        knee=rng.uniform(0, 0.5),
        gain=rng.uniform(190, 240),
        # Seven of ten arms are raised; a is their direction, rad below the horizontal.
        arms=[
            (
                side,
                side * (0.93 * body.width + 0.4),
                1.2 * body.scale,
                side * math.cos(a),
                math.sin(a),
            )
            for side in (-1, 1)
            for a in [rng.uniform(-1.4, -0.4) if rng.random() < 0.7 else rng.uniform(0.85, 1.45)]
        ],
    )


def chest_width(body, y):
    """Return half the inside width (cm) of the chest at height y (cm)."""
    v = 1 - np.clip(y * (1 / body.height), 0.002, 1)
    return body.width * np.sqrt(1 - v * v * (1 - body.taper + body.taper * v))


def mediastinum(body, view, breath):
    """Return the path (cm) through heart, great vessels and thymus: ellipsoids melted into one.

    Each is given as its `ellipse`. With the body's rotation (yaw) they move to the side, the more
    the further in front of the spine they lie.
    """
    x, y = view.grid
    scale = body.scale
    # The heart hangs on the diaphragm: breathed in, it lies lower and is narrower.
    size = body.heart_size * scale * (1.10 - 0.10 * breath)
    u = x - (1.2 * scale + body.heart_x + view.yaw * 2.5)
    v = y - (0.70 * body.height - 0.8 * (1 - breath))
    # Ventricles: half axes 5.2 and 3.1 cm, the long one down to the left by 45 degrees (cos 0.71).
    ventricles = ellipse((0.71 * u + 0.71 * v) / (5.2 * size), (0.71 * v - 0.71 * u) / (3.1 * size))
    # Right atrium: half axes 2.4 and 4.6 cm, 0.7 cm to the child's right.
    atrium = ellipse((x + 0.7 * scale - view.yaw * 2) / (2.4 * size), (v - 0.3) / (4.6 * size))
    # Arch of the aorta: half axes 1.2 and 1.5 cm, 1.4 cm to the left, a third down the lungs.
    arch = ellipse(
        (x - 1.4 * scale - view.yaw) / (1.2 * scale), (y - 0.31 * body.height) / (1.5 * scale)
    )
    # Vessels about the windpipe: a band, 2.7 cm to each side at the top and 1.4 further down,
    # where it widens again and turns left to the heart; the thymus widens it higher up.
    down = smoothstep(y, 0.12 * body.height, 0.80 * body.height)
    half = (1.4 + 1.3 * np.exp(-np.maximum(y, -1) / 1.2)) * scale * (1 + 0.8 * down)
    half += body.thymus * chord(y / (0.2 * body.height) - 1.3)
    band = ellipse((x - view.yaw * 1.5 - 0.1 - 0.7 * scale * down) / half)
    return 1.86 * body.depth * smooth_union(ventricles, atrium, arch, band)


def lung_path(body, position):
    """Return the path (cm) through lung: the chest's inside less mediastinum and diaphragm."""
    x, y = position.view.grid
    # Half the depth, which grows with the fourth root of the height.
    depth = body.depth * np.sqrt(np.sqrt(np.clip(y / body.height, 0.0001, 1)))
    other = mediastinum(body, position.view, position.breath)
    # The right dome stands 0.7 cm higher, over the liver. Each spans 0.62 of the half width about
    # 0.42 of it, is an ellipsoid above its base and fills nearly all of the chest below.
    for side, lift in ((-1, 0.9), (1, 0.2)):
        base = body.diaphragm(position.breath) - lift * body.scale + body.dome
        dome = chord(
            (x - side * 0.42 * body.width) / (0.62 * body.width),
            np.minimum(y - base, 0) / body.dome,
        )
        other = np.maximum(
            other,
            2 * depth * np.sqrt(dome) * (0.91 + 0.09 * smoothstep(y, base - 1.5, base + 1.5)),
        )
    # Nothing below 1.25 of the height is lung.
    return np.maximum(2 * depth * chord(x / chest_width(body, y)) - other, 0) * smoothstep(
        -y, -1.25 * body.height, -1.02 * body.height
    )


def trunk_path(body, position):
    """Return the path (cm) through trunk, neck, arms and head, the lungs not yet taken out."""
    x, y = (block_mean(a, 2) for a in position.view.grid)  # (160, 160): all of it is smooth
    scale = body.scale
    # Half the outer width: the neck's 2.9 cm, then shoulders that slope down to chest and wall.
    above = smoothstep(-y, -0.5 * body.height, 0)
    chest = np.hypot(chest_width(body, y + 1.2), 0.45 * body.width * above) + body.wall
    outer = 2.9 * scale + (chest - 2.9 * scale) * smoothstep(y, -5.5 * scale, -1.0 * scale)
    outer += position.slope[(x > 0).astype(int)] * scale * smoothstep(y, -4 * scale, -1) * above
    # Half the depth: 0.6 of it at the neck, more over the belly. The section is a rounded box.
    depth = (body.depth + body.fat) * (
        0.6
        + 0.4 * smoothstep(y, -3 * scale, 4 * scale)
        + 0.1 * smoothstep(y, 0.7 * body.height, body.height)
    )
    square = (x / outer) ** 2
    path = 2 * depth * np.sqrt(np.maximum(1 - square * (0.6 + 0.4 * square), 0))
    # The arms: round, 20 cm long.
    radius = 2.3 * scale + 0.4 * body.wall
    for _, x1, y1, dx, dy in position.arms:
        along = np.clip((x - x1) * dx + (y - y1) * dy, 0, 20)
        arm = chord((x - x1 - along * dx) / radius, (y - y1 - along * dy) / radius)
        path = np.hypot(path, 2 * radius * arm)
    # The breasts: round, their lower edge sharper than the upper one.
    if body.breasts:
        across, down, size, thickness = body.breasts
        v = y - down * body.height
        for side in (-1, 1):
            u = x - side * across * body.width
            path += thickness * chord(u / size, v / np.where(v > 0, 0.8 * size, 1.3 * size))
    # The head: half axes 4.6 and 5.5 cm, 11 cm thick, its middle 3 cm above the chin's place.
    head = chord(
        (x - position.chin_x) / (4.6 * scale), (y - position.chin_y + 3 * scale) / (5.5 * scale)
    )
    return upsample(np.maximum(path, 11 * scale * head), GRID)


def ribs(body, breath):
    """Return the ribs, a Tube of twelve curves on each side, from the spine round to the front."""
    number = np.arange(12, dtype=np.float32)[:, None]
    # The angle about the chest: 0 at the spine, pi at the breast bone, which the last three miss.
    turn = math.pi * (0.02 + 0.90 * ALONG * np.where(number > 8, 0.72, 1))
    # They slope down to the front, the lower ones more, and most with the breath drawn.
    drop = body.rib_drop * (0.7 + 0.5 * breath) * np.minimum(0.45 + number * 0.1, 1.15)
    y = (
        0.3 * body.scale
        + number * body.rib_pitch
        + drop * ((1 - np.cos(turn)) - 0.5 * np.sin(2 * turn))
    )
    x = 0.5 + (np.hypot(chest_width(body, y), 2.0 * body.scale) - 0.5) * np.sin(turn) ** 0.85
    return [
        Tube(
            x=side * x,
            y=y,
            z=-body.depth * np.cos(turn),
            radius=body.rib_radius,
            # In front they are cartilage, which does not show.
            mu=MU["bone"] * body.bone_density * (1 - 0.85 * smoothstep(ALONG, 0.74, 0.92)),
            hollow=0.62,
        )
        for side in (-1, 1)
    ]


def spine(body, view):
    """Return the attenuation of the spine, of which a vertebra repeats from rib to rib."""
    x, y = view.grid
    column = np.abs(x + 4 * view.yaw) / body.spine  # 0 in the middle, 1 at a vertebra's side
    phase = (y / body.rib_pitch) % 1
    return body.bone_density * (
        # the bodies of the vertebrae, with discs between them
        smoothstep(-column, -1.15, -0.8)
        * (0.26 - 0.14 * smoothstep(np.abs(phase - 0.5), 0.34, 0.46))
        # pedicles, two on each
        + 0.20 * np.exp(-ellipse((column - 0.66) / 0.16, (phase - 0.42) / 0.17))
        # spinous processes, one on each
        + 0.14 * np.exp(-ellipse(column / 0.16, (phase - 0.75) / 0.25))
    )


def skeleton(body, position):
    """Return the attenuation of ribs, collar bones, shoulder blades, upper arms, jaw and spine."""
    scale = body.scale
    mu = MU["bone"] * body.bone_density
    thin = ribs(body, position.breath)
    thick = []
    for side, x1, y1, dx, dy in position.arms:
        raised = 0.6 * (dy < 0)  # cm by which a raised arm lifts collar bone and shoulder blade
        thick += [
            Tube(  # upper arm, 14 cm long, thicker at the shoulder
                x=x1 + dx * 14 * ALONG,
                y=y1 + dy * 14 * ALONG,
                radius=(0.5 + 0.4 * np.exp(-(((ALONG - 0.05) * 14) ** 2)))
                * np.sqrt(np.minimum(ALONG * 18, 1))
                * scale,
                mu=0.9 * mu,
                hollow=0.6,
            ),
            Tube(  # collar bone, an S from the breast bone up to the shoulder
                x=side * (1.0 + ALONG * (0.86 * body.width - 0.9)),
                y=(1.1 - 1.5 * ALONG + 0.35 * np.sin(6.28 * ALONG)) * scale - raised,
                radius=0.36 * scale,
                mu=mu,
                z=3,
                hollow=0.6,
            ),
        ]
        thin.append(
            Tube(  # the edge of the shoulder blade
                x=side * (BLADE_X * body.width + 0.5 * scale + raised),
                y=BLADE_Y * body.height,
                radius=0.2 * scale,
                mu=0.35 * mu,
                z=-4,
            )
        )
    thick.append(
        Tube(  # jaw, half an ellipse
            x=position.chin_x + 3.4 * scale * np.cos(3.14 * ALONG),
            y=position.chin_y + (2.2 * np.sin(3.14 * ALONG) - 0.9) * scale,
            radius=0.7 * scale,
            mu=0.8 * mu,
            hollow=0.5,
        )
    )
    return (
        position.view.attenuation(thin, 10)
        + position.view.attenuation(thick, 24)
        + spine(body, position.view)
    )


def gas_path(body, position):
    """Return the path (cm) through gas under the diaphragm: stomach's bubble and bowel loops."""
    x, y = position.view.grid
    centres = [
        (0.42 * body.width, body.diaphragm(position.breath) + 1.9 * body.scale),  # the stomach's
        *(
            ((2 * u - 0.8) * body.width, body.height * (1.15 + 0.3 * v))
            for u, v, *_ in position.gas[1:]
        ),
    ]
    return sum(
        (
            (1 + 2 * size) * chord((x - cx) / (0.7 + 1.5 * size), (y - cy) / (0.5 + size))
            for (cx, cy), (_, _, size, presence) in zip(centres, position.gas, strict=True)
            if presence > 0.4
        ),
        np.zeros_like(x),
    )


def airways(body):
    """Return windpipe and main bronchi as tubes of what is missing there: soft tissue."""
    fork = 0.30 * body.height
    return [
        Tube(x=0.1, y=(fork + 6) * ALONG - 6, radius=0.6 * body.scale, mu=MU["soft tissue"]),
        *(
            Tube(
                x=side * 2.6 * body.scale * ALONG,
                y=fork + 1.6 * ALONG,
                radius=0.33 * body.scale,
                mu=0.8 * MU["soft tissue"],
            )
            for side in (-1, 1)
        ),
    ]


def metal(body, position):
    """Return the letter at the edge of the image and the leads on the child as tubes of lead."""
    letter, u, v, size = position.marker
    # The strokes of the letter, (1, 300).
    across, down = (
        np.interp(ALONG, np.linspace(0, 1, len(stroke)), stroke) for stroke in LETTERS[letter]
    )
    size = 0.04 + 0.02 * size
    marker = position.view.to_body(
        (0.02 + 0.06 * u if letter == "R" else 0.92) + 0.8 * size * across,
        0.02 + 0.6 * v + size * down,
    )
    # A lead is a Bezier curve of four points: their weights along it, (4, 300).
    bezier = np.concatenate(
        [(1 - ALONG) ** 3, 3 * ALONG * (1 - ALONG) ** 2, 3 * ALONG * ALONG * (1 - ALONG), ALONG**3]
    )
    return [
        Tube(*marker, radius=0.1 * body.scale, mu=MU["lead"]),
        *(
            Tube(
                x=(x @ bezier)[None] * body.width,
                y=(0.5 + y @ bezier)[None] * body.height,
                radius=0.09,
                mu=MU["lead"],
            )
            for x, y in position.leads
        ),
    ]


def blood(body, position):
    """Return the vessels too small to be drawn: how much denser they make lung, relative."""
    x, y = position.view.grid
    right, left, base = body.blood
    at_hilum = np.exp(
        -ellipse((np.abs(x) / body.width - 0.25) / 0.35, (y / body.height - 0.5) / 0.3)
    )
    above_diaphragm = np.maximum(body.diaphragm(position.breath) - y, 0) / body.height
    return np.where(x < 0, right, left) * at_hilum + base * np.exp(-above_diaphragm / 0.2)


def healthy_body(rng, body, position):
    """Draw a patient without disease.

    Returns
    -------
    lung : ndarray
        Path through lung, cm; like all, (320, 320) float32.
    trunk : ndarray
        Path through everything, cm.
    vessels : ndarray
        Attenuation of the lung's vessels beyond that of lung.
    attenuation : ndarray
        That of everything.
    """
    lung = lung_path(body, position)
    trunk = trunk_path(body, position)
    vessels = position.view.attenuation(body.vessels, 5) * smoothstep(lung, 1, 3)
    texture = upsample(fractal_noise(rng, 26), GRID)
    total = MU["soft tissue"] * np.maximum(
        trunk * (1 + 0.02 * texture) - lung - gas_path(body, position) * (lung < 2.2), 0
    )
    texture = 0.1 * texture
    if body.blood:
        texture = texture + blood(body, position)
    total += MU["lung"] * lung * (1 + texture) + vessels + skeleton(body, position)
    total -= position.view.attenuation(airways(body), 12) * (trunk > 3)
    return (
        lung,
        trunk,
        vessels,
        np.maximum(total, 0) + position.view.attenuation(metal(body, position), 5),
    )
