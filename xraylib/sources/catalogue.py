"""One table that describes every source: of whom it is, under which licence, what is missing."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """What is known of a source of radiographs.

    Attributes
    ----------
    title : str
        What it is called.
    citation : str
        Whom to name when a figure drawn from it is shown.
    licence : str
    population : str
        Of whom the images are, and how they were taken.
    sizes : dict of str to int, or None
        Number of images in ``train``, ``validation`` and ``test``; None where it varies.
    missing : str
        What the images do not tell, or what is known to be wrong with them.
    synthetic : bool
        True if no patient was ever seen: results say nothing about patients.

    Examples
    --------
    >>> SOURCES["phantom"].synthetic
    True
    """

    title: str
    citation: str
    licence: str
    population: str
    sizes: dict[str, int] | None
    missing: str
    synthetic: bool = False


SOURCES = {
    "hub": Source(
        title="keremberke/chest-xray-classification on the Hugging Face Hub",
        citation=(
            "Kermany, Zhang, Goldbaum: Labeled Optical Coherence Tomography (OCT) and Chest X-Ray "
            "Images for Classification, Mendeley Data, doi:10.17632/rscbjbr9sj"
        ),
        licence="CC BY 4.0",
        population=(
            "children aged one to five, Guangzhou Women and Children's Medical Center, China; "
            "anterior-posterior chest radiographs, labelled by physicians"
        ),
        sizes={"train": 4077, "validation": 1165, "test": 582},
        missing=(
            "the original split: images, not patients, were divided at random, so patients are in "
            "several splits; 32 exact duplicates of 5,856 were removed; stretched to 640×640"
        ),
    ),
    "phantom": Source(
        title="phantoms, synthetic radiographs drawn by xraylib",
        citation="xraylib.phantoms",
        licence="MIT",
        population="nobody: small children as ellipsoids and tubes, under a simulated beam",
        sizes={"train": 840, "validation": 240, "test": 120},
        missing="everything that was not thought of",
        synthetic=True,
    ),
    "folder": Source(
        title="a folder of images",
        citation="whoever made it",
        licence="unknown",
        population="unknown",
        sizes=None,
        missing="unknown",
    ),
}
