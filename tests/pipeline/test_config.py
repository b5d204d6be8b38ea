from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from dataset.errors import DataError
from models.config import ModelConfig, TrainConfig
from pipeline.config import Config, load_config


def _file(folder: Path, text: str) -> str:
    path = folder / "settings.toml"
    path.write_text(text)
    return str(path)


def test_without_a_file_everything_is_default() -> None:
    assert load_config(None) == Config()


def test_file_sets_some_and_leaves_the_rest(tmp_path: Path) -> None:
    config = load_config(_file(tmp_path, '[model]\nencoder = "bert_tiny_en_uncased"\n[train]\nepochs = 3\n'))

    assert config.model == ModelConfig(encoder="bert_tiny_en_uncased")
    assert config.train == TrainConfig(epochs=3)


def test_override_wins_over_the_file(tmp_path: Path) -> None:
    path = _file(tmp_path, "[train]\nepochs = 3\nseed = 5\n")

    config = load_config(path, ["train.epochs=4"])

    assert (config.train.epochs, config.train.seed) == (4, 5)


@pytest.mark.parametrize(
    ("override", "section", "key", "value"),
    [
        ("train.epochs=2", "train", "epochs", 2),
        ("train.learning_rate = 5e-4", "train", "learning_rate", 5e-4),
        ("train.refit=false", "train", "refit", False),
        ("model.encoder=minilm", "model", "encoder", "minilm"),
        ('model.encoder="minilm"', "model", "encoder", "minilm"),
        ("serve.tf_serving_version=2.20", "serve", "tf_serving_version", "2.20"),
        ("model.encoder=/data/a=b", "model", "encoder", "/data/a=b"),
        ('beam.options=["--region=eu"]', "beam", "options", ("--region=eu",)),
    ],
)
def test_override_is_toml_or_bare_text(override: str, section: str, key: str, value: object) -> None:
    assert getattr(getattr(load_config(None, [override]), section), key) == value


def test_whole_number_does_where_any_number_is_wanted() -> None:
    value = load_config(None, ["train.clip_norm=2"]).train.clip_norm

    assert isinstance(value, float)
    assert value == 2.0


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("modle.encoder=x", 'configuration: unknown section "modle"; did you mean "model"?'),
        ("train.epoch=1", 'configuration: unknown key "train.epoch"; did you mean "epochs"?'),
        (
            "serve.xyzzy=1",
            "known are exploration_share, index, max_latency_ms, max_quality_loss, max_users, "
            "min_index_recall, num_candidates, query_encoder, tf_serving_version.",
        ),
        ("train.epochs=many", "configuration: train.epochs must be int. Got 'many'."),
        ("train.epochs=1.5", "configuration: train.epochs must be int. Got 1.5."),
        ("train.epochs=true", "configuration: train.epochs must be int. Got True."),
        ("train.refit=1", "configuration: train.refit must be bool. Got 1."),
        ("train.clip_norm=true", "configuration: train.clip_norm must be float. Got True."),
        (
            "serve.tf_serving_version=2.15",
            "serve.tf_serving_version must be one of 2.16, 2.17, 2.18, 2.19, 2.20, in quotes. Got '2.15'.",
        ),
        ("model.encoder=3", "configuration: model.encoder must be str. Got 3."),
        (
            "beam.options=--region=eu",
            "configuration: beam.options must be a list of text. Got '--region=eu'.",
        ),
        ("beam.options=[1]", "configuration: beam.options must be a list of text. Got [1]."),
        ("train.epochs", "--set must be of the form section.key=value. Got 'train.epochs'."),
        ("epochs=3", "--set must be of the form section.key=value. Got 'epochs=3'."),
        (".epochs=3", "--set must be of the form section.key=value. Got '.epochs=3'."),
    ],
)
def test_mistake_is_named(override: str, sentence: str) -> None:
    with pytest.raises(DataError) as error:
        load_config(None, [override])

    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("override", "rule"),
    [
        ("model.trainable=some", "model.trainable must be one of frozen, lora, top_layers, full"),
        ("model.pooling=max", "model.pooling must be one of own, mean, cls"),
        ("model.max_text_tokens=2", "model.max_text_tokens must be from 3 to 512"),
        ("model.max_query_tokens=513", "model.max_query_tokens must be from 3 to 512"),
        ("model.lora_rank=0", "model.lora_rank must be at least 1"),
        ("model.num_top_layers=0", "model.num_top_layers must be at least 1"),
        ("model.behaviour_dim=0", "model.behaviour_dim must be at least 1"),
        ("model.history_dim=0", "model.history_dim must be at least 1"),
        ("model.history_heads=0", "model.history_heads must be at least 1"),
        ("model.max_history=0", "model.max_history must be at least 1"),
        ("train.epochs=0", "train.epochs must be at least 1"),
        ("train.patience=0", "train.patience must be at least 1"),
        ("train.max_contexts=0", "train.max_contexts must be at least 1"),
        ("train.max_minutes=-1", "train.max_minutes must be at least 0"),
        ("train.max_minutes=nan", "train.max_minutes must be at least 0"),
        ("train.batch_size=0", "train.batch_size must be at least 1"),
        ("train.targets_per_query=0", "train.targets_per_query must be at least 1"),
        ("train.accumulation_steps=0", "train.accumulation_steps must be at least 1"),
        ("train.precision=float16", "train.precision must be one of float32, mixed_bfloat16"),
        ("train.recommender_users=0", "train.recommender_users must be at least 1"),
        ("train.recommender_epochs=-1", "train.recommender_epochs must be at least 0"),
        ("train.judgment_epochs=-1", "train.judgment_epochs must be at least 0"),
        ("train.uniform_negatives=-1", "train.uniform_negatives must be at least 0"),
        ("train.item_dropout=1.0", "train.item_dropout must be from 0 to below 1"),
        ("train.history_dropout=-0.1", "train.history_dropout must be from 0 to below 1"),
        ("train.user_dropout=1", "train.user_dropout must be from 0 to below 1"),
        ("train.learning_rate=0", "train.learning_rate must be above 0"),
        ("train.learning_rate=nan", "train.learning_rate must be above 0"),
        ("train.clip_norm=0", "train.clip_norm must be above 0"),
        ("train.recency_half_life_days=0", "train.recency_half_life_days must be above 0"),
        ("serve.num_candidates=0", "serve.num_candidates must be at least 1"),
        ("serve.query_encoder=onnx", "serve.query_encoder must be one of auto, table, encoder"),
        ("serve.max_quality_loss=2", "serve.max_quality_loss must be from 0 to 1"),
        ("serve.index=faiss", "serve.index must be one of exact, approximate"),
        ("serve.min_index_recall=98", "serve.min_index_recall must be from 0 to 1"),
        ("serve.exploration_share=0.6", "serve.exploration_share must be from 0 to 0.5"),
        ("serve.max_users=-1", "serve.max_users must be at least 0"),
        ("serve.max_latency_ms=0", "serve.max_latency_ms must be above 0"),
        (
            "evaluation.min_ratio_to_best_baseline=-1",
            "evaluation.min_ratio_to_best_baseline must be at least 0",
        ),
        ("evaluation.min_ratio_to_zero_shot=-1", "evaluation.min_ratio_to_zero_shot must be at least 0"),
        ("evaluation.max_loss_to_blessed=-1", "evaluation.max_loss_to_blessed must be at least 0"),
        ("evaluation.max_ease_items=-1", "evaluation.max_ease_items must be at least 0"),
    ],
)
def test_rule_holds_at_its_bound(override: str, rule: str) -> None:
    with pytest.raises(DataError) as error:
        load_config(None, [override])

    assert str(error.value).startswith(f"configuration: {rule}. Got ")


def test_missing_file_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "none.toml")
    with pytest.raises(DataError) as error:
        load_config(path)

    assert str(error.value) == f"{path}: no such configuration file."


@pytest.mark.parametrize("content", [b"[train", b"\xff\xfe"])
def test_file_that_is_not_toml_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        load_config(str(path))

    assert str(error.value).startswith(f"{path}: not valid TOML: ")


def test_folder_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        load_config(str(tmp_path))

    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("text", ["train = 3\n", 'train = "epochs"\n'])
def test_section_must_be_a_table(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError) as error:
        load_config(_file(tmp_path, text), ["train.epochs=1"])

    assert str(error.value).startswith("configuration: train must be a table. Got ")


def test_configuration_survives_json() -> None:
    config = load_config(None, ["train.epochs=3", 'beam.options=["--region=eu"]', "model.encoder=/a b"])

    assert Config.from_json(config.to_json()) == config


def test_json_does_not_depend_on_the_order_of_settings() -> None:
    one = load_config(None, ["train.epochs=3", "model.lora_rank=4"])
    other = load_config(None, ["model.lora_rank=4", "train.epochs=3"])

    assert one.to_json() == other.to_json()


def test_configuration_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().train.epochs = 3  # type: ignore[misc]


def test_byte_order_mark_is_no_part_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xef\xbb\xbf[train]\nseed = 3\n")

    assert load_config(str(path)).train.seed == 3
