"""From files, folders and globs to a list of photos, and to output names that never clash."""

from __future__ import annotations

import glob
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import PhotoError, file_error, photo_error, suffix_of
from .formats import SUPPORTED_SUFFIXES


@dataclass(frozen=True)
class PhotoInput:
    """One photo to read, and where its result goes below the output folder."""

    path: Path
    relative: Path


def find_photos(inputs: Iterable[str | Path]) -> list[PhotoInput]:
    """Expand files, folders and globs to photos, sorted by path, each file once.

    - A file is taken whatever its suffix; `relative` is its name.
    - A folder is searched with all its subfolders for files with a supported suffix (any case); hidden files
      and folders are skipped; `relative` is the path below the folder. A folder without photos gives nothing.
    - A glob (`*`, `?`, `[...]`, `**`) gives the files it matches, as a shell would; `relative` is the name.

    A file that is reached twice is taken where it is first reached.

    Raises:
        PhotoError: a path does not exist, a glob matches no file, or a folder cannot be read.
    """
    found: dict[Path, PhotoInput] = {}
    for item in inputs:
        for photo in _expand(item):
            found.setdefault(photo.path.resolve(), photo)
    return sorted(found.values(), key=lambda photo: photo.path.as_posix())


def assign_outputs(inputs: Sequence[PhotoInput]) -> list[Path]:
    """One output stem (relative path without suffix) per input, in the order of the inputs, all different.

    A stem is the relative path without its suffix. Where several inputs would share one, each of them gets
    its suffix in its name (`x.jpg`, `x.png` -> `x_jpg`, `x_png`), and a number where that is not enough
    (`x_jpg`, `x_jpg_2`). Stems are compared as case-insensitive file systems do. The result depends on the
    inputs only.

    A stem may contain dots (`a.b.jpg` -> `a.b`): add a suffix with `add_suffix`, not with `Path.with_suffix`.
    """
    natural = [_stem(photo.relative) for photo in inputs]
    uses = Counter(_key(stem) for stem in natural)
    taken = {key for key, count in uses.items() if count == 1}
    outputs = []
    for photo, stem in zip(inputs, natural, strict=True):
        if uses[_key(stem)] > 1:
            stem = next(name for name in _alternatives(stem, photo.relative) if _key(name) not in taken)
            taken.add(_key(stem))
        outputs.append(stem)
    return outputs


def add_suffix(stem: Path, suffix: str) -> Path:
    """`stem` with `suffix` appended, keeping dots in the stem: (`a/b.c`, `.png`) -> `a/b.c.png`."""
    return stem.with_name(stem.name + suffix)


def _expand(item: str | Path) -> Iterator[PhotoInput]:
    path = Path(item)
    try:
        if path.is_dir():
            yield from _search(path)
            return
        path.lstat()
    except FileNotFoundError as error:
        if not glob.has_magic(str(item)):
            raise file_error(item, error) from None
        matches = [Path(name) for name in sorted(glob.glob(str(item), recursive=True))]  # noqa: PTH207
        files = [match for match in matches if not match.is_dir()]
        if not files:
            raise photo_error(item, "no file matches this pattern; check it") from None
        yield from (PhotoInput(file, Path(file.name)) for file in files)
    except OSError as error:
        raise file_error(item, error) from None
    except PhotoError:
        raise
    except ValueError:  # a NUL character
        raise photo_error(str(item), "this is not a file name") from None
    else:
        yield PhotoInput(path, Path(path.name))


def _search(folder: Path) -> Iterator[PhotoInput]:
    def stop(error: OSError) -> None:
        raise file_error(error.filename or folder, error) from None

    seen: set[Path] = set()
    for name, subfolders, files in os.walk(folder, followlinks=True, onerror=stop):
        here = Path(name)
        if here.resolve() in seen:  # a link back up would never end
            subfolders.clear()
            continue
        seen.add(here.resolve())
        subfolders[:] = sorted(sub for sub in subfolders if not sub.startswith("."))
        for file in sorted(files):
            if not file.startswith(".") and suffix_of(file) in SUPPORTED_SUFFIXES:
                yield PhotoInput(here / file, (here / file).relative_to(folder))


def _stem(relative: Path) -> Path:
    # "..jpg" would become ".", which is the folder itself.
    return relative.with_name(relative.stem if relative.stem.strip(".") else "_" + relative.name.lstrip("."))


def _alternatives(stem: Path, relative: Path) -> Iterator[Path]:
    named = stem.with_name("_".join(part for part in (stem.name, suffix_of(relative)[1:]) if part))
    if _key(named) != _key(stem):
        yield named
    number = 1 if _key(named) == _key(stem) else 2
    while True:
        yield named.with_name(f"{named.name}_{number}")
        number += 1


def _key(stem: Path) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", stem.as_posix()).casefold())
