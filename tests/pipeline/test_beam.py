from __future__ import annotations

from pathlib import Path

import pytest
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.runners.runner import create_runner

from dataset.errors import DataError
from pipeline.beam import BeamConfig
from pipeline.cli.main import main

IMAGE = "--environment_config=eu.gcr.io/shop/tandem:1"
DATAFLOW = (
    "--project=shop",
    "--region=europe-west1",
    "--temp_location=gs://shop/tmp",
    "--sdk_container_image=tandem:1",
)
WHOLE = {
    "DirectRunner": ("--direct_running_mode=multi_processing", "--direct_num_workers=2"),
    "PrismRunner": ("--prism_location=/opt/prism",),
    "FlinkRunner": ("--flink_master=flink:8081", "--parallelism=8", IMAGE),
    "SparkRunner": ("--spark_master_url=spark://spark:7077", "--environment_type=LOOPBACK"),
    "DataflowRunner": DATAFLOW,
    "PortableRunner": ("--job_endpoint=jobs:8099", IMAGE),
}


def test_default_is_beam_s_engine_in_python() -> None:
    runner = create_runner(BeamConfig().args()[0].removeprefix("--runner="))

    assert isinstance(runner, FnApiRunner)


@pytest.mark.parametrize("runner", WHOLE)
def test_runner_gets_its_options_and_an_image_is_named(runner: str) -> None:
    name, *flags = BeamConfig(runner=runner, options=WHOLE[runner]).args()

    assert name.removeprefix("--runner=").rpartition(".")[2] == runner
    assert flags[-len(WHOLE[runner]) :] == list(WHOLE[runner])
    # Or TFX packs itself.
    assert [flag.partition("=")[0] for flag in flags].count("--sdk_container_image") == 1


@pytest.mark.parametrize(
    ("runner", "missing", "named"),
    [
        ("FlinkRunner", 0, "--flink_master=HOST:PORT"),
        ("FlinkRunner", 2, "--environment_config=IMAGE or --environment_type=TYPE"),
        ("SparkRunner", 0, "--spark_master_url=URL"),
        ("SparkRunner", 1, "--environment_config=IMAGE or --environment_type=TYPE"),
        ("DataflowRunner", 0, "--project=PROJECT"),
        ("DataflowRunner", 1, "--region=REGION"),
        ("DataflowRunner", 2, "--temp_location=gs://BUCKET/FOLDER"),
        ("DataflowRunner", 3, "--sdk_container_image=IMAGE"),
        ("PortableRunner", 0, "--job_endpoint=HOST:PORT"),
    ],
)
def test_missing_option_is_named(runner: str, missing: int, named: str) -> None:
    options = [option for number, option in enumerate(WHOLE[runner]) if number != missing]

    with pytest.raises(DataError) as error:
        BeamConfig(runner=runner, options=tuple(options))

    assert str(error.value) == (
        f"configuration: beam.options must have {named} for {runner}. Got {' '.join(options) or 'none'}."
    )


@pytest.mark.parametrize(
    ("runner", "options", "sentence"),
    [
        (
            "FlinkRuner",
            (),
            "configuration: beam.runner must be a runner of Beam. Got 'FlinkRuner'; did you mean "
            '"FlinkRunner"?',
        ),
        (
            "DirectRunner",
            ("direct_num_workers=2",),
            "configuration: beam.options must be flags of the form --name=value. Got 'direct_num_workers=2'.",
        ),
        (
            "DirectRunner",
            ("--direct_num_worker=2",),
            "configuration: beam.options must be known to Beam. Got '--direct_num_worker=2'; did you mean "
            '"--direct_num_workers"?',
        ),
        (
            "DirectRunner",
            ("--direct_num_workers=two",),
            "configuration: beam.options must be as Beam takes them. Got argument --direct_num_workers: "
            "invalid int value: 'two'.",
        ),
        (
            "DataflowRunner",
            ("--project=", *DATAFLOW[1:]),
            "configuration: beam.options must have --project=PROJECT for DataflowRunner. Got --project= "
            + " ".join(DATAFLOW[1:])
            + ".",
        ),
    ],
)
def test_mistake_is_named(runner: str, options: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(DataError) as error:
        BeamConfig(runner=runner, options=options)

    assert str(error.value) == sentence


def test_option_of_a_job_server_that_beam_s_python_does_not_know_is_passed_on() -> None:
    options = (*WHOLE["FlinkRunner"], "--execution_mode_for_batch=BATCH_FORCED")

    assert BeamConfig(runner="FlinkRunner", options=options).args()[-1] == options[-1]


def test_run_stops_at_a_wrong_runner_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["run", "samples/online_retail", "--workdir", str(tmp_path / "run")]

    assert main([*arguments, "--set", "beam.runner=Dataflow"]) == 2

    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "run").exists()
