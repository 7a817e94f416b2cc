"""One table that describes every source: of whom it is, under which license, what is missing."""

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
    license : str
    population : str
        Of whom the images are, and how they were taken.
    sizes : dict of str to int, or None
        Number of images in ``train``, ``validation`` and ``test``; None where it varies.
    missing : str
        What the images do not tell, or what is known to be wrong with them.
    caution : str
        A sentence to read before a result is reported; "" where there is none.
    synthetic : bool
        True if no patient was ever seen: results say nothing about patients.

    Examples
    --------
    >>> SOURCES["phantom"].synthetic
    True
    """

    title: str
    citation: str
    license: str
    population: str
    sizes: dict[str, int] | None
    missing: str
    caution: str = ""
    synthetic: bool = False


KERMANY = (
    "Kermany, Zhang, Goldbaum: Labeled Optical Coherence Tomography (OCT) and Chest X-Ray Images "
    "for Classification, Mendeley Data, doi:10.17632/rscbjbr9sj"
)
MEDMNIST = (
    "Yang, Shi, Wei et al.: MedMNIST v2, Scientific Data 10, 41 (2023), "
    "doi:10.1038/s41597-022-01721-8"
)
SOURCES = {
    "hub": Source(
        title="keremberke/chest-xray-classification on the Hugging Face Hub",
        citation=KERMANY,
        license="CC BY 4.0",
        population=(
            "children aged one to five, Guangzhou Women and Children's Medical Center, China; "
            "anterior-posterior chest radiographs, labeled by physicians"
        ),
        sizes={"train": 4077, "validation": 1165, "test": 582},
        missing=(
            "the original split: images, not patients, were divided at random, so patients are in "
            "several splits, and images of the original test folder, PneumoniaMNIST's test set, in "
            "train; 32 exact duplicates of 5,856 were removed; stretched to 640×640"
        ),
    ),
    "pneumoniamnist": Source(
        title="PneumoniaMNIST of MedMNIST v2, on Zenodo",
        citation=f"{MEDMNIST}; {KERMANY}",
        license="CC BY 4.0",
        population=(
            "the children of the reference data set in their original split: train and validation "
            "are its train folder, divided 9:1, test is its test folder, which is harder"
        ),
        sizes={"train": 4708, "validation": 524, "test": 624},
        missing="the names of the files, and with them the patients; cut to a square, 28×28",
        caution=(
            "A network trained on the reference data set's random split has seen images of this "
            "test set."
        ),
    ),
    "chestmnist": Source(
        title="ChestMNIST of MedMNIST v2, on Zenodo: no finding or pneumonia",
        citation=(
            f"{MEDMNIST}; Wang et al.: ChestX-ray8, CVPR 2017, doi:10.1109/CVPR.2017.369; "
            "source of the images: NIH Clinical Center"
        ),
        license="CC BY 4.0",
        population=(
            "patients of the NIH Clinical Center, Bethesda, USA, mostly adults; of 78,468 / 11,219 "
            "/ 22,433 images those without a finding and those with pneumonia, whatever else they "
            "show"
        ),
        sizes=None,
        missing=(
            "patients, age, sex and view; the labels were read from reports by a program, and "
            "pneumonia is the least reliable of them; 28×28"
        ),
    ),
    "phantom": Source(
        title="phantoms, synthetic radiographs drawn by xraylib",
        citation="xraylib.phantoms",
        license="MIT",
        population="nobody: small children as ellipsoids and tubes, under a simulated beam",
        sizes={"train": 840, "validation": 240, "test": 120},
        missing="everything that was not thought of",
        synthetic=True,
    ),
    "folder": Source(
        title="a folder of images",
        citation="whoever made it",
        license="unknown",
        population="unknown",
        sizes=None,
        missing="unknown",
    ),
}
