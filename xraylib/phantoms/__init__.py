"""Phantoms: synthetic chest radiographs, for work without a network connection or patients.

A radiograph is a shadow: every body between tube and detector takes its part of the photons, and
by the law of Beer and Lambert the parts add up in the exponent, T = exp(-sum of mu * path). So a
phantom, like that of Shepp and Logan, is a list of bodies with a length along the beam (cm) and an
attenuation coefficient mu (1/cm): ellipsoids and cylinders (trunk, heart, diaphragm) by closed
form, tubes (ribs, vessels, windpipe, leads) by sampling their cross-sections. Pneumonia makes
lung dense: an opacity is lung (0.055 per cm) replaced by water (0.206), inside the lung fields and
nowhere else. Where it touches the heart, both shadows are equally dense and the border between
them vanishes (silhouette sign); bronchi that keep their air stay dark in it (air bronchogram).
What follows is the detector (scatter, blur, quantum noise, collimation) and the display
(logarithm, window, curve). Build, breath, rotation, exposure and leads know nothing of the
disease.

Attenuation is that at 60 keV: mass coefficients of NIST XCOM for the tissues of ICRU-44 (cm2/g:
water 0.206, soft tissue 0.205, cortical bone 0.315) times a density. At this energy most of it is
Compton scatter: a photon is turned aside rather than absorbed, and some of those reach the
detector elsewhere, as haze. Attenuation along a ray is the exponent, -ln T, without a unit. Sizes
are rounded from children of one to five years. By eye are all ranges of variation, detector and
display, the proportion, extent and strength of diseases.

The images are frontal and anterior-posterior, as such children are taken: the tube before them,
the detector behind. x (cm) runs to the image's right, the child's left; y down from the top of the
lungs; z to the front.

`body` draws the healthy child, `disease` what is added to its lungs, `detector` the image of both.
"""

import io
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed
from PIL import Image

from xraylib.phantoms.body import draw_child, draw_position, healthy_body
from xraylib.phantoms.detector import develop
from xraylib.phantoms.disease import (
    DISEASES,
    EXTENT,
    FURTHER_DISEASES,
    PROPORTION_DISEASED,
    VISIBLE,
    draw_disease,
    opacities,
)
from xraylib.phantoms.fields import GRID, SIZE, random_stream
from xraylib.phantoms.populations import draw_adult, draw_varied_child, draw_varied_position

__all__ = [
    "DISEASES",
    "FURTHER_DISEASES",
    "POPULATIONS",
    "PROPORTION_DISEASED",
    "SIZE",
    "VISIBLE",
    "Phantom",
    "draw_disease",
    "draw_phantom",
    "generate",
    "jpeg_files",
    "patients_and_images",
]

np.empty(1 << 24, np.uint8)  # once a large block was freed, glibc reuses small ones: a third faster


@dataclass(frozen=True)
class Population:
    """What a population has of its own."""

    build: Callable  # from a random generator to a Body
    place: Callable  # from a random generator and a Body to a Position
    diseases: dict  # their proportions among the diseased
    extent: float  # least proportion of the lung fields that a disease makes opaque
    edge: Callable  # from a Body to the path through lung (cm) above which lung fields are seen


POPULATIONS = {
    "children": Population(draw_child, draw_position, DISEASES, EXTENT, lambda body: 1.0),
    "varied children": Population(
        draw_varied_child,
        draw_varied_position,
        FURTHER_DISEASES,
        0.04,
        lambda body: 0.4 * body.depth,
    ),
    "adults": Population(
        draw_adult, draw_varied_position, FURTHER_DISEASES, 0.04, lambda body: 0.4 * body.depth
    ),
}


@dataclass(frozen=True)
class Phantom:
    """One synthetic radiograph and the truth about it."""

    image: np.ndarray  # (640, 640) uint8, 0 black (air) to 255 white (dense)
    lungs: np.ndarray  # (640, 640) bool, lung fields: where the beam crosses lung, see Population
    opacity: np.ndarray  # (640, 640) bool, disease adds more than VISIBLE; always inside the lungs
    patient: int
    image_number: int  # 0, 1, ... for the images of one patient
    file_name: str
    disease: str  # "normal" or a disease of its population

    @property
    def label(self) -> int:
        """Return 0 for NORMAL, 1 for PNEUMONIA: 1 exactly when there is an opacity."""
        return int(self.opacity.any())


def draw_phantom(patient, image_number=0, *, seed=0, disease=None, population="children"):
    """Draw one image of a patient; the same arguments always give the same.

    Parameters
    ----------
    patient, image_number, seed : int
        Images of one patient share the anatomy. 0 or more.
    disease : None, bool or str, optional
        None by lot, False none, True any, or one of DISEASES; "varied children" and "adults"
        have FURTHER_DISEASES. It changes nothing else.
    population : str, optional
        One of POPULATIONS.

    Returns
    -------
    Phantom

    Raises
    ------
    ValueError
        If there is no disease or no population of this name.

    Examples
    --------
    >>> phantom = draw_phantom(7, 2, disease="lobar")
    >>> phantom.file_name, phantom.image.shape, phantom.label
    ('phantom0007-0002.jpg', (640, 640), 1)
    """
    if population not in POPULATIONS:
        raise ValueError(f"No such population: {population!r}. There are {', '.join(POPULATIONS)}.")
    people = POPULATIONS[population]
    disease = draw_disease(
        patient, image_number, seed=seed, disease=disease, diseases=people.diseases
    )
    # The order of these draws from one stream decides every pixel.
    body = people.build(random_stream(seed, patient, 0))
    rng = random_stream(seed, patient, 1, image_number)
    position = people.place(rng, body)
    lung, trunk, vessels, healthy = healthy_body(rng, body, position)
    # The disease, where lung is seen in the field that the collimator leaves open.
    field = np.pad(np.ones(GRID - position.border.sum(1), bool), position.border)
    lungs = (lung > people.edge(body)) & field
    added = opacities(
        random_stream(seed, patient, 3, image_number),
        body,
        position.view,
        disease,
        lung,
        lungs,
        vessels,
        people.extent,
    )
    # The image, and the masks at its size.
    lungs, opacity, field = (
        mask.repeat(2, 0).repeat(2, 1) for mask in (lungs, lungs & (added > VISIBLE), field)
    )
    return Phantom(
        image=develop(rng, position, healthy, added, trunk) * field,
        lungs=lungs,
        opacity=opacity,
        patient=patient,
        image_number=image_number,
        file_name=f"phantom{patient:04d}-{image_number:04d}.jpg",
        disease=disease,
    )


def patients_and_images(n, seed=0):
    """List images to draw: four of ten patients have more than one, at most six.

    Parameters
    ----------
    n : int
        Number of images.
    seed : int, optional

    Returns
    -------
    list of (patient, image_number)
        The first of a longer list with the same seed.

    Examples
    --------
    >>> patients_and_images(4)
    [(0, 0), (0, 1), (1, 0), (2, 0)]
    """
    counts = np.random.default_rng([seed, 0]).geometric(0.6, max(n, 1)).clip(max=6)
    return [(patient, k) for patient, count in enumerate(counts.tolist()) for k in range(count)][:n]


def generate(n, seed=0, first_patient=0):
    """Draw the phantoms of `patients_and_images`, one after the other.

    Parameters
    ----------
    n : int
        Number of images.
    seed, first_patient : int, optional
        Patients are numbered from `first_patient`.

    Yields
    ------
    Phantom

    Examples
    --------
    >>> [phantom.file_name for phantom in generate(2, first_patient=5)]
    ['phantom0005-0000.jpg', 'phantom0005-0001.jpg']
    """
    return (
        draw_phantom(first_patient + patient, image_number, seed=seed)
        for patient, image_number in patients_and_images(n, seed)
    )


def jpeg_files(pairs, seed=0, quality=90):
    """Draw phantoms on all cores and encode them.

    In processes: an image is some thousand short calls; threads would wait for each other.

    Parameters
    ----------
    pairs : iterable of (patient, image_number)
    seed : int, optional
    quality : int, optional
        Of the JPEG, 0 to 95.

    Yields
    ------
    (file_name, label, content)
        str, int and bytes, in the order of `pairs`.

    Examples
    --------
    >>> name, label, content = next(jpeg_files([(3, 0)]))
    >>> name, content[:2]
    ('phantom0003-0000.jpg', b'\\xff\\xd8')
    """
    return Parallel(
        n_jobs=os.cpu_count(),
        return_as="generator",
        initializer=_end_with,
        initargs=(os.getpid(),),
        idle_worker_timeout=5,
    )(delayed(_jpeg_file)(*pair, seed, quality) for pair in pairs)


def _jpeg_file(patient, image_number, seed, quality):
    """Draw and encode one phantom."""
    phantom = draw_phantom(patient, image_number, seed=seed)
    content = io.BytesIO()
    Image.fromarray(phantom.image).save(content, "JPEG", quality=quality)
    return phantom.file_name, phantom.label, content.getvalue()


def _end_with(parent):
    """End this worker when its parent is gone: else, if that was killed, it waits forever."""

    def watch():
        while parent in (os.getppid(), os.getpid()):  # the latter where joblib has no processes
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
