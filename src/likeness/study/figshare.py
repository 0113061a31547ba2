"""Where figshare keeps a file of one of its articles: asked by its public interface, since addresses change."""

from __future__ import annotations

from typing import Any

from likeness.study.datasets import Archive
from likeness.weights.errors import WeightsError

INTERFACE = "https://api.figshare.com/v2/articles"
SECONDS = 30.0  # to wait for an answer


def figshare_address(archive: Archive) -> str:
    """The address of ``archive.file`` in the article ``archive.figshare``.

    Raises WeightsError when the article cannot be had, or, with the names of what it holds, when this is not among it.
    """
    import requests

    url = f"{INTERFACE}/{archive.figshare}"
    try:
        answer = requests.get(url, timeout=SECONDS, headers={"User-Agent": "likeness"})
        answer.raise_for_status()
        files: list[dict[str, Any]] = answer.json()["files"]
        known = {str(one["name"]): str(one["download_url"]) for one in files}
    except (ValueError, KeyError, TypeError) as error:  # of what came, which requests counts among its own, too
        raise WeightsError(f"{url}: this is no answer of figshare's interface") from error
    except requests.RequestException as error:
        raise WeightsError(f"{url}: {' '.join(str(error).split())[:200]}") from error
    if archive.file not in known:
        raise WeightsError(f"{url}: holds no {archive.file}, but {', '.join(known) or 'nothing'}")
    return known[archive.file]
