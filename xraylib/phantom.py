"""Phantoms: synthetic frontal chest radiographs of small children, for work without network or patients.

A radiograph is a shadow: every body between tube and detector takes its share of the photons, and by the
law of Beer and Lambert the shares add up in the exponent, T = exp(-sum of mu * path).  So a phantom, like
that of Shepp and Logan, is a list of bodies with a length along the beam (cm) and an attenuation coefficient
mu (1/cm): ellipsoids and cylinders (trunk, heart, diaphragm) by closed form, tubes (ribs, vessels, wind pipe,
wires) by sampling their cross-sections.  Pneumonia fills air spaces with fluid: an opacity is lung (0.055 per
cm) replaced by water (0.206), inside the lung and nowhere else.  Where it touches the heart, both shadows are
equally dense and the border between them vanishes (silhouette sign); bronchi that keep their air stay dark in
it (air bronchogram).  What follows is the detector (scatter, blur, quantum noise, collimation) and the
display (logarithm, window, curve).  Build, breath, rotation, exposure and wires know nothing of the disease.

Attenuation is that at 60 keV: mass coefficients of NIST XCOM for the tissues of ICRU-44 (cm2/g: water 0.206,
soft tissue 0.205, cortical bone 0.315) times a density.  Sizes are rounded from children of one to five
years.  By eye are all ranges of variation, detector and display, the share, extent and strength of diseases.

x (cm) runs to the picture's right, the child's left; y down from the top of the lungs; z to the front.
Absorption is in neper: the exponent, without unit.  The drawing grid is (320, 320) float32.
"""

import io
import math
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from joblib import Parallel, delayed
from PIL import Image
from scipy import ndimage

SIZE = 640  # pixels of a side of the finished radiograph
GRID = SIZE // 2  # pixels of a side of the grid on which bodies are drawn
MU_SOFT = 0.205 * 1.05  # 1/cm: muscle, blood, heart, liver; 1.05 g/cm3
MU_WATER = 0.206 * 1.00  # 1/cm: fluid in the air spaces or the pleura
MU_LUNG = 0.205 * 0.27  # 1/cm: inflated lung, 0.27 g/cm3
MU_BONE = 0.315 * 1.50  # 1/cm: a child's cortex; 1.5 g/cm3 by eye (adults 1.92)
MU_LEAD = 8.0  # 1/cm: marker and wires; lead takes far more, but 8 already is white
VISIBLE = 0.25  # neper: disease that adds more than this counts as opacity; by eye
EXTENT = 0.15  # least share of the lung fields that a disease makes opaque; by eye
SHARE = 0.74  # share of pictures with disease
KINDS = {"lobar": 0.33, "bronchopneumonia": 0.34, "interstitial": 0.25, "effusion": 0.08}  # by eye
STROKES = {
    "R": ([0, 0, 0.4, 0.6, 0.6, 0.4, 0, 0.25, 0.65], [1, 0, 0, 0.12, 0.38, 0.5, 0.5, 0.5, 1]),
    "L": ([0, 0, 0.6], [0, 1, 1]),
}  # across and down, 0 to 1
np.empty(1 << 24, np.uint8)  # glibc keeps small blocks for reuse once a large one was freed: a third faster


@dataclass(frozen=True)
class Phantom:
    """One synthetic radiograph and the truth about it.

    image: (640, 640) uint8, 0 black (air) to 255 white (dense); lungs: (640, 640) bool, the lung fields,
    where the beam crosses more than 1 cm of lung; opacity: (640, 640) bool, where disease adds more than
    VISIBLE neper, always inside the lungs; kind: "normal" or one of KINDS.
    """

    image: np.ndarray
    lungs: np.ndarray
    opacity: np.ndarray
    patient: int
    picture: int
    file_name: str
    kind: str

    @property
    def label(self) -> int:
        """0 = NORMAL, 1 = PNEUMONIA: 1 exactly when there is an opacity."""
        return int(self.opacity.any())


def stream(seed, patient, part, picture=0):
    """Independent random streams: part 0 anatomy, 1 the picture, 2 which disease, 3 its extent."""
    return np.random.default_rng([seed, patient, part, picture])


def chord(*parts):
    """Share of an ellipsoid's thickness on a ray at x/a, y/b from its centre, sqrt(1 - sum of squares)."""
    return np.sqrt(np.clip(1 - sum(part * part for part in parts), 0, 1))


def merged(*forms, hardness=5.0):
    """The same for the smooth union of bodies, each given as its sum of squares (inside below 1)."""
    total = sum(np.exp(-hardness * np.minimum(form, 9)) for form in forms)
    return np.sqrt(np.clip(1 + np.log(total) / hardness, 0, 1))


def step(x, low, high):
    """Smooth step from 0 at low to 1 at high."""
    t = np.clip((x - low) * (1 / (high - low)), 0, 1)
    return t * t * (3 - 2 * t)


def grown(a, side):
    """Array doubled by linear interpolation until it has `side` pixels a side."""
    while len(a) < side:
        for _ in range(2):
            edge, out = np.concatenate([a[:1], a, a[-1:]]), np.empty((2 * len(a), a.shape[1]), a.dtype)
            out[0::2] = 0.75 * a + 0.25 * edge[:-2]
            out[1::2] = 0.75 * a + 0.25 * edge[2:]
            a = out.T
    return np.ascontiguousarray(a)


def shrunk(a, n):
    """Mean over blocks of n x n pixels; n is a power of two."""
    while n > 1:
        a, n = (a[::2] + a[1::2]) * 0.25, n // 2
        a = a[:, ::2] + a[:, 1::2]
    return a


def blurred(a, sigma):
    """Gaussian blur that ends at 2.5 sigma (pixels)."""
    return ndimage.gaussian_filter(a, sigma, mode="nearest", truncate=2.5)


def clouds(rng, cells, levels=3):
    """Smooth random field about 0, deviation near 1, with `cells` blobs a side; (160, 160) float32."""
    total = np.zeros((GRID // 2, GRID // 2), np.float32)
    for k in range(levels):
        a = rng.standard_normal((cells >> k, cells >> k), dtype=np.float32)
        place = np.linspace(0, len(a) - 1.001, GRID // 2, dtype=np.float32)
        i, f = place.astype(int), step(place % 1, 0, 1)
        a = a[i] * (1 - f)[:, None] + a[i + 1] * f[:, None]
        total += (a[:, i] * (1 - f) + a[:, i + 1] * f) * 1.25 * 0.65 ** (levels - 1 - k)
    return total


class View:
    """Where the beam's grid lies over the body: x, y (cm) of the drawing grid, and tubes drawn on it."""

    def __init__(self, rng, build):
        # The field shown (cm).  Pixels are not square: the real pictures are wide ones, squeezed.
        self.height, self.width = build.tall * rng.uniform(1.25, 1.65), build.breadth * rng.uniform(1, 1.35)
        self.x0, self.y0 = rng.normal(0, 0.7), build.tall * rng.uniform(0.43, 0.61)
        tilt, self.yaw = rng.normal(0, 0.05), rng.normal(0, 0.10)  # rad: in the picture, about the spine
        self.cos, self.sin = math.cos(tilt), math.sin(tilt)
        t = (np.arange(GRID, dtype=np.float32) + 0.5) / GRID
        self.x, self.y = self.body(t[None, :], t[:, None])

    def body(self, u, v):
        """Body coordinates (cm) of a place in the picture: 0 to 1 from its left, 0 to 1 from its top."""
        u, v = (u - 0.5) * self.width, (v - 0.5) * self.height
        return self.cos * u - self.sin * v + self.x0, self.sin * u + self.cos * v + self.y0

    def tubes(self, curves, across):
        """Absorption (neper) of tubes on the drawing grid, groups of curves (x, y, z, radius, mu, hollow).

        x, y, z, radius (cm) and mu (1/cm) broadcast to (n, points); hollow is the share of the radius that is
        empty.  `across` samples over every piece carry mu * chord to the four nearest pixels.
        """
        samples, q = [], ((np.arange(across, dtype=np.float32) + 0.5) * (2 / across) - 1)[:, None, None]
        for x, y, z, radius, mu, hollow in curves:
            curve = np.stack(np.broadcast_arrays(x + self.yaw * z, y, z, radius, mu)).astype(np.float32)
            x, y, _, r, mu = (curve[..., 1:] + curve[..., :-1]) / 2
            dx, dy, dz = np.diff(curve[:3])
            flat = np.sqrt(dx * dx + dy * dy) + 1e-6
            length = np.minimum(np.sqrt(flat * flat + dz * dz), 1.35 * flat)  # capped along the beam
            thickness = 2 * r * (chord(q) - (hollow * chord(q / hollow) if hollow else 0))
            x, y = x - q * r * (dy / flat) - self.x0, y + q * r * (dx / flat) - self.y0
            j = (self.cos * x + self.sin * y) * (GRID / self.width) + (GRID / 2 - 0.5)
            i = (self.cos * y - self.sin * x) * (GRID / self.height) + (GRID / 2 - 0.5)
            keep = (j >= 0) & (j < GRID - 1) & (i >= 0) & (i < GRID - 1)
            samples.append([a[keep] for a in (j, i, mu * thickness * (2 / across) * r * length)])
        j, i, mass = (np.concatenate(part) for part in zip(*samples, strict=True))
        left, top = j.astype(np.int32), i.astype(np.int32)
        right, low, at, total = mass * (j - left), i - top, top * GRID + left, np.zeros(GRID * GRID)
        for move, part in ((0, mass - right), (1, right)):
            for down, share in ((0, 1 - low), (GRID, low)):
                total[move + down :] += np.bincount(at, part * share, GRID * GRID)[: GRID * GRID - move - down]
        return (total * (GRID * GRID / (self.width * self.height))).astype(np.float32).reshape(GRID, GRID)


def anatomy(rng):
    """A child's build (cm), the same in all its pictures."""
    s = rng.uniform(0.85, 1.15)
    b = SimpleNamespace(
        s=s,
        tall=15.0 * s * rng.uniform(0.9, 1.1),
        wide=8.8 * s * rng.uniform(0.9, 1.1),
        deep=5.4 * s * rng.uniform(0.9, 1.1),
        taper=rng.uniform(-0.4, 0.5),
        wall=rng.uniform(0.8, 2.0),
        fat=rng.uniform(0.7, 1.9),
        heart=rng.uniform(0.84, 1.1),
        heart_x=rng.normal(0, 0.3),
        rib=rng.uniform(0.26, 0.36) * s,
        pitch=rng.uniform(1.28, 1.5) * s,
        drop=rng.uniform(1.0, 2.2) * s,
        bone=rng.uniform(0.8, 1.5),
        spine=rng.uniform(1.0, 1.3) * s,
        dome=rng.uniform(2.8, 4.4) * s,
    )
    b.breadth, b.thymus, b.vessels = 2 * (b.wide + b.wall), rng.gamma(1.5, 0.35), []
    for side in (-1, 1):  # four generations of vessels from each hilum
        angle = np.linspace(-1.35, 1.5, 8) + rng.normal(0, 0.15, 8)
        x, y = side * 2.2 * s + rng.normal(0, 0.2, 8), 0.44 * b.tall + np.sin(angle) * 0.7
        size, radius = rng.uniform(4.5, 7.0, 8) * s, rng.uniform(0.22, 0.44, 8) * s
        for points, children in ((72, 3), (40, 3), (24, 2), (14, 2)):
            bent = angle[:, None] + rng.normal(0, 0.35, len(x))[:, None] * np.linspace(0, 1, points)
            px = x[:, None] + side * np.cumsum(np.cos(bent), 1) * (size / points)[:, None]
            py = y[:, None] + np.cumsum(np.sin(bent), 1) * (size / points)[:, None]
            thin = radius[:, None] * np.linspace(1, 0.4, points)
            b.vessels.append((px, py, 0 * px, thin))
            at = np.linspace(0.2, 0.75, children) + rng.normal(0, 0.06, (len(x), children))
            at, row = np.clip(at * points, 0, points - 1).astype(int), np.arange(len(x))[:, None]
            turn = np.where(np.arange(children) % 2, 1, -1) * rng.choice([-1, 1], (len(x), 1))
            angle = (bent[row, at] + turn * rng.uniform(0.35, 0.9, at.shape)).ravel()
            x, y, radius = px[row, at].ravel(), py[row, at].ravel(), thin[row, at].ravel() * 0.75
            size = (size[:, None] * rng.uniform(0.4, 0.65, at.shape)).ravel()
    return b


def positioning(rng, b):
    """What changes from picture to picture: position, breath, arms, gas, wires, exposure, display."""
    p = SimpleNamespace(
        rng=rng,
        view=View(rng, b),
        breath=rng.beta(3, 1.8),
        chin=(rng.normal(0, 1.0), rng.uniform(-6.5, -2)),
        slope=rng.uniform(0.4, 2.2, 2).astype(np.float32),
        gas=rng.random((6, 4)).tolist(),
        arms=[],
        wires=rng.uniform(-1.2, 1.2, (rng.integers(1, 4) if rng.random() < 0.08 else 0, 2, 4)),
        letter="L" if rng.random() < 0.1 else "R",
        marker=rng.random(3).tolist(),
        dark=rng.uniform(0, 20),
        border=(rng.uniform(-0.02, 0.10, 4).clip(0) * GRID * (rng.random() < 0.15)).astype(int).tolist(),
        scatter=rng.uniform(0.03, 0.30),
        focus=rng.uniform(0.3, 1.0),
        photons=10 ** rng.uniform(3.0, 4.5),
        sharpen=rng.uniform(0, 0.9),
        black=rng.uniform(0.2, 0.8),
        white=rng.uniform(1.0, 1.2),
        gamma=rng.uniform(0.8, 1.2),
        knee=rng.uniform(0, 0.5),
        gain=rng.uniform(190, 240),
    )
    p.level = b.tall * (0.83 + 0.16 * p.breath)  # height of the domes
    for side in (-1, 1):  # arms: shoulder and direction, up or down
        angle = rng.uniform(-1.4, -0.4) if rng.random() < 0.7 else rng.uniform(0.85, 1.45)
        p.arms += [(side, side * (0.93 * b.wide + 0.4), 1.2 * b.s, side * math.cos(angle), math.sin(angle))]
    return p


def width_at(b, y):
    """Half width (cm) of the inside of the chest at height y."""
    v = 1 - np.clip(y * (1 / b.tall), 0.002, 1)
    return b.wide * np.sqrt(1 - v * v * (1 - b.taper + b.taper * v))


def lung_path(b, p):
    """Lung (cm) along the beam: the chest's inside less heart, great vessels and domes of the diaphragm."""
    x, y, yaw, s, tall = p.view.x, p.view.y, p.view.yaw, b.s, b.tall
    deep = b.deep * np.sqrt(np.sqrt(np.clip(y / tall, 0.0001, 1)))
    k, hy = b.heart * s * (1.10 - 0.10 * p.breath), 0.70 * tall - 0.8 * (1 - p.breath)
    u, v, down = x - (1.2 * s + b.heart_x + yaw * 2.5), y - hy, step(y, 0.12 * tall, 0.80 * tall)
    ventricles = ((0.71 * u + 0.71 * v) / (5.2 * k)) ** 2 + ((0.71 * v - 0.71 * u) / (3.1 * k)) ** 2
    atrium = ((x + 0.7 * s - yaw * 2) / (2.4 * k)) ** 2 + ((v - 0.3) / (4.6 * k)) ** 2
    arch = ((x - 1.4 * s - yaw) / (1.2 * s)) ** 2 + ((y - 0.31 * tall) / (1.5 * s)) ** 2
    middle = (1.4 + 1.3 * np.exp(-np.maximum(y, -1) / 1.2)) * s * (1 + 0.8 * down)
    middle += b.thymus * chord(y / (0.2 * tall) - 1.3)
    middle = ((x - yaw * 1.5 - 0.1 - 0.7 * s * down) / middle) ** 2
    other = 1.86 * b.deep * merged(ventricles, atrium, arch, middle)
    for side, lift in ((-1, 0.9 * s), (1, 0.2 * s)):  # the right dome stands higher, over the liver
        base = p.level - lift + b.dome
        dome = chord((x - side * 0.42 * b.wide) / (0.62 * b.wide), np.minimum(y - base, 0) / b.dome)
        other = np.maximum(other, 2 * deep * np.sqrt(dome) * (0.91 + 0.09 * step(y, base - 1.5, base + 1.5)))
    return np.maximum(2 * deep * chord(x / width_at(b, y)) - other, 0) * step(-y, -1.25 * tall, -1.02 * tall)


def trunk_path(b, p):
    """Body (cm) along the beam, lungs not yet taken out: trunk with sloping shoulders, neck, arms, head."""
    x, y, s, tall = shrunk(p.view.x, 2), shrunk(p.view.y, 2), b.s, b.tall
    above = step(-y, -0.5 * tall, 0)
    outer = np.hypot(width_at(b, y + 1.2), 0.45 * b.wide * above) + b.wall - 2.9 * s
    outer = 2.9 * s + outer * step(y, -5.5 * s, -1.0 * s)
    outer += p.slope[(x > 0).astype(int)] * s * step(y, -4 * s, -1) * above
    deep = (b.deep + b.fat) * (0.6 + 0.4 * step(y, -3 * s, 4 * s) + 0.1 * step(y, 0.7 * tall, tall))
    e, radius = (x / outer) ** 2, 2.3 * s + 0.4 * b.wall
    soft = 2 * deep * np.sqrt(np.maximum(1 - e * (0.6 + 0.4 * e), 0))
    for _, x1, y1, dx, dy in p.arms:
        along = np.clip((x - x1) * dx + (y - y1) * dy, 0, 20)
        across = chord((x - x1 - along * dx) / radius, (y - y1 - along * dy) / radius)
        soft = np.hypot(soft, 2 * radius * across)
    head = chord((x - p.chin[0]) / (4.6 * s), (y - p.chin[1] + 3 * s) / (5.5 * s))
    return grown(np.maximum(soft, 11 * s * head), GRID)


def skeleton(b, p):
    """Absorption (neper) of ribs, collar bones, shoulder blades, upper arms, jaw and spine."""
    view, s, mu = p.view, b.s, MU_BONE * b.bone
    t, k = np.linspace(0, 1, 300, dtype=np.float32)[None], np.arange(12, dtype=np.float32)[:, None]
    turn = math.pi * (0.02 + 0.90 * t * np.where(k > 8, 0.72, 1))  # 0 at the spine, pi at the breast bone
    drop = b.drop * (0.7 + 0.5 * p.breath) * np.minimum(0.45 + k * 0.1, 1.15)
    y = 0.3 * s + k * b.pitch + drop * ((1 - np.cos(turn)) - 0.5 * np.sin(2 * turn))
    x = 0.5 + (np.hypot(width_at(b, y), 2.0 * s) - 0.5) * np.sin(turn) ** 0.85
    fade = mu * (1 - 0.85 * step(t, 0.74, 0.92))  # cartilage in front does not show
    narrow = [(side * x, y, -b.deep * np.cos(turn), b.rib, fade, 0.62) for side in (-1, 1)]
    broad, jaw = [], 3.14 * t
    for side, x1, y1, dx, dy in p.arms:
        shaft = (0.5 + 0.4 * np.exp(-(((t - 0.05) * 14) ** 2))) * np.sqrt(np.minimum(t * 18, 1)) * s
        broad.append((x1 + dx * 14 * t, y1 + dy * 14 * t, 0, shaft, 0.9 * mu, 0.6))
        collar = (1.1 - 1.5 * t + 0.35 * np.sin(6.28 * t)) * s - 0.6 * (dy < 0)
        broad.append((side * (1.0 + t * (0.86 * b.wide - 0.9)), collar, 3, 0.36 * s, mu, 0.6))
        blade_x = np.interp(t, [0, 0.25, 0.5, 0.75, 1], [0.92, 0.62, 0.76, 0.97, 0.92]) * b.wide + 0.5 * s
        blade_y = np.interp(t, [0, 0.25, 0.5, 0.75, 1], [0.05, 0.14, 0.50, 0.22, 0.05]) * b.tall
        narrow.append((side * (blade_x + 0.6 * (dy < 0)), blade_y, -4, 0.2 * s, 0.35 * mu, 0))
    arch = p.chin[1] + (2.2 * np.sin(jaw) - 0.9) * s
    broad.append((p.chin[0] + 3.4 * s * np.cos(jaw), arch, 0, 0.7 * s, 0.8 * mu, 0.5))
    column, phase = np.abs(view.x + 4 * view.yaw) / b.spine, (view.y / b.pitch) % 1
    spine = step(-column, -1.15, -0.8) * (0.26 - 0.14 * step(np.abs(phase - 0.5), 0.34, 0.46))  # vertebrae
    spine += 0.20 * np.exp(-(((column - 0.66) / 0.16) ** 2) - ((phase - 0.42) / 0.17) ** 2)  # pedicles
    spine += 0.14 * np.exp(-((column / 0.16) ** 2) - ((phase - 0.75) / 0.25) ** 2)  # processes
    return view.tubes(narrow, 10) + view.tubes(broad, 24) + b.bone * spine


def healthy_body(b, p):
    """Lung path (cm), trunk path (cm), absorption of lung vessels and of everything (neper)."""
    view, s, t = p.view, b.s, np.linspace(0, 1, 300, dtype=np.float32)[None]
    lung, trunk = lung_path(b, p), trunk_path(b, p)
    vessels = view.tubes([(*v, MU_SOFT - MU_LUNG, 0) for v in b.vessels], 5) * step(lung, 1, 3)
    tissue, gas, fork = grown(clouds(p.rng, 26), GRID), np.zeros_like(lung), 0.30 * b.tall
    for n, (u, v, size, there) in enumerate(p.gas):  # the stomach's bubble, then loops of bowel
        if there > 0.4:
            x, y = (2 * u - 0.8, b.tall * (1.15 + 0.3 * v)) if n else (0.42, p.level + 1.9 * s)
            x = (view.x - x * b.wide) / (0.7 + 1.5 * size)
            gas += (1 + 2 * size) * chord(x, (view.y - y) / (0.5 + size))
    total = MU_SOFT * np.maximum(trunk * (1 + 0.02 * tissue) - lung - gas * (lung < 2.2), 0)
    total += MU_LUNG * lung * (1 + 0.1 * tissue) + vessels + skeleton(b, p)
    wind = [(side * 2.6 * s * t, fork + 1.6 * t, 0, 0.33 * s, 0.8 * MU_SOFT, 0) for side in (-1, 1)]
    total -= view.tubes([(0.1 + 0 * t, (fork + 6) * t - 6, 0, 0.6 * s, MU_SOFT, 0), *wind], 12) * (trunk > 3)
    (across, down), (u, v, size) = STROKES[p.letter], p.marker  # the letter of lead at the edge
    u, v, size = 0.02 + 0.06 * u if p.letter == "R" else 0.92, 0.02 + 0.6 * v, 0.04 + 0.02 * size
    across, down = (np.interp(t, np.linspace(0, 1, len(part)), part) for part in (across, down))
    marker = view.body(u + 0.8 * size * across, v + size * down)
    bend = np.concatenate([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3])
    paths = [((x @ bend)[None] * b.wide, (0.5 + y @ bend)[None] * b.tall) for x, y in p.wires]
    metal = [(*marker, 0, 0.1 * s, MU_LEAD, 0), *((*path, 0, 0.09, MU_LEAD, 0) for path in paths)]
    return lung, trunk, vessels, np.maximum(total, 0) + view.tubes(metal, 5)


def filling(rng, b, p, kind, strength):
    """Share of the lung's air (0 to 1, (320, 320) float32) that disease of this kind replaces by fluid."""
    x, y, s, wide, cloud = shrunk(p.view.x, 2), shrunk(p.view.y, 2) / b.tall, b.s, b.wide, clouds(rng, 20)
    side = -1 if rng.random() < 0.5 else 1
    half = step(side * x, -0.5, 0.5)
    if kind == "lobar":  # one lobe, or all, with a sharp edge where a fissure bounds it
        lobes = (0.25, 0.28), (0.55, 0.22), (0.80, 0.32), (0.55, 0.80)  # centre and reach, of the height
        cy, ry = lobes[rng.choice(4, p=(0.28, 0.25, 0.32, 0.15))]
        cx, rx = side * rng.uniform(0.3, 0.6) * wide, rng.uniform(0.45, 0.8) * wide
        far = np.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2) + 0.12 * cloud
        edge = (y - cy) * (1 if rng.random() < 0.5 else -1) + rng.normal(0, 0.2) * (np.abs(x) / wide - 0.5)
        f = step(-far, -1.25, -0.45) * step(-edge, -0.85 * ry, -0.65 * ry) * half
    elif kind == "bronchopneumonia":  # patches in both lungs, mostly low
        f = np.zeros_like(x)
        for _ in range(rng.integers(4, 12)):
            cx, cy = side * wide * rng.uniform(0.2, 0.8), min(rng.normal(0.58, 0.22), 0.95)
            cx, r = cx if rng.random() < 0.65 else -cx, rng.uniform(1.2, 3.4) * s
            f += rng.uniform(0.4, 1) * np.exp(-(((x - cx) / r) ** 2) - ((y - cy) * (b.tall / r)) ** 2)
        f = 1.15 * f / (0.35 + f) * np.clip(0.85 + 0.25 * cloud, 0.2, 1.3)
    elif kind == "interstitial":  # walls and septa thicken, most around the hila, on both sides
        f = np.exp(-(((np.abs(x) - 2.5 * s) / (4.2 * s)) ** 2) - ((y - 0.5) * (b.tall / (6 * s))) ** 2)
        cloud = 0.3 * cloud + 0.2 * clouds(rng, 60, 2)
        f = 0.65 * (f + rng.uniform(0.1, 0.5)) * np.clip(0.85 + cloud, 0.2, 2)
    else:  # fluid in the pleura: a level that climbs at the side wall
        level = y - 0.92 + 0.45 * strength + 0.3 * (np.abs(x) / wide - 0.6) * (1 - 0.4 * strength)
        f = np.maximum(step(level, -0.06, 0.10), 0.15) * half
    return grown(np.clip(f * strength, 0, 0.97).astype(np.float32), GRID)


def opacities(rng, b, p, kind, lung, lungs, vessels):
    """Absorption (neper) that disease adds; redrawn and strengthened until it is visible."""
    added, strength = np.zeros_like(lung), 0.0
    while kind != "normal" and (lungs & (added > VISIBLE)).sum() < EXTENT * lungs.sum():
        strength = min(1, max(1.2 * strength, 0.6 + 0.4 * rng.beta(2.0, 1.3)))
        f = filling(rng, b, p, kind, strength)
        added = f * (lung * (MU_WATER - MU_LUNG) - 0.9 * vessels)
        if kind == "interstitial":  # cuffs of fluid around vessels and bronchi
            added += blurred(vessels, 1.5) * strength
        if kind == "lobar":  # air bronchogram
            bronchi = p.view.tubes([(x, y, z, 0.6 * r, MU_WATER, 0) for x, y, z, r in b.vessels[::4]], 4)
            added -= 0.6 * f * f * np.minimum(bronchi, 0.25) * step(lung, 1, 3)
    return np.maximum(added, 0)


def signal(absorption, scatter=0.0, sharpen=0.0, block=8):
    """What the detector sees: -log of primary and scattered photons (neper), its edges enhanced."""
    primary, side = np.exp(-absorption), len(absorption)
    haze = grown(blurred(shrunk(primary * (1 - primary * primary), block), 3.0), side)
    seen = -np.log(primary + scatter * haze + 0.0005)
    return seen + sharpen * (seen - grown(blurred(shrunk(seen, block), 3.0), side))


def develop(p, healthy, added, trunk):
    """The (640, 640) uint8 picture of an absorption: exposure, scatter, blur, noise, window, curve."""
    # The window is set on the body without its disease, so that nothing outside the lungs tells of it.
    body = signal(shrunk(healthy, 4), p.scatter, p.sharpen, 2)[4:-4, 4:-4]
    low, high = np.percentile(body[shrunk(trunk, 4)[4:-4, 4:-4] > 5], [2, 98]).tolist()
    low, high = low * p.black, low * p.black + (high - low * p.black) * p.white
    seen = blurred(signal(healthy + added, p.scatter, p.sharpen), p.focus)
    noise = grown(np.exp(0.5 * seen) * (0.5 / math.sqrt(p.photons)), SIZE)  # of photons: 1 / sqrt(number)
    full = grown(seen, SIZE) + noise * p.rng.standard_normal((SIZE, SIZE), dtype=np.float32)
    g = np.linspace(0, 1.2, 4096) ** p.gamma
    g = (1 - p.knee) * g + p.knee * (1 - np.exp(-2.2 * g)) / (1 - math.exp(-2.2))
    curve = np.clip(p.dark + p.gain * g + 0.5, 0, 255).astype(np.uint8)
    return curve[np.clip((full - low) * (4095 / 1.2 / (high - low)), 0, 4095).astype(np.int16)]


def draw_kind(patient, picture=0, *, seed=0, disease=None) -> str:
    """The kind that `draw_phantom` would draw, "normal" or one of KINDS, without drawing it."""
    rng = stream(seed, patient, 2, picture)
    sick, kind = rng.random() < SHARE, str(rng.choice(list(KINDS), p=list(KINDS.values())))
    kind = disease if isinstance(disease, str) else kind
    return kind if (sick if disease is None else disease) else "normal"


def draw_phantom(patient, picture=0, *, seed=0, disease=None) -> Phantom:
    """Draw a picture of a patient; disease: None by lot, False none, True one, or the name of a kind."""
    kind = draw_kind(patient, picture, seed=seed, disease=disease)
    if kind not in ("normal", *KINDS):
        raise ValueError(f"no such kind of disease: {kind!r}; there are {', '.join(KINDS)}")
    b = anatomy(stream(seed, patient, 0))
    p = positioning(stream(seed, patient, 1, picture), b)
    lung, trunk, vessels, healthy = healthy_body(b, p)
    top, bottom, left, right = p.border  # what the collimator leaves open
    field = np.pad(np.ones((GRID - top - bottom, GRID - left - right), bool), ((top, bottom), (left, right)))
    lungs = (lung > 1.0) & field
    added = opacities(stream(seed, patient, 3, picture), b, p, kind, lung, lungs, vessels)
    lungs, opacity, field = (m.repeat(2, 0).repeat(2, 1) for m in (lungs, lungs & (added > VISIBLE), field))
    image = develop(p, healthy, added, trunk) * field
    return Phantom(image, lungs, opacity, patient, picture, f"phantom{patient:04d}-{picture:04d}.jpg", kind)


def patients_and_pictures(n, seed=0) -> list[tuple[int, int]]:
    """n pairs (patient, picture): four of ten patients have more than one picture, at most six."""
    counts = np.random.default_rng([seed, 0]).geometric(0.6, max(n, 1)).clip(max=6)
    return [(patient, k) for patient, count in enumerate(counts.tolist()) for k in range(count)][:n]


def files(pictures, seed=0, quality=90) -> Iterator[tuple[str, int, bytes]]:
    """File name, label and content (a JPEG file of this quality) of every (patient, picture), drawn on all cores.

    By processes: a picture is some thousand short calls, for which threads would wait for each other.
    """
    jobs = (delayed(_file)(*each, seed, quality) for each in pictures)
    end = {"initializer": _end_with, "initargs": (os.getpid(),), "idle_worker_timeout": 5}
    return Parallel(n_jobs=os.cpu_count(), return_as="generator", **end)(jobs)


def _end_with(parent):
    """A worker whose parent was killed waits for work forever: so it looks for itself."""

    def watch():
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    if os.getpid() != parent:  # where processes cannot be had, joblib works in this one
        threading.Thread(target=watch, daemon=True).start()


def _file(patient, picture, seed, quality):
    drawn, content = draw_phantom(patient, picture, seed=seed), io.BytesIO()
    Image.fromarray(drawn.image).save(content, "JPEG", quality=quality)
    return drawn.file_name, drawn.label, content.getvalue()


def generate(n, seed=0, first_patient=0) -> Iterator[Phantom]:
    """n phantoms of the patients first_patient, first_patient + 1, ..."""
    for patient, picture in patients_and_pictures(n, seed):
        yield draw_phantom(first_patient + patient, picture, seed=seed)
