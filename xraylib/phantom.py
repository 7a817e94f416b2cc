"""Phantoms: synthetic frontal chest radiographs of young children, for work without network or patients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from scipy import ndimage

SIZE = 640  # pixels of a side of the finished radiograph
GRID = SIZE // 2  # pixels of a side of the grid on which bodies are drawn
KINDS = ("lobar", "bronchopneumonia", "interstitial", "effusion")
# Linear attenuation coefficients at 60 keV in 1/cm: mass coefficient (NIST XCOM, ICRU-44 tissues) x density.
MU_SOFT = 0.205 * 1.05
MU_WATER = 0.206 * 1.00
MU_LUNG = 0.205 * 0.27  # inflated lung
MU_BONE = 0.315 * 1.60  # young, half-mineralised cortex (adult 1.92 g/cm3): density by eye
MU_LEAD = 8.0  # a marker or wire; in truth far more, which would look the same
VISIBLE = 0.15  # added absorption (neper) above which a pixel counts as opacity; by eye


@dataclass(frozen=True)
class Phantom:
    image: np.ndarray
    lungs: np.ndarray
    opacity: np.ndarray
    patient: int
    picture: int
    file_name: str
    kind: str

    @property
    def label(self) -> int:
        return int(self.opacity.any())


def chord(*parts):
    """Share of an ellipsoid's thickness that a ray crosses, sqrt(1 - sum of squares), 0 outside."""
    rest = 1 - sum(p * p for p in parts)
    return np.sqrt(np.maximum(rest, 0))


def step(x, low, high):
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def double(a):
    """Twice the size by linear interpolation."""
    for axis in (0, 1):
        a = np.moveaxis(a, axis, 0)
        edge = np.concatenate([a[:1], a, a[-1:]])
        out = np.empty((2 * a.shape[0],) + a.shape[1:], a.dtype)
        out[0::2] = 0.75 * a + 0.25 * edge[:-2]
        out[1::2] = 0.75 * a + 0.25 * edge[2:]
        a = np.moveaxis(out, 0, axis)
    return a


def clouds(rng, cells, levels=2):
    """Smooth random field on the drawing grid, about mean 0 and deviation 1."""
    total = 0
    for k in range(levels):
        n = cells * 2**k
        a = rng.standard_normal((n, n), dtype=np.float32)
        pos = (np.arange(GRID, dtype=np.float32) + 0.5) * n / GRID - 0.5
        i = np.clip(np.floor(pos).astype(int), 0, n - 2)
        f = np.clip(pos - i, 0, 1)
        f = f * f * (3 - 2 * f)
        a = a[i] * (1 - f)[:, None] + a[i + 1] * f[:, None]
        a = a[:, i] * (1 - f) + a[:, i + 1] * f
        total = total + a * 1.3 * 0.6**k
    return total


class View:
    """How the picture is taken: where the beam's grid lies over the body."""

    def __init__(self, rng, tall, broad):
        self.height = tall * rng.uniform(1.2, 1.55)  # cm seen from top to bottom
        self.width = broad * rng.uniform(0.98, 1.3)  # cm; pixels are not square, as in the data set
        self.tilt = rng.normal(0, 0.035)
        self.yaw = rng.normal(0, 0.10)
        self.x0 = rng.normal(0, 0.5)
        self.y0 = tall * rng.uniform(0.44, 0.58)
        c, s = np.cos(self.tilt), np.sin(self.tilt)
        t = (np.arange(GRID, dtype=np.float32) + 0.5) / GRID - 0.5
        u, v = t[None, :] * self.width, t[:, None] * self.height
        self.x = (c * u - s * v + self.x0).astype(np.float32)
        self.y = (s * u + c * v + self.y0).astype(np.float32)

    def pixels(self, x, y):
        c, s = np.cos(self.tilt), np.sin(self.tilt)
        x, y = x - self.x0, y - self.y0
        u, v = c * x + s * y, -s * x + c * y
        return (u / self.width + 0.5) * GRID - 0.5, (v / self.height + 0.5) * GRID - 0.5

    def tubes(self, x, y, z, radius, mu, hollow=0.0, across=8):
        """Absorption of tubes along curves: x, y, z, radius are (n, points) cm, mu 1/cm; (GRID, GRID)."""
        x, y, z = (np.asarray(a, np.float32) for a in (x, y, z))
        x = x + self.yaw * z
        radius = np.broadcast_to(np.asarray(radius, np.float32), x.shape)
        mu = np.broadcast_to(np.asarray(mu, np.float32), x.shape)
        dx, dy, dz = (np.gradient(a, axis=-1) for a in (x, y, z))
        flat = np.sqrt(dx * dx + dy * dy) + 1e-6
        length = np.minimum(np.sqrt(flat * flat + dz * dz), 2.2 * flat)
        q = ((np.arange(across) + 0.5) / across * 2 - 1).astype(np.float32)[:, None, None]
        thick = 2 * radius * (chord(q) - hollow * chord(q / max(hollow, 1e-3)))
        mass = mu * thick * radius * (2 / across) * length
        j, i = self.pixels(x - q * radius * dy / flat, y + q * radius * dx / flat)
        keep = (j >= 0) & (j < GRID - 1) & (i >= 0) & (i < GRID - 1)
        j, i, mass = j[keep], i[keep], mass[keep]
        a, b = j.astype(np.int32), i.astype(np.int32)
        fj, fi = j - a, i - b
        at = b * GRID + a
        total = np.bincount(
            np.concatenate([at, at + 1, at + GRID, at + GRID + 1]),
            np.concatenate([mass * (1 - fj) * (1 - fi), mass * fj * (1 - fi), mass * (1 - fj) * fi, mass * fj * fi]),
            GRID * GRID,
        )
        area = self.width * self.height / GRID**2
        return (total.reshape(GRID, GRID) / area).astype(np.float32)


def anatomy(rng):
    """A child's build, in cm (x to the picture's right, y down from the top of the lungs, z to the front)."""
    s = rng.uniform(0.85, 1.15)
    b = SimpleNamespace(
        tall=15.0 * s * rng.uniform(0.93, 1.07),
        wide=9.2 * s * rng.uniform(0.92, 1.08),
        deep=5.4 * s * rng.uniform(0.9, 1.1),
        taper=rng.uniform(1.7, 2.6),
        wall=rng.uniform(0.8, 2.0),
        fat=rng.uniform(0.7, 1.9),
        scale=s,
        heart=rng.uniform(0.88, 1.14),
        heart_x=rng.normal(0, 0.3),
        thymus=rng.gamma(2, 0.35),
        ribs=rng.uniform(0.85, 1.15),
        pitch=rng.uniform(0.92, 1.08),
        drop=rng.uniform(0.6, 1.5),
        bone=rng.uniform(0.7, 1.25),
        spine=rng.uniform(1.0, 1.3),
        vessels=rng.uniform(0.7, 1.3),
        dome=rng.uniform(0.85, 1.15),
    )
    b.tree = vessel_tree(rng, b)
    return b


def vessel_tree(rng, b):
    """Branching vessels of both lungs: x, y, z (n, points) and radius."""
    out = []
    for side in (-1, 1):
        n = 8
        angle = np.linspace(-1.35, 1.5, n) + rng.normal(0, 0.15, n)
        x = np.full(n, side * 2.3 * b.scale) + rng.normal(0, 0.2, n)
        y = 0.44 * b.tall + np.sin(angle) * 0.7 + rng.normal(0, 0.2, n)
        size = rng.uniform(4.5, 7.0, n) * b.scale * (0.8 + 0.3 * np.sin(np.maximum(angle, 0)))
        r = rng.uniform(0.17, 0.30, n) * b.scale
        for gen in range(4):
            t = np.linspace(0, 1, 36 if gen < 2 else 20)
            bend = rng.normal(0, 0.35, len(x))[:, None]
            a = angle[:, None] + bend * t
            dt = (size / len(t))[:, None]
            px = x[:, None] + side * np.cumsum(np.cos(a) * dt, 1)
            py = y[:, None] + np.cumsum(np.sin(a) * dt, 1)
            out.append((px, py, r[:, None] * (1 - 0.6 * t)))
            kids = 3 if gen < 2 else 2
            where = np.tile(np.linspace(0.2, 0.75, kids), (len(x), 1)) + rng.normal(0, 0.06, (len(x), kids))
            idx = np.clip((where * len(t)).astype(int), 0, len(t) - 1)
            row = np.arange(len(x))[:, None]
            sign = np.where(np.arange(kids) % 2, 1, -1) * rng.choice([-1, 1], (len(x), 1))
            turn = sign * rng.uniform(0.35, 0.9, (len(x), kids))
            x, y, angle = px[row, idx].ravel(), py[row, idx].ravel(), (a[row, idx] + turn).ravel()
            r = (r[:, None] * (1 - 0.6 * where) * 0.75).ravel()
            size = (size[:, None] * rng.uniform(0.4, 0.65, (len(size), kids))).ravel()
    return out


def positioning(rng, b):
    """What differs from picture to picture of one child."""
    p = SimpleNamespace(
        view=View(rng, b.tall, 2 * (b.wide + b.wall)),
        breath=rng.beta(3, 1.6),
        arms=rng.random(2) < 0.5,
        arm=rng.uniform(0.0, 1.0, 2),
        slope=rng.uniform(0.3, 2.0, 2),
        chin=rng.uniform(-9, -4.0),
        chin_x=rng.normal(0, 0.8),
        gas=rng.uniform(0, 1),
        bowel=rng.random((5, 4)),
        lead=rng.random(),
        rng=rng,
    )
    return p


def width_at(b, y):
    u = np.clip(y / b.tall, 0, 1)
    return b.wide * np.sqrt(np.maximum(1 - (1 - u) ** b.taper, 0)) * (1 + 0.02 * np.clip(y / b.tall - 0.5, 0, 1))


def thorax(b, p):
    """Lung path (cm) and the soft-tissue path (cm) of torso and arms, both (GRID, GRID) float32."""
    x, y, yaw = p.view.x, p.view.y, p.view.yaw
    s = b.scale
    w = width_at(b, y) + 1e-3
    deep = b.deep * np.sqrt(np.clip(y / b.tall, 0, 1) ** 0.55 + 1e-4)
    cavity = 2 * deep * chord(x / w)
    # Mediastinum and heart: the largest of the overlapping bodies' paths.
    hx, hy = (1.1 + b.heart_x) * s + yaw * 2.5, 0.63 * b.tall - 0.6 * (1 - p.breath)
    k = b.heart * s * (1 + 0.10 * (1 - p.breath))
    u, v = x - hx, y - hy
    c, q = np.cos(0.55), np.sin(0.55)
    bodies = 8.8 * s * chord((c * u + q * v) / (5.2 * k), (-q * u + c * v) / (3.7 * k))
    bodies = np.maximum(bodies, 8.5 * s * chord((x + 0.8 * s - yaw * 2) / (2.6 * k), (y - hy - 0.8) / (4.2 * k)))
    top = (1.75 + 1.3 * np.exp(-np.maximum(y, -1) / 1.2)) * s + b.thymus * chord((y - 0.26 * b.tall) / (0.2 * b.tall))
    top = top * (1 + 0.75 * step(y, 0.30 * b.tall, 0.75 * b.tall))
    bodies = np.maximum(
        bodies, 8.8 * s * chord((x - yaw * 1.5 - 0.15 - 0.5 * s * step(y, 0.3 * b.tall, 0.7 * b.tall)) / top)
    )
    bodies = np.maximum(bodies, 6 * s * chord((x - 1.5 * s - yaw) / (1.3 * s), (y - 0.31 * b.tall) / (1.4 * s)))
    # Domes of the diaphragm.
    level = b.tall * (0.80 + 0.17 * p.breath)
    for side, lift in ((-1, 0.9), (1, 0.2)):
        base = level - lift * s * b.dome + 2.9 * s * b.dome
        d = chord((x - side * 0.46 * b.wide) / (0.62 * b.wide), np.minimum(y - base, 0) / (2.9 * s * b.dome))
        bodies = np.maximum(bodies, 2 * deep * np.sqrt(d) * (0.80 + 0.2 * step(y, base - 1, base + 1.5)))
    lung = np.maximum(cavity - bodies, 0) * step(-y, -1.25 * b.tall, -1.02 * b.tall)
    # Torso, neck, shoulders.
    wb = np.maximum(width_at(b, np.maximum(y + 1.2, 0.3)), 0.45 * b.wide) + b.wall
    neck, reach = 2.9 * s, np.where(x < 0, p.slope[0], p.slope[1])
    wb = (
        neck
        + (wb - neck) * step(y, -3.4 * s, 0.5 * s)
        + reach * s * step(y, -3.0 * s, 0.3 * s) * step(-y, -0.55 * b.tall, 0)
    )
    db = (b.deep + b.fat) * (0.62 + 0.38 * step(y, -3 * s, 4 * s))
    e = (x / wb) ** 2
    torso = 2 * db * np.sqrt(np.maximum(1 - e * (0.6 + 0.4 * e), 0))
    soft = torso
    bone = 0
    for side, up, a in ((-1, p.arms[0], p.arm[0]), (1, p.arms[1], p.arm[1])):
        x1, y1 = side * (b.wide * 0.93 + 0.4), 1.6 * s
        ang = -0.35 - 0.9 * a if up else 1.45 - 0.5 * a
        dx, dy = side * np.cos(ang), np.sin(ang)
        along = (x - x1) * dx + (y - y1) * dy
        off = np.sqrt(((x - x1) - np.clip(along, 0, 20) * dx) ** 2 + ((y - y1) - np.clip(along, 0, 20) * dy) ** 2)
        r = 2.5 * s + 0.4 * b.wall
        arm = 2 * r * chord(off / r)
        soft = np.sqrt(soft * soft + arm * arm)
        t = np.linspace(0, 1, 200)
        bone = bone + p.view.tubes(
            (x1 + dx * 14 * t)[None],
            (y1 + dy * 14 * t)[None],
            0 * t[None],
            (0.95 - 0.4 * np.minimum(t * 6, 1)) * s,
            MU_BONE * 0.8 * b.bone,
            0.6,
            16,
        )
        xs, ys = (
            side * np.array([0.90, 0.55, 0.72, 0.93, 0.9]) * b.wide,
            np.array([0.08, 0.16, 0.52, 0.25, 0.08]) * b.tall,
        )
        xs = xs + side * (1.3 if up else 0.6)
        t5 = np.linspace(0, 4, 240)
        bone = bone + p.view.tubes(
            np.interp(t5, range(5), xs)[None],
            np.interp(t5, range(5), ys)[None],
            -4 + 0 * t5[None],
            0.22 * s,
            0.3 * MU_BONE * b.bone,
            0.0,
            6,
        )
    head = chord((x - p.chin_x) / (5.0 * s), (y - p.chin + 3) / (5.2 * s))
    soft = np.maximum(soft, 9 * head)
    bone = bone + 0.5 * (head**2) * b.bone + 0.35 * chord((x - p.chin_x) / (4.2 * s), (y - p.chin + 3.2) / (4.4 * s))
    return lung.astype(np.float32), soft, bone


def skeleton(b, p):
    """Absorption (neper) of ribs, clavicles and spine."""
    v, s = p.view, b.scale
    t = np.linspace(0, 1, 300)[None]
    k = np.arange(-1, 12)[:, None]
    theta = (0.10 + (0.80 + 0.02 * np.minimum(k, 5)) * t) * np.pi * np.where(k > 8, 0.75, 1)
    pitch = 1.42 * s * b.pitch * (0.97 + 0.05 * p.breath)
    y0 = 0.6 * s + k * pitch
    drop = b.drop * s * (0.6 + 0.4 * p.breath)
    yr = y0 + drop * (1.1 * (1 - np.cos(theta)) - 0.35 * np.sin(2 * theta)) * np.clip(0.3 + k * 0.12, 0.3, 1.1) - 0.6
    w = np.maximum(width_at(b, np.maximum(yr, 0.35)), 1.5) + 0.1
    xr = 0.6 + (w - 0.6) * np.sin(theta) ** 0.8
    zr = -b.deep * np.cos(theta)
    bone = 0
    dens = MU_BONE * b.bone * (1 - 0.75 * step(t, 0.80, 0.95)) * np.ones_like(k)
    rad = 0.29 * s * b.ribs * (1 + 0.15 * step(t, 0.5, 1)) * np.ones_like(k)
    for side in (-1, 1):
        bone = bone + v.tubes(side * xr - 0.0, yr, zr, rad, dens, 0.72, 10)
        t1 = t[0]
        xc = side * (1.1 + t1 * (0.86 * b.wide - 1.0))
        yc = 0.35 * s + 0.9 * s - (1.6 * t1 - 0.35 * np.sin(2 * np.pi * t1)) * s * (1 + 0.4 * p.arms[(side + 1) // 2])
        bone = bone + v.tubes(xc[None], yc[None], np.full((1, 300), 3.0), 0.36 * s, MU_BONE * b.bone, 0.7, 12)
    x = v.x + 4 * v.yaw * 0 - (-4 * v.yaw)
    h = 1.45 * s * b.pitch
    ph = (v.y / h) % 1
    ax = np.abs(x) / (b.spine * s)
    body = step(-ax, -1.15, -0.80)
    disc = step(np.abs(ph - 0.5), 0.36, 0.46)
    ped = np.exp(-(((ax - 0.66) / 0.16) ** 2) - ((ph - 0.42) / 0.17) ** 2)
    spin = np.exp(-((ax / 0.16) ** 2) - ((ph - 0.75) / 0.25) ** 2)
    return bone + b.bone * (body * (0.26 - 0.13 * disc) + 0.22 * ped + 0.16 * spin)


def disease_fraction(rng, b, p, kind, boost):
    """Share of lung air replaced by water, (GRID, GRID) float32 in 0..1."""
    x, y = p.view.x, p.view.y / b.tall
    s = b.scale
    side = rng.choice([-1, 1])
    hil = lambda sd: np.hypot(x - sd * 2.5 * s, (p.view.y - 0.46 * b.tall))
    grain = clouds(rng, 14, 3)
    plain = min(boost * rng.beta(1.6, 1.4), 1)
    if kind == "lobar":
        lobe = rng.integers(3)
        tilt = rng.normal(0, 0.25)
        line = y - tilt * np.abs(x) / b.tall
        top, bottom = ((-0.1, 0.45), (0.42, 0.75), (0.5, 1.3))[lobe] + rng.normal(0, 0.05, 2)
        m = step(line, top - 0.05, top + 0.05) * step(-line, -bottom - 0.02, -bottom + 0.02) * step(side * x, -0.3, 0.3)
        m = m * step(
            1.6 - np.abs(x - side * rng.uniform(0.2, 0.75) * b.wide) / (rng.uniform(0.35, 0.8) * b.wide) + 0.12 * grain,
            0,
            0.8,
        )
        f = (0.25 + 0.75 * plain) * m * np.clip(0.9 + 0.15 * grain, 0.3, 1)
        f = np.maximum(f, 0.12 * plain * np.exp(-((hil(side) / 5) ** 2)))
    elif kind == "bronchopneumonia":
        f = 0
        for _ in range(rng.integers(4, 13)):
            sd = side if rng.random() < 0.6 else -side
            cx = sd * b.wide * rng.uniform(0.2, 0.8)
            cy = np.clip(rng.normal(0.62, 0.2), 0.1, 1)
            r = rng.uniform(0.9, 2.8) * s
            f = f + rng.uniform(0.4, 1) * np.exp(-((x - cx) ** 2 + ((y - cy) * b.tall) ** 2) / r**2 * (1 - 0.2 * grain))
        f = np.clip((0.3 + 0.6 * plain) * f * np.clip(0.8 + 0.35 * grain, 0, 1.5), 0, 0.95)
    elif kind == "interstitial":
        haze = np.exp(-((np.minimum(hil(-1), hil(1)) / (5.5 * s)) ** 2)) + 0.5 * rng.random()
        f = (0.12 + 0.35 * plain) * haze * np.clip(0.75 + 0.5 * np.abs(grain) + 0.2 * clouds(rng, 40, 2), 0, 2)
    else:
        rise = 0.06 + 0.14 * plain
        edge = 0.93 - 0.45 * plain * rng.uniform(0.6, 1) - rise * step(np.abs(x), 0.4 * b.wide, b.wide) * 1.5
        f = step(y, edge - 0.04, edge + 0.10) * step(side * x, -0.3, 0.3) * 0.95
        f = np.maximum(f, 0.15 * plain * step(side * x, -0.3, 0.3)) * np.clip(1 + 0.05 * grain, 0, 1)
    return np.clip(f, 0, 0.97).astype(np.float32)


def blur(a, sigma):
    return ndimage.gaussian_filter(a, sigma, mode="nearest", truncate=2.5)


def shrink(a, n):
    return a.reshape(a.shape[0] // n, n, a.shape[1] // n, n).mean((1, 3))


def _stream(seed, patient, *more):
    return np.random.default_rng([seed, patient, *more])


def draw_kind(patient, picture=0, *, seed=0):
    rng = _stream(seed, patient, 2, picture)
    return str(rng.choice(KINDS, p=(0.32, 0.32, 0.28, 0.08))) if rng.random() < 0.74 else "normal"


STROKES = {
    "R": [(0, 1), (0, 0), (0.45, 0), (0.6, 0.12), (0.6, 0.38), (0.45, 0.5), (0, 0.5), (0.25, 0.5), (0.65, 1)],
    "L": [(0, 0), (0, 1), (0.6, 1)],
}


def draw_phantom(patient, picture=0, *, seed=0, disease=None):
    b = anatomy(_stream(seed, patient, 0))
    rng = _stream(seed, patient, 1, picture)
    p = positioning(rng, b)
    kind = draw_kind(patient, picture, seed=seed)
    if disease is False:
        kind = "normal"
    elif isinstance(disease, str):
        kind = disease
    elif disease and kind == "normal":
        kind = KINDS[_stream(seed, patient, 4, picture).integers(3)]
    v = p.view
    lung, soft, bone = thorax(b, p)
    lungs = lung > 2.0
    inside = step(lung, 1.5, 3.0)
    bone = bone + skeleton(b, p)
    vessels = (
        sum(
            v.tubes(x, y, 0 * x, r * b.vessels, (MU_SOFT - MU_LUNG) * np.minimum(lung.max(), 1), 0, 5)
            for x, y, r in b.tree
        )
        * inside
    )
    t = np.linspace(0, 1, 120)
    carina = 0.30 * b.tall
    air = v.tubes(0.1 + 0 * t[None], (-6 + t * (carina + 6))[None], 0 * t[None], 0.50 * b.scale, MU_SOFT, 0, 10)
    for side in (-1, 1):
        air = air + v.tubes(
            (side * 2.6 * t)[None], (carina + 1.6 * t)[None], 0 * t[None], 0.33 * b.scale, MU_SOFT * 0.8, 0, 8
        )
    soft_noise = clouds(rng, 9, 3)
    x, y = v.x, v.y
    gas = 0
    if p.gas > 0.35:
        gas = (
            3.5
            * p.gas
            * chord(
                (x - 4.6 * b.scale) / (2.2 * b.scale * p.gas),
                (y - b.tall * (0.93 + 0.12 * p.breath)) / (1.4 * b.scale * p.gas),
            )
        )
    for g in p.bowel:
        if g[3] > 0.45:
            gas = gas + 2.2 * g[2] * chord(
                (x - (g[0] - 0.35) * 1.4 * b.wide) / (0.8 + g[2]),
                (y - b.tall * (1.12 + 0.25 * g[1])) / (0.6 + 0.5 * g[2]),
            )
    gas = gas * (lung < 0.5)
    lungmu = MU_LUNG * (1 + 0.10 * clouds(rng, 30, 2))
    A = MU_SOFT * np.maximum(soft * (1 + 0.02 * soft_noise) - lung - gas, 0) + lungmu * lung + bone + vessels
    A = np.maximum(A - air * (soft > 3), 0)
    # wires, electrodes, marker
    if p.lead < 0.18:
        n = rng.integers(1, 4)
        t = np.linspace(0, 1, 500)
        for _ in range(n):
            q = rng.uniform(-1.3, 1.3, 4) * b.wide
            h = rng.uniform(-0.2, 1.3, 4) * b.tall
            w = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3]
            A = A + v.tubes(
                (w[0] * q[0] + w[1] * q[1] + w[2] * q[2] + w[3] * q[3])[None],
                (w[0] * h[0] + w[1] * h[1] + w[2] * h[2] + w[3] * h[3])[None],
                0 * t[None],
                rng.uniform(0.05, 0.15),
                MU_LEAD * 0.8,
                0,
                4,
            )
    # disease
    added = np.zeros((GRID, GRID), np.float32)
    if kind != "normal":
        drng = _stream(seed, patient, 3, picture)
        boost = 1.0
        while (added * lungs > VISIBLE).mean() < 0.006:
            f = disease_fraction(drng, b, p, kind, boost)
            added = f * lung * inside * (MU_WATER - MU_LUNG) - 0.9 * f * vessels
            if kind == "lobar":
                tree = sum(v.tubes(x, y, 0 * x, 0.7 * r, MU_WATER, 0, 4) for x, y, r in b.tree[:2] + b.tree[4:6])
                added = added - 0.6 * f * f * np.minimum(tree, 0.25) * inside
            boost *= 1.3
    opacity = (added > VISIBLE) & lungs
    # detector
    spr = rng.uniform(0.05, 0.35)
    enhance = rng.uniform(0, 0.5)
    lo_q, hi_q, gamma = rng.uniform(0.0, 0.75), rng.uniform(1.0, 1.2), rng.uniform(0.8, 1.25)
    fog = rng.uniform(0, 0.06)
    photons = 10 ** rng.uniform(2.6, 4.2)

    def log_signal(A):
        T = np.exp(-A)
        sc = double(double(double(blur(shrink(T * (1 - np.exp(-2 * A)), 8), 3.5))))
        L = -np.log(T * (1 - 0.0) + spr * sc + fog * 0.02)
        return L + enhance * (L - double(double(double(blur(shrink(L, 8), 4)))))

    L = log_signal(A)
    body = L[8:-8, 8:-8][(soft > 5)[8:-8, 8:-8]]
    lo, hi = np.percentile(body, [2, 98])
    low = lo * lo_q
    high = low + (hi - low) * hi_q
    if kind != "normal":
        L = log_signal(A + added)
    L = blur(L, rng.uniform(0.3, 0.8))
    full = double(L)
    grain = rng.standard_normal((SIZE, SIZE), dtype=np.float32)
    full += grain * np.exp(0.5 * full) / np.sqrt(photons) * 0.5
    g = np.clip((full - low) / (high - low), 0, 1.15)
    g = g**gamma
    curve = rng.uniform(0, 0.6)
    g = (1 - curve) * g + curve * (1 - np.exp(-2.2 * g)) / (1 - np.exp(-2.2))
    lift, gain = rng.uniform(0, 0.08), rng.uniform(0.78, 1.0)
    g = lift + (gain - lift) * g
    # marker
    letter = "L" if rng.random() < 0.15 else "R"
    pts = np.array(STROKES[letter])
    sz = rng.uniform(0.03, 0.05)
    mx, my = (rng.uniform(0.01, 0.07) if letter == "R" else rng.uniform(0.9, 0.94)), rng.uniform(0.02, 0.6)
    tt = np.linspace(0, len(pts) - 1, 300)
    px = (mx + sz * 0.8 * np.interp(tt, range(len(pts)), pts[:, 0])) * SIZE
    py = (my + sz * np.interp(tt, range(len(pts)), pts[:, 1])) * SIZE
    stamp = np.zeros((SIZE, SIZE), np.float32)
    for ddx in range(-2, 3):
        for ddy in range(-2, 3):
            stamp[np.clip(py + ddy, 0, SIZE - 1).astype(int), np.clip(px + ddx, 0, SIZE - 1).astype(int)] = 0.95
    g = np.maximum(g, stamp)
    if rng.random() < 0.15:
        box = (rng.uniform(0, 0.10, 4) * SIZE).astype(int)
        g[: box[0]] = g[SIZE - box[1] :] = lift * 0.5
        g[:, : box[2]] = g[:, SIZE - box[3] :] = lift * 0.5
    image = np.clip(g * 255 + 0.5, 0, 255).astype(np.uint8)
    up = lambda m: m.repeat(2, 0).repeat(2, 1)
    return Phantom(image, up(lungs), up(opacity), patient, picture, f"phantom{patient:04d}-{picture + 1:04d}.jpg", kind)


def patients_and_pictures(n, seed=0):
    rng = np.random.default_rng([seed, 977])
    pairs = []
    patient = 0
    while len(pairs) < n:
        pairs += [(patient, k) for k in range(min(rng.geometric(0.6), 6))]
        patient += 1
    return pairs[:n]


def generate(n, seed=0, first_patient=0) -> Iterator[Phantom]:
    for patient, picture in patients_and_pictures(n, seed):
        yield draw_phantom(first_patient + patient, picture, seed=seed)
