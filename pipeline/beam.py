"""The Beam runners that are known, what each must be told, and the flags that say so."""

from __future__ import annotations

import argparse
import dataclasses

from dataset.errors import DataError
from dataset.section import nearest

# The image of the workers, or else where their code comes from. Only Dataflow looks at --sdk_container_image.
_WORKER = ("--environment_config=IMAGE", "--environment_type=TYPE")
# What each runner cannot do without. Alternatives of one requirement stand in one tuple, the usual one first.
REQUIRED: dict[str, tuple[tuple[str, ...], ...]] = {
    "DirectRunner": (),
    "PrismRunner": (),
    "FlinkRunner": (("--flink_master=HOST:PORT",), _WORKER),
    "SparkRunner": (("--spark_master_url=URL",), _WORKER),
    "DataflowRunner": (
        ("--project=PROJECT",),
        ("--region=REGION",),
        ("--temp_location=gs://BUCKET/FOLDER",),
        ("--sdk_container_image=IMAGE",),
    ),
    "PortableRunner": (("--job_endpoint=HOST:PORT",), _WORKER),
}
_DIRECT_RUNNER = "pipeline.direct_runner.DirectRunner"
# Their job servers have options of their own, which Beam's Python side passes on unseen.
_PASS_ON = ("FlinkRunner", "SparkRunner", "PortableRunner")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BeamConfig:
    """Where Beam stages run: a runner's name and its options as flags.

    Attributes:
        runner: One of `REQUIRED`.
        options: Flags of Beam, ``--name=value`` each.
    """

    runner: str = "DirectRunner"
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.runner not in REQUIRED:
            raise DataError(
                f"configuration: beam.runner must be a runner of Beam. Got {self.runner!r}; "
                f"{nearest(self.runner, REQUIRED)}"
            )
        for option in self.options:
            if not option.startswith("--"):
                raise DataError(
                    f"configuration: beam.options must be flags of the form --name=value. Got {option!r}."
                )
        given = {name for name, _, value in (option.partition("=") for option in self.options) if value}
        for choice in REQUIRED[self.runner]:
            if not any(flag.partition("=")[0] in given for flag in choice):
                got = " ".join(self.options) or "none"
                raise DataError(
                    f"configuration: beam.options must have {' or '.join(choice)} for {self.runner}. "
                    f"Got {got}."
                )
        if self.options:
            self._require_known()

    def args(self) -> list[str]:
        """The flags TFX passes to Beam."""
        # DirectRunner itself would first download Prism, an engine of other memory and speed, and run that
        # where it can: the same pipeline would run on another engine wherever there is a network.
        runner = _DIRECT_RUNNER if self.runner == "DirectRunner" else self.runner
        # Unless an image is named, TFX packs a copy of itself for the workers before each component; theirs
        # has it, and is named to their runner by another option.
        unpacked = [] if self.runner == "DataflowRunner" else ["--sdk_container_image=none"]
        # TFX Transform loads its graph in a worker without the ops of the tokenizer in it.
        return [f"--runner={runner}", *unpacked, "--beam_plugin=tensorflow_text", *self.options]

    def _require_known(self) -> None:
        # Beam takes seconds to import, and most runs set no option.
        from apache_beam.options.pipeline_options import PipelineOptions, _BeamArgumentParser

        parser = _BeamArgumentParser(allow_abbrev=False, exit_on_error=False)
        for group in PipelineOptions.__subclasses__():
            group._add_argparse_args(parser)
        try:
            _, unknown = parser.parse_known_args(list(self.options))
        except argparse.ArgumentError as error:
            raise DataError(f"configuration: beam.options must be as Beam takes them. Got {error}.") from None
        if unknown and self.runner not in _PASS_ON:
            known = [name for action in parser._actions for name in action.option_strings]
            close = nearest(unknown[0].partition("=")[0], known)
            raise DataError(
                f"configuration: beam.options must be known to Beam. Got {unknown[0]!r}"
                + (f"; {close}" if close.startswith("did") else ".")
            )
