"""A Ray cluster of two processors on this machine for the tests of a file, and what is left of it: nothing."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import quick
from ray_processes import of_ray

import scenes
from likeness import methods, pipeline

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Connected to a small local cluster, whose workers know the tests' modules."""
    ray = pytest.importorskip("ray", reason="needs Ray: the extra scale")
    pytest.importorskip("ray.data", reason="needs Ray Data: the extra scale")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(scenes.TESTS), str(HERE), os.environ.get("PYTHONPATH", "")]))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setattr(pipeline.session, "load_recognizer", lambda name: quick.Stranger())
        patch.setitem(methods.METHODS, "quick", "quick")
        patch.setitem(methods.METHODS, "mortal", "mortal")
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=200_000_000,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
        )
        try:
            yield
        finally:
            ray.shutdown()
    deadline = time.monotonic() + 30
    while of_ray() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not of_ray()
