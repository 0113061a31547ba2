"""The browser studio: a page of gradio before the engine.

Pictures and zips come to the browser through the API's routes (``/api/v1/jobs/{id}/files/...``), which know them by
names that cannot be guessed and forget them with the job: no copy of a result lies in gradio's cache.
"""

from likeness.web.studio.mounting import mount
from likeness.web.studio.page import build

__all__ = ["build", "mount"]
