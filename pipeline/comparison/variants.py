"""Variants of a configuration, as a person names them on the command line."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

from dataset.errors import DataError
from dataset.section import nearest
from models.config import TRAINABLE
from models.pretrained import ENCODERS
from pipeline.config import Config, load_config
from serving.config import QUERY_ENCODERS

DEFAULT = "default"

# Each grid is some variants: the settings of each by the variant's name.
GRIDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "peft": {f"model.trainable={part}": (f"model.trainable={part}",) for part in TRAINABLE},
    "size": {
        f"towers of {dim} and {history}": (f"model.behaviour_dim={dim}", f"model.history_dim={history}")
        for dim, history in ((64, 32), (128, 64), (256, 128), (512, 256))
    },
    "encoder": {f"model.encoder={name}": (f"model.encoder={name}",) for name in ENCODERS},
    "query_encoder": {
        f"serve.query_encoder={encoder}": (f"serve.query_encoder={encoder}",) for encoder in QUERY_ENCODERS
    },
}

_NAMED = re.compile(r"(?P<name>[^:=]+):\s*(?P<settings>\S.*)", re.DOTALL)
# A setting ends where the next begins, so that a value may be a list.
_BETWEEN = re.compile(r"[,\s]+(?=\w+\.\w+=)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """A configuration and its name in the table."""

    name: str
    config: Config

    def with_seed(self, number: int) -> Config:
        """The configuration with the seed of its run of that number, counted from 0."""
        train = dataclasses.replace(self.config.train, seed=self.config.train.seed + number)
        return dataclasses.replace(self.config, train=train)


def read_variants(
    words: Sequence[str], *, config_path: str | None = None, overrides: Sequence[str] = ()
) -> list[Variant]:
    """Reads the default and its variants.

    Args:
        words: Each is the name of a grid, or settings as ``section.key=value``, with spaces or commas between
            them and perhaps ``NAME:`` before them.
        config_path: The TOML file of the default.
        overrides: ``section.key=value`` of the default, over the file.

    Returns:
        The default, and each variant once, in their order.

    Raises:
        DataError: If a grid or setting is unknown, a value breaks a rule, a name is taken, a variant is as
            another, or there is none.
    """
    default = Variant(name=DEFAULT, config=load_config(config_path, overrides))
    variants = [default]
    for word in words:
        for name, settings in _settings(word).items():
            try:
                config = load_config(config_path, [*overrides, *settings])
            except DataError as error:
                reason = str(error).removeprefix("configuration: ")
                raise DataError(f'variant "{name}": {reason}') from None
            same = next((variant for variant in variants if variant.config == config), None)
            if same is not None:
                if word in GRIDS:
                    continue
                raise DataError(
                    f'The variant "{name}" must differ from all others. Got the settings of "{same.name}".'
                )
            if any(variant.name == name for variant in variants):
                raise DataError(f'The variants must have names of their own. Got "{name}" twice.')
            variants.append(Variant(name=name, config=config))
    for variant in variants:
        if variant.config.train.warm_start:
            raise DataError(
                "train.warm_start must be false in a comparison, whose variants all begin from the encoder "
                f'as it came. Got true in "{variant.name}".'
            )
    if len(variants) == 1:
        raise DataError("--variants must name one that differs from the default. Got none.")
    return variants


def _settings(word: str) -> Mapping[str, tuple[str, ...]]:
    """The settings of each variant that a word stands for, by the variant's name."""
    if word in GRIDS:
        return GRIDS[word]
    if "=" not in word:
        raise DataError(
            f'A variant must be settings such as model.trainable=lora, or a grid. Got "{word}"; '
            f"{nearest(word, GRIDS)}"
        )
    named = _NAMED.fullmatch(word)
    text = named["settings"] if named else word
    settings = tuple(_BETWEEN.split(text.strip().rstrip(",")))
    return {named["name"].strip() if named else " ".join(settings): settings}
