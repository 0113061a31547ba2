"""Where the face model files shipped by the `face_recognition_models` package lie."""

from __future__ import annotations

import importlib.util
from pathlib import Path

LANDMARKS_5 = "shape_predictor_5_face_landmarks.dat"
RECOGNITION = "dlib_face_recognition_resnet_model_v1.dat"


def model_path(file_name: str) -> Path:
    """Path of a model file of the installed `face_recognition_models` package (CC0, Davis King).

    The package is located, never imported: importing it needs `pkg_resources`, which new setuptools dropped.
    Its 68-point landmark model may not be used commercially; Likeness never opens it.

    Raises FileNotFoundError, saying what to install, when the package or the file is absent.
    """
    spec = importlib.util.find_spec("face_recognition_models")
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        path = Path(folder) / "models" / file_name
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"face model {file_name} not found: install it with `pip install face_recognition_models==0.3.0`"
    )
