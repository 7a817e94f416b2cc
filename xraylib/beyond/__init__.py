"""What goes past the reference system; nobody needs it to follow lessons 1 to 6."""

from xraylib.beyond.batch import predict_files
from xraylib.beyond.quick import train_quick_model
from xraylib.beyond.residual import train_better_model
from xraylib.beyond.robust import train_robust_model, unfamiliarity
from xraylib.beyond.saliency import grad_cam, occlusion, peaks_inside
from xraylib.beyond.segmentation import find_lungs, find_opacity
from xraylib.beyond.streams import as_tf_dataset

__all__ = [
    "as_tf_dataset",
    "find_lungs",
    "find_opacity",
    "grad_cam",
    "occlusion",
    "peaks_inside",
    "predict_files",
    "train_better_model",
    "train_quick_model",
    "train_robust_model",
    "unfamiliarity",
]
