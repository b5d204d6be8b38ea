from __future__ import annotations

import re
from pathlib import Path

import pytest

from dataset.errors import DataError
from models.config import ModelConfig
from pipeline.cli import main as cli
from pipeline.comparison.variants import GRIDS, read_variants
from pipeline.config import Config


def test_default_comes_first_and_has_the_settings_of_all() -> None:
    default, variant = read_variants(["model.trainable=lora"], overrides=["train.epochs=2"])

    assert (default.name, default.config.model) == ("default", ModelConfig())
    assert variant.name == "model.trainable=lora"
    assert variant.config.model == ModelConfig(trainable="lora")
    assert default.config.train.epochs == variant.config.train.epochs == 2


@pytest.mark.parametrize(
    "word",
    [
        "model.trainable=lora model.lora_rank=4",
        "model.trainable=lora, model.lora_rank=4",
        "model.trainable=lora,model.lora_rank=4,",
    ],
)
def test_settings_are_parted_by_spaces_or_commas(word: str) -> None:
    _, variant = read_variants([word])

    assert variant.name == "model.trainable=lora model.lora_rank=4"
    assert variant.config.model == ModelConfig(trainable="lora", lora_rank=4)


def test_name_stands_before_the_settings() -> None:
    _, variant = read_variants(["thin towers: model.behaviour_dim=64, model.history_dim=32"])

    assert variant.name == "thin towers"
    assert variant.config.model == ModelConfig(behaviour_dim=64, history_dim=32)


def test_value_may_have_colons_spaces_and_commas() -> None:
    folder, options = read_variants(
        [
            "model.encoder=./a:b",
            'flags: beam.options=["--direct_num_workers=1", "--direct_num_workers=2"] train.epochs=2',
        ]
    )[1:]

    assert folder.config.model.encoder == "./a:b"
    assert options.config.beam.options == ("--direct_num_workers=1", "--direct_num_workers=2")
    assert options.config.train.epochs == 2


def test_grid_leaves_out_what_is_there_already() -> None:
    names = [variant.name for variant in read_variants(["model.trainable=full", "peft"])]

    assert names == ["default", "model.trainable=full", "model.trainable=lora", "model.trainable=top_layers"]


@pytest.mark.parametrize("grid", GRIDS)
def test_every_variant_of_a_grid_is_a_configuration_of_its_own(grid: str) -> None:
    variants = read_variants([grid])

    assert len(variants) == len(GRIDS[grid])
    assert variants[0].config == Config()


def test_help_names_every_variant_of_every_grid(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["compare", "--help"])

    lines = re.split(r"\n +(?=\w+ {2,})", capsys.readouterr().out)
    for grid, variants in GRIDS.items():
        (line,) = [line for line in lines if line.startswith(f"{grid} ")]
        assert set(re.findall(r"\w+", " ".join(variants))) <= set(re.findall(r"\w+", line))


def test_seeds_follow_one_another() -> None:
    _, variant = read_variants(["train.seed=5"])

    assert [variant.with_seed(number).train.seed for number in range(3)] == [5, 6, 7]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["model.trainble=lora"],
            'variant "model.trainble=lora": unknown key "model.trainble"; did you mean',
        ),
        (["x: model.trainable=some"], 'variant "x": model.trainable must be one of frozen, lora,'),
        (["trainable=lora"], "--set must be of the form section.key=value. Got 'trainable=lora'."),
        (["pef"], 'or a grid. Got "pef"; did you mean "peft"?'),
        (["fusion"], 'Got "fusion"; known are encoder, peft, query_encoder, size.'),
        (["model.trainable=frozen"], 'must differ from all others. Got the settings of "default".'),
        (["a: train.epochs=2", "b: train.epochs=2"], 'must differ from all others. Got the settings of "a".'),
        (["a: train.epochs=2", "a: train.epochs=3"], 'names of their own. Got "a" twice.'),
        (["default: train.epochs=2"], 'names of their own. Got "default" twice.'),
        (["train.warm_start=true"], "train.warm_start must be false in a comparison"),
    ],
)
def test_bad_variant_is_refused(words: list[str], sentence: str) -> None:
    with pytest.raises(DataError) as error:
        read_variants(words)

    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_bad_variant_leaves_no_trace_and_exits_with_2(
    tmp_path: Path, dataset: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(dataset)
    workdir = tmp_path / "run"
    arguments = [str(dataset()), "--workdir", str(workdir), "--variants", "peft", "model.x=1"]

    assert cli.main(["compare", *arguments]) == 2
    assert capsys.readouterr().err.startswith('tandem: variant "model.x=1": unknown key "model.x"; ')
    assert not workdir.exists()
