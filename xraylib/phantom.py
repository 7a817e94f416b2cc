"""Phantoms: synthetic frontal chest radiographs of small children, for work without network or patients.

A radiograph is a shadow: every body between tube and detector takes away its share of the photons, and
by the law of Beer and Lambert the shares add up in the exponent, T = exp(-sum of mu * path).  So a phantom,
like that of Shepp and Logan, is a list of bodies with a length along the beam (cm) and an attenuation
coefficient mu (1/cm): ellipsoids and cylinders (trunk, heart, diaphragm) by closed form, tubes (ribs,
vessels, wind pipe, wires) by sampling their round cross-sections.  Pneumonia fills air spaces with fluid:
it replaces lung (mu 0.055) by water (0.206) inside the lung and nowhere else.  What follows is the detector
(scatter, blur, quantum noise, borders) and the display (logarithm, window, curve).

Attenuation is quoted at 60 keV from NIST XCOM / ICRU-44 mass coefficients (cm2/g: water 0.206, soft tissue
0.205, cortical bone 0.315) times a density.  Sizes are those of children of one to five years, rounded;
every range of variation, the share of each disease and its strength are chosen by eye.

Coordinates: x to the picture's right (the child's left), y down from the top of the lungs, z to the front.
Absorption is in neper (an exponent, no unit).  Arrays of the drawing grid are (320, 320) float32.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from scipy import ndimage

SIZE = 640  # pixels of a side of the finished radiograph
GRID = SIZE // 2  # pixels of a side of the grid on which bodies are drawn
MU_SOFT = 0.205 * 1.05  # 1/cm: muscle, blood, heart, liver
MU_WATER = 0.206 * 1.00  # 1/cm: fluid in the air spaces or the pleura
MU_LUNG = 0.205 * 0.27  # 1/cm: inflated lung, 0.27 g/cm3
MU_BONE = 0.315 * 1.50  # 1/cm: a child's cortex, 1.5 g/cm3 (adult 1.92); the density is by eye
MU_LEAD = 8.0  # 1/cm: marker and wires; lead takes far more, but 8 already is white
VISIBLE = 0.25  # neper: disease that absorbs more than this counts as opacity; by eye
SHARE = 0.74  # share of pictures with disease
KINDS = {"lobar": 0.33, "bronchopneumonia": 0.34, "interstitial": 0.25, "effusion": 0.08}  # by eye
np.empty(1 << 24, np.uint8)  # glibc: after one large block was freed it reuses smaller ones, a third faster
STROKES = {
    "R": [(0, 1), (0, 0), (0.4, 0), (0.6, 0.12), (0.6, 0.38), (0.4, 0.5), (0, 0.5), (0.25, 0.5), (0.65, 1)],
    "L": [(0, 0), (0, 0.5), (0, 1), (0.3, 1), (0.6, 1)],
}


@dataclass(frozen=True)
class Phantom:
    """One synthetic radiograph and the truth about it.

    image: (640, 640) uint8, 0 black (air) to 255 white (dense); lungs: (640, 640) bool, the lung fields, where
    the beam crosses more than 1 cm of lung; opacity: (640, 640) bool, where disease adds more than VISIBLE
    neper, always inside the lungs; kind: "normal" or one of KINDS.
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
        """0 = NORMAL, 1 = PNEUMONIA: 1 exactly when there is a visible opacity."""
        return int(self.opacity.any())


def stream(seed, patient, part, picture=0):
    """Independent random stream: part 0 anatomy, 1 picture, 2 which disease, 3 its extent."""
    return np.random.default_rng([seed, patient, part, picture])


def chord(*parts):
    """Share of an ellipsoid's full thickness that a ray crosses at offsets x/a, y/b: sqrt(1 - sum of squares)."""
    rest = 1 - parts[0] * parts[0]
    for part in parts[1:]:
        rest = rest - part * part
    return np.sqrt(np.clip(rest, 0, 1))


def merged(*forms, hardness=5.0):
    """Smooth union of bodies given as sums of squares (inside below 1); returns the share of thickness, 0 to 1."""
    total = sum(np.exp(-hardness * np.minimum(f, 9)) for f in forms)
    return np.sqrt(np.clip(1 + np.log(total) / hardness, 0, 1))


def step(x, low, high):
    """Smooth step from 0 at low to 1 at high."""
    t = np.clip((x - low) * (1 / (high - low)), 0, 1)
    return t * t * (3 - 2 * t)


def double(a):
    """Twice as many pixels a side, by linear interpolation."""
    for _ in range(2):
        edge = np.concatenate([a[:1], a, a[-1:]])
        out = np.empty((2 * len(a), a.shape[1]), a.dtype)
        out[0::2] = 0.75 * a + 0.25 * edge[:-2]
        out[1::2] = 0.75 * a + 0.25 * edge[2:]
        a = out.T
    return np.ascontiguousarray(a)


def shrink(a, n):
    """Mean over blocks of n x n pixels."""
    return a.reshape(len(a) // n, n, -1, n).mean((1, 3))


def blur(a, sigma):
    """Gaussian blur that ends at 2.5 sigma (pixels)."""
    return ndimage.gaussian_filter(a, sigma, mode="nearest", truncate=2.5)


def clouds(rng, cells, levels):
    """Smooth random field on the half grid, (160, 160), about 0 with deviation near 1, finest detail one of `cells`."""
    total = np.zeros((GRID // 2, GRID // 2), np.float32)
    for k in range(levels):
        n = max(cells >> k, 3)
        a = rng.standard_normal((n, n), dtype=np.float32)
        pos = np.linspace(0, n - 1.001, GRID // 2, dtype=np.float32)
        i = pos.astype(np.intp)
        f = pos - i
        f = f * f * (3 - 2 * f)
        a = a[i] * (1 - f)[:, None] + a[i + 1] * f[:, None]
        total += (a[:, i] * (1 - f) + a[:, i + 1] * f) * 0.65 ** (levels - 1 - k)
    return total * 1.25


class View:
    """Where the beam's grid lies over the body: x, y (cm) of the drawing grid, and curves drawn on it."""

    def __init__(self, rng, build):
        self.height = build.tall * rng.uniform(1.25, 1.7)  # cm from top to bottom
        self.width = 2 * (build.wide + build.wall) * rng.uniform(0.95, 1.35)  # cm; pixels are not square, as there
        self.tilt, self.yaw = rng.normal(0, 0.05), rng.normal(0, 0.10)  # rad: in the plane, about the long axis
        self.x0, self.y0 = rng.normal(0, 0.7), build.tall * rng.uniform(0.42, 0.62)
        t = (np.arange(GRID, dtype=np.float32) + 0.5) / GRID - 0.5
        self.x, self.y = self.body(t[None, :] + 0.5, t[:, None] + 0.5)

    def body(self, u, v):
        """Body coordinates (cm) of picture coordinates 0 to 1."""
        c, s, u, v = math.cos(self.tilt), math.sin(self.tilt), (u - 0.5) * self.width, (v - 0.5) * self.height
        return c * u - s * v + self.x0, s * u + c * v + self.y0

    def tubes(self, curves, across):
        """Absorption (neper, drawing grid) of tubes, each group of curves (x, y, z, radius, mu, hollow).

        x, y, z, radius, mu: (n, points) or broadcast to it, cm and 1/cm; hollow: inner radius as share of the
        outer.  Every slice across a tube is spread over `across` samples that carry the closed-form chord.
        """
        q = ((np.arange(across, dtype=np.float32) + 0.5) * (2 / across) - 1)[:, None, None]
        places, masses = [], []
        for x, y, z, radius, mu, hollow in curves:
            curve = np.stack(np.broadcast_arrays(x + self.yaw * z, y, z, radius, mu)).astype(np.float32)
            mid, (dx, dy, dz, _, _) = (curve[..., 1:] + curve[..., :-1]) / 2, curve[..., 1:] - curve[..., :-1]
            flat = np.sqrt(dx * dx + dy * dy) + 1e-6
            length = np.minimum(np.sqrt(flat * flat + dz * dz), 1.6 * flat)  # tubes along the beam: capped
            share = chord(q) - (hollow * chord(q / hollow) if hollow else 0)
            mass = (share * (4 / across)) * (mid[4] * mid[3] * mid[3] * length)
            offset = q * mid[3]
            x, y = mid[0] - offset * (dy / flat) - self.x0, mid[1] + offset * (dx / flat) - self.y0
            c, s = math.cos(self.tilt), math.sin(self.tilt)
            j = (c * x + s * y) * (GRID / self.width) + (GRID / 2 - 0.5)
            i = (c * y - s * x) * (GRID / self.height) + (GRID / 2 - 0.5)
            keep = (j >= 0) & (j < GRID - 1) & (i >= 0) & (i < GRID - 1)
            places.append((j[keep], i[keep]))
            masses.append(mass[keep])
        j, i, mass = (
            np.concatenate([p[0] for p in places]),
            np.concatenate([p[1] for p in places]),
            np.concatenate(masses),
        )
        a, b = j.astype(np.int32), i.astype(np.int32)
        fj, fi, at = j - a, i - b, b * GRID + a
        right, low = mass * fj, fi
        left = mass - right
        total = np.bincount(at, left * (1 - low), GRID * GRID)
        total[1:] += np.bincount(at, right * (1 - low), GRID * GRID)[:-1]
        total[GRID:] += np.bincount(at, left * low, GRID * GRID)[:-GRID]
        total[GRID + 1 :] += np.bincount(at, right * low, GRID * GRID)[: -GRID - 1]
        return (total * (GRID * GRID / (self.width * self.height))).astype(np.float32).reshape(GRID, GRID)


def anatomy(rng):
    """A child's build (cm), the same in all its pictures."""
    s = rng.uniform(0.85, 1.15)
    build = SimpleNamespace(
        scale=s,
        tall=15.0 * s * rng.uniform(0.9, 1.1),
        wide=8.8 * s * rng.uniform(0.9, 1.1),
        deep=5.4 * s * rng.uniform(0.9, 1.1),
        taper=rng.uniform(-0.4, 0.5),
        wall=rng.uniform(0.8, 2.0),
        fat=rng.uniform(0.7, 1.9),
        heart=rng.uniform(0.86, 1.12),
        heart_x=rng.normal(0, 0.3),
        thymus=rng.gamma(2, 0.35),
        rib=rng.uniform(0.26, 0.36) * s,
        pitch=rng.uniform(1.28, 1.5) * s,
        drop=rng.uniform(1.0, 2.2) * s,
        bone=rng.uniform(0.7, 1.3),
        spine=rng.uniform(1.0, 1.3) * s,
        vessels=rng.uniform(0.85, 1.3),
        dome=rng.uniform(2.4, 3.6) * s,
    )
    build.tree = []
    for side in (-1, 1):  # four generations of vessels from each hilum
        angle = np.linspace(-1.35, 1.5, 8) + rng.normal(0, 0.15, 8)
        x, y = side * 2.2 * s + rng.normal(0, 0.2, 8), 0.44 * build.tall + np.sin(angle) * 0.7
        size, radius = rng.uniform(4.5, 7.0, 8) * s, rng.uniform(0.20, 0.36, 8) * s
        for points, kids in ((72, 3), (40, 3), (24, 2), (14, 2)):
            t = np.linspace(0, 1, points)
            bent = angle[:, None] + rng.normal(0, 0.35, len(x))[:, None] * t
            px = x[:, None] + side * np.cumsum(np.cos(bent), 1) * (size / points)[:, None]
            py = y[:, None] + np.cumsum(np.sin(bent), 1) * (size / points)[:, None]
            thin = radius[:, None] * (1 - 0.6 * t)
            build.tree.append((px, py, thin))
            at = (np.linspace(0.2, 0.75, kids) * points + rng.normal(0, 0.06 * points, (len(x), kids))).astype(int)
            at, row = np.clip(at, 0, points - 1), np.arange(len(x))[:, None]
            turn = np.where(np.arange(kids) % 2, 1, -1) * rng.choice([-1, 1], (len(x), 1))
            angle = (bent[row, at] + turn * rng.uniform(0.35, 0.9, (len(x), kids))).ravel()
            x, y, radius = px[row, at].ravel(), py[row, at].ravel(), thin[row, at].ravel() * 0.75
            size = (size[:, None] * rng.uniform(0.4, 0.65, (len(size), kids))).ravel()
    return build


def positioning(rng, build):
    """What changes from picture to picture: breath, arms, chin, gas, wires, exposure, detector, display."""
    return SimpleNamespace(
        view=View(rng, build),
        breath=rng.beta(3, 1.8),
        arm=rng.uniform(0, 1, 2).tolist(),
        up=(rng.random(2) < 0.6).tolist(),
        slope=rng.uniform(0.4, 2.2, 2).tolist(),
        chin=(rng.normal(0, 1.0), rng.uniform(-7.5, -3)),
        gas=rng.random((6, 4)).tolist(),
        wires=int(rng.integers(1, 4)) if rng.random() < 0.08 else 0,
        wire=rng.uniform(-1.2, 1.2, (3, 2, 4)),
        letter="L" if rng.random() < 0.1 else "R",
        mark=rng.random(3).tolist(),
        scatter=rng.uniform(0.03, 0.30),
        focus=rng.uniform(0.3, 1.0),
        photons=10 ** rng.uniform(3.0, 4.5),
        sharpen=rng.uniform(0, 0.5),
        black=rng.uniform(0.2, 0.8),
        white=rng.uniform(1.0, 1.2),
        gamma=rng.uniform(0.8, 1.2),
        knee=rng.uniform(0, 0.5),
        lift=rng.uniform(0, 0.08),
        gain=rng.uniform(0.78, 1.0),
        border=rng.uniform(-0.02, 0.10, 4) if rng.random() < 0.15 else None,
        rng=rng,
    )


def width_at(build, y):
    """Half width (cm) of the chest's inside at height y."""
    v = 1 - np.clip(y * (1 / build.tall), 0.002, 1)
    return build.wide * np.sqrt(1 - v * v * (1 - build.taper + build.taper * v))


def chest(build, p):
    """Lung path and soft-tissue path (cm) through trunk, arms and head; (GRID, GRID) float32 each."""
    x, y, yaw, s, tall, wide = p.view.x, p.view.y, p.view.yaw, build.scale, build.tall, build.wide
    inner = width_at(build, y)
    deep = build.deep * np.sqrt(np.sqrt(np.clip(y / tall, 0.0001, 1)))
    cavity = 2 * deep * chord(x / inner)
    # Heart and great vessels: a smooth union, wider when the breath is shallow.
    k, hy = build.heart * s * (1.10 - 0.10 * p.breath), 0.68 * tall - 0.8 * (1 - p.breath)
    u, v = x - (1.2 * s + build.heart_x + yaw * 2.5), y - hy
    heart = ((0.85 * u + 0.53 * v) / (5.0 * k)) ** 2 + ((0.85 * v - 0.53 * u) / (3.1 * k)) ** 2
    atrium = ((x + 0.7 * s - yaw * 2) / (2.4 * k)) ** 2 + ((y - hy - 0.3) / (4.6 * k)) ** 2
    down = step(y, 0.12 * tall, 0.80 * tall)
    top = (1.7 + 1.2 * np.exp(-np.maximum(y, -1) / 1.2)) * s * (1 + 0.8 * down)
    top = top + build.thymus * chord((y - 0.26 * tall) / (0.2 * tall))
    knob = ((x - 1.4 * s - yaw) / (1.2 * s)) ** 2 + ((y - 0.31 * tall) / (1.5 * s)) ** 2
    bodies = 1.86 * build.deep * merged(heart, atrium, ((x - yaw * 1.5 - 0.1 - 0.5 * s * down) / top) ** 2, knob)
    level = tall * (0.80 + 0.16 * p.breath)
    for side, lift in ((-1, 0.9 * s), (1, 0.2 * s)):  # the right dome stands higher, over the liver
        base = level - lift + build.dome
        dome = chord((x - side * 0.42 * wide) / (0.62 * wide), np.minimum(y - base, 0) / build.dome)
        bodies = np.maximum(bodies, 2 * deep * np.sqrt(dome) * (0.91 + 0.09 * step(y, base - 1.5, base + 1.5)))
    lung = np.maximum(cavity - bodies, 0) * step(-y, -1.25 * tall, -1.02 * tall)
    # Trunk with sloping shoulders, neck, arms, head: smooth enough for a grid of half the size.
    x, y = shrink(x, 2), shrink(y, 2)
    slope = np.where(x < 0, np.float32(p.slope[0] * s), np.float32(p.slope[1] * s))
    outer = np.hypot(width_at(build, y + 1.2), 0.45 * wide * step(-y, -0.5 * tall, 0)) + build.wall
    outer = (
        2.9 * s
        + (outer - 2.9 * s) * step(y, -4.4 * s, -0.6 * s)
        + slope * step(y, -3 * s, 0) * step(-y, -0.5 * tall, 0)
    )
    e = (x / outer) ** 2
    soft = (
        2
        * (build.deep + build.fat)
        * (0.6 + 0.4 * step(y, -3 * s, 4 * s) + 0.1 * step(y, 0.7 * tall, tall))
        * np.sqrt(np.maximum(1 - e * (0.6 + 0.4 * e), 0))
    )
    radius = 2.3 * s + 0.4 * build.wall
    for (x1, y1), (dx, dy) in arms(build, p):
        u, v = x - x1, y - y1
        along = np.clip(u * dx + v * dy, 0, 20)
        arm = 2 * radius * chord((u - along * dx) / radius, (v - along * dy) / radius)
        soft = np.sqrt(soft * soft + arm * arm)
    head = chord((x - p.chin[0]) / (4.6 * s), (y - p.chin[1] + 3 * s) / (5.5 * s))
    return lung, double(np.maximum(soft, 11 * s * head))


def arms(build, p):
    """Shoulder and direction of both upper arms: ((x, y), (dx, dy))."""
    for side, up, bend in zip((-1, 1), p.up, p.arm):
        angle = -0.1 - 1.2 * bend if up else 1.45 - 0.6 * bend
        yield (side * (build.wide * 0.93 + 0.4), 1.2 * build.scale), (side * math.cos(angle), math.sin(angle))


def skeleton(build, p):
    """Absorption (neper) of ribs, collar bones, shoulder blades, upper arms, jaw and spine."""
    view, s, wide, tall, mu = p.view, build.scale, build.wide, build.tall, MU_BONE * build.bone
    t = np.linspace(0, 1, 220, dtype=np.float32)[None]
    k = np.arange(0, 12, dtype=np.float32)[:, None]
    turn = math.pi * (0.02 + 0.90 * t * np.where(k > 8, 0.72, 1))  # 0 at the spine, pi at the breast bone
    drop = build.drop * (0.7 + 0.5 * p.breath) * np.minimum(0.45 + k * 0.1, 1.15)
    y = 0.2 * s + k * build.pitch + drop * ((1 - np.cos(turn)) - 0.5 * np.sin(2 * turn)) + 0.1 * s
    x = 0.5 + (np.hypot(width_at(build, y), 2.0 * s) - 0.5) * np.sin(turn) ** 0.85
    fade = mu * (1 - 0.85 * step(t, 0.74, 0.92))  # rib cartilage does not show
    thin, wide_ones = [(side * x, y, -build.deep * np.cos(turn), build.rib, fade, 0.62) for side in (-1, 1)], []
    for ((x1, y1), (dx, dy)), side, up in zip(arms(build, p), (-1, 1), p.up):
        shaft = (0.5 + 0.4 * np.exp(-(((t - 0.05) * 14) ** 2))) * np.sqrt(np.minimum(t * 18, 1)) * s
        wide_ones.append((x1 + dx * 14 * t, y1 + dy * 14 * t, 0 * t, shaft, 0.9 * mu, 0.6))
        wide_ones.append(
            (
                side * (1.0 + t * (0.86 * wide - 0.9)),
                (1.1 - 1.5 * t + 0.35 * np.sin(6.28 * t)) * s - 0.6 * up,
                0 * t + 3,
                0.36 * s,
                mu,
                0.6,
            )
        )
        blade = np.array([[0.92, 0.62, 0.76, 0.97, 0.92], [0.05, 0.14, 0.5, 0.22, 0.05]])
        bx, by = (np.interp(t, np.linspace(0, 1, 5), row) for row in blade)
        thin.append((side * (bx * wide + 0.5 * s + 0.6 * up), by * tall, 0 * t - 4, 0.2 * s, 0.35 * mu, 0))
    jaw = 3.14 * t
    wide_ones.append(
        (p.chin[0] + 3.4 * s * np.cos(jaw), p.chin[1] + (2.2 * np.sin(jaw) - 0.9) * s, 0 * t, 0.7 * s, 0.8 * mu, 0.5)
    )
    bone = view.tubes(thin, 10) + view.tubes(wide_ones, 24)
    column, phase = np.abs(view.x + 4 * view.yaw) / build.spine, (view.y / build.pitch) % 1
    gap = step(np.abs(phase - 0.5), 0.34, 0.46)
    pedicle = np.exp(-(((column - 0.66) / 0.16) ** 2) - ((phase - 0.42) / 0.17) ** 2)
    spinous = np.exp(-((column / 0.16) ** 2) - ((phase - 0.75) / 0.25) ** 2)
    return bone + build.bone * (step(-column, -1.15, -0.8) * (0.26 - 0.14 * gap) + 0.2 * pedicle + 0.14 * spinous)


def filling(rng, build, p, kind, strength):
    """Share of the lung's air (0 to 1, (GRID, GRID) float32) that disease of this kind replaces by fluid."""
    x, y, s, wide, tall = shrink(p.view.x, 2), shrink(p.view.y, 2), build.scale, build.wide, build.tall
    side = -1 if rng.random() < 0.5 else 1
    cloud = clouds(rng, 20, 3)

    def spot(cx, cy, rx, ry):
        return np.exp(-(((x - cx) / rx) ** 2) - ((y - cy * tall) / ry) ** 2)

    half = step(side * x, -0.5, 0.5)
    if kind == "lobar":  # one lobe, sharp where a fissure bounds it
        cy, ry = ((0.25, 0.28), (0.55, 0.22), (0.80, 0.32), (0.55, 0.8))[rng.choice(4, p=(0.28, 0.25, 0.32, 0.15))]
        cx, rx = side * rng.uniform(0.3, 0.6) * wide, rng.uniform(0.45, 0.8) * wide
        far = np.sqrt(((x - cx) / rx) ** 2 + ((y / tall - cy) / ry) ** 2) + 0.12 * cloud
        edge = (y / tall - cy) * rng.choice([-1, 1]) + rng.normal(0, 0.2) * (np.abs(x) / wide - 0.5)
        f = step(-far, -1.25, -0.45) * step(-edge, -0.85 * ry, -0.65 * ry) * half
    elif kind == "bronchopneumonia":  # patches of both lungs, mostly low and near the hila
        f = np.zeros_like(x)
        for _ in range(rng.integers(4, 12)):
            here = side if rng.random() < 0.65 else -side
            r = rng.uniform(1.2, 3.4) * s
            f += rng.uniform(0.4, 1) * spot(here * wide * rng.uniform(0.2, 0.8), min(rng.normal(0.62, 0.2), 0.95), r, r)
        f = 1.15 * f / (0.35 + f) * np.clip(0.85 + 0.25 * cloud, 0.2, 1.3)
    elif kind == "interstitial":  # walls and septa thicken around the bronchi, on both sides
        f = spot(-2.5 * s, 0.5, 4.2 * s, 6 * s) + spot(2.5 * s, 0.5, 4.2 * s, 6 * s) + rng.uniform(0.1, 0.5)
        f = 0.55 * f * np.clip(0.85 + 0.3 * cloud + 0.2 * clouds(rng, 60, 2), 0.2, 2)
    else:  # fluid in the pleura: a level that climbs at the side wall
        f = y / tall - 0.92 + 0.45 * strength + 0.3 * (np.abs(x) / wide - 0.6) * (1 - 0.4 * strength)
        f = np.maximum(step(f, -0.06, 0.10), 0.15) * half
    return double(np.clip(f * strength, 0, 0.97).astype(np.float32))


def draw_kind(patient, picture=0, *, seed=0):
    """The kind of a picture ("normal" or one of KINDS) without drawing it."""
    rng = stream(seed, patient, 2, picture)
    sick, kind = rng.random() < SHARE, str(rng.choice(list(KINDS), p=list(KINDS.values())))
    return kind if sick else "normal", kind


def signal(absorption, scatter, sharpen, block):
    """What the detector makes of the absorption: -log of primary and scattered photons, edges enhanced."""
    primary = np.exp(-absorption)
    haze = blur(shrink(primary * (1 - primary * primary), block), 3.0)
    while len(haze) < len(absorption):
        haze = double(haze)
    out = -np.log(primary + scatter * haze + 0.0005)
    low = blur(shrink(out, block), 3.0)
    while len(low) < len(out):
        low = double(low)
    return out + sharpen * (out - low)


def draw_phantom(patient, picture=0, *, seed=0, disease=None) -> Phantom:
    """Draw a picture of a patient; disease: None as drawn, False none, True some, or the name of a kind."""
    build = anatomy(stream(seed, patient, 0))
    p = positioning(stream(seed, patient, 1, picture), build)
    kind, spare = draw_kind(patient, picture, seed=seed)
    if disease is not None:
        kind = disease if isinstance(disease, str) else spare if disease else "normal"
    view, s, tall, wide = p.view, build.scale, build.tall, build.wide
    lung, soft = chest(build, p)
    lungs, inside = lung > 1.0, step(lung, 1.0, 3.0)
    vessels = view.tubes([(x, y, 0 * x, r * build.vessels, MU_SOFT - MU_LUNG, 0) for x, y, r in build.tree], 5) * inside
    t = np.linspace(0, 1, 120, dtype=np.float32)[None]
    fork = 0.30 * tall
    wind = [(0.1 + 0 * t, (fork + 6) * t - 6, 0 * t, 0.6 * s, MU_SOFT, 0)]
    wind += [(side * 2.6 * s * t, fork + 1.6 * t, 0 * t, 0.33 * s, 0.8 * MU_SOFT, 0) for side in (-1, 1)]
    gas = 0
    for n, (a, b, c, d) in enumerate(p.gas):  # stomach bubble first, then loops of bowel
        if d > 0.4:
            cx, cy = (
                (0.42 * wide, tall * (0.80 + 0.16 * p.breath) + 1.9 * s)
                if n == 0
                else ((2 * a - 0.8) * wide, tall * (1.15 + 0.3 * b))
            )
            gas = gas + (1 + 2 * c) * chord((view.x - cx) / (0.7 + 1.5 * c), (view.y - cy) / (0.5 + c))
    tissue = double(clouds(p.rng, 26, 3))
    absorption = MU_SOFT * np.maximum(soft * (1 + 0.02 * tissue) - lung - gas * (lung < 2.2), 0)
    absorption += MU_LUNG * lung * (1 + 0.1 * tissue) + skeleton(build, p) + vessels
    absorption = np.maximum(absorption - view.tubes(wind, 12) * (soft > 3), 0)
    t = np.linspace(0, 1, 400)
    size, (mx, my, _) = 0.03 + 0.02 * p.mark[2], p.mark
    stroke = np.array(STROKES[p.letter]).T
    knots = np.linspace(0, 1, stroke.shape[1])
    mx, my = (0.02 + 0.06 * mx if p.letter == "R" else 0.92), 0.02 + 0.6 * my
    metal = [
        (
            *view.body(
                mx + 0.8 * size * np.interp(t, knots, stroke[0])[None], my + size * np.interp(t, knots, stroke[1])[None]
            ),
            0 * t[None],
            0.13 * s,
            MU_LEAD,
            0,
        )
    ]
    bezier = np.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3])
    for wx, wy in p.wire[: p.wires]:
        metal.append(((wx @ bezier)[None] * wide, (0.5 + wy @ bezier)[None] * tall, 0 * t[None], 0.09, MU_LEAD, 0))
    absorption += view.tubes(metal, 5)
    added, rng, strength = np.zeros_like(lung), stream(seed, patient, 3, picture), 0.0
    while kind != "normal" and (lungs & (added > VISIBLE)).mean() < 0.03:
        strength = min(1, max(1.2 * strength, 0.5 + 0.5 * rng.beta(2.0, 1.3)))
        f = filling(rng, build, p, kind, strength)
        added = f * (lung * (MU_WATER - MU_LUNG) - 0.9 * vessels)
        if kind == "interstitial":  # cuffs of fluid around vessels and bronchi
            added += blur(vessels, 1.5) * strength * inside
        if kind == "lobar":  # air bronchogram: bronchi stay open where all around is filled
            bronchi = view.tubes([(x, y, 0 * x, 0.7 * r, MU_WATER, 0) for x, y, r in build.tree if len(r) == 8], 4)
            added -= 0.6 * f * f * np.minimum(bronchi, 0.25) * inside
    # Exposure and window are set on the body without its disease, so nothing outside the lungs tells of it.
    body = signal(shrink(absorption, 4), p.scatter, p.sharpen, 2)
    low, high = np.percentile(body[4:-4, 4:-4][(shrink(soft, 4) > 5)[4:-4, 4:-4]], [2, 98]).tolist()
    low, high = low * p.black, low * p.black + (high - low * p.black) * p.white
    dark = blur(signal(absorption + np.maximum(added, 0), p.scatter, p.sharpen, 8), p.focus)
    full = double(dark)
    full += double(np.exp(0.5 * dark) * (0.5 / math.sqrt(p.photons))) * p.rng.standard_normal(
        (SIZE, SIZE), dtype=np.float32
    )
    g = np.linspace(0, 1.2, 4096) ** p.gamma
    g = (1 - p.knee) * g + p.knee * (1 - np.exp(-2.2 * g)) / (1 - math.exp(-2.2))
    table = np.clip(255 * (p.lift + (p.gain - p.lift) * g) + 0.5, 0, 255).astype(np.uint8)
    image = table[np.clip((full - low) * (4095 / 1.2 / (high - low)), 0, 4095).astype(np.int16)]
    if p.border is not None:
        a, b, c, d = (int(max(q, 0) * SIZE) for q in p.border)
        image[:a] = image[SIZE - b :] = image[:, :c] = image[:, SIZE - d :] = table[0] // 2
    lungs, opacity = (m.repeat(2, 0).repeat(2, 1) for m in (lungs, lungs & (added > VISIBLE)))
    return Phantom(image, lungs, opacity, patient, picture, f"phantom{patient:04d}-{picture + 1:04d}.jpg", kind)


def patients_and_pictures(n, seed=0) -> list[tuple[int, int]]:
    """n pairs (patient, picture): four of ten patients have more than one picture, up to six."""
    rng = np.random.default_rng([seed, 0])
    counts = np.minimum(rng.geometric(0.6, max(n, 1)), 6)
    return [(patient, k) for patient, count in enumerate(counts.tolist()) for k in range(count)][:n]


def generate(n, seed=0, first_patient=0) -> Iterator[Phantom]:
    """n phantoms of patients first_patient, first_patient + 1, ..."""
    for patient, picture in patients_and_pictures(n, seed):
        yield draw_phantom(first_patient + patient, picture, seed=seed)
