"""Environment of every test: set here, before a test module imports TensorFlow."""

import functools
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.image import Image, build_image
from tests.tiny_dataset import Write, write_dataset

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# What a shell runs in the background ignores Ctrl-C, and under `nohup` its hanging up; the processes that
# tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def trainer_image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The trainer's image, in a folder that is removed again, as it is large."""
    root = tmp_path_factory.mktemp("image")
    yield build_image(root)
    shutil.rmtree(root)


@pytest.fixture
def dataset(tmp_path: Path) -> Write:
    """Writes a tiny dataset of three tables, any of which a test may replace."""
    return functools.partial(write_dataset, tmp_path)
