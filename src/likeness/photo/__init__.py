"""A picture in, a picture out: orientation, ICC, alpha, 16 bit, HEIC. Knows nothing of faces."""

from .atomic import atomic_path, atomic_write_bytes, atomic_write_text, sweep_leftovers
from .errors import PhotoError
from .find import PhotoInput, add_suffix, assign_outputs, find_photos
from .formats import SUPPORTED_SUFFIXES
from .photo import Photo
from .read import read_photo
from .write import output_suffix, write_photo
from .xmp import Statement, add_statement, read_statements

__all__ = [
    "SUPPORTED_SUFFIXES",
    "Photo",
    "PhotoError",
    "PhotoInput",
    "Statement",
    "add_statement",
    "add_suffix",
    "assign_outputs",
    "atomic_path",
    "atomic_write_bytes",
    "atomic_write_text",
    "find_photos",
    "output_suffix",
    "read_photo",
    "read_statements",
    "sweep_leftovers",
    "write_photo",
]
