"""Find faces, align them, say who it is, paste them back. Knows nothing of restoration.

Importing this loads numpy only: dlib and OpenCV are loaded by the functions that need them.
"""

from likeness.faces.detect import DETECTORS, DlibDetector, load_detector
from likeness.faces.geometry import crop_face, enlarged, similarity_transform
from likeness.faces.identity import RECOGNIZERS, DlibRecognizer, identity_distance, load_recognizer
from likeness.faces.mask import FeatheredMask
from likeness.faces.paste import paste_face, replace_pixels
from likeness.faces.select import select_faces
from likeness.faces.template import CHIP_TRANSFORM, CROP_SIZE, DLIB5_TEMPLATE, FFHQ_TEMPLATE
from likeness.faces.types import Detector, Face, MaskSource, Recognizer

__all__ = [
    "CHIP_TRANSFORM",
    "CROP_SIZE",
    "DETECTORS",
    "DLIB5_TEMPLATE",
    "FFHQ_TEMPLATE",
    "RECOGNIZERS",
    "Detector",
    "DlibDetector",
    "DlibRecognizer",
    "Face",
    "FeatheredMask",
    "MaskSource",
    "Recognizer",
    "crop_face",
    "enlarged",
    "identity_distance",
    "load_detector",
    "load_recognizer",
    "paste_face",
    "replace_pixels",
    "select_faces",
    "similarity_transform",
]
