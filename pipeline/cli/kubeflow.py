"""The commands ``tandem kubeflow compile``, ``submit`` and ``status``, which import KFP when they run."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dataset.errors import DataError
from pipeline.cli.commands import add_command

AddArguments = Callable[[argparse.ArgumentParser], None]


def add_commands(parser: argparse.ArgumentParser, *, to_compile: Sequence[AddArguments]) -> None:
    """Adds the three commands.

    Args:
        parser: The parser of ``tandem kubeflow``.
        to_compile: Functions that add the arguments which ``compile`` shares with ``tandem run``.
    """
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    compiling = add_command(
        commands, "compile", _compile, "write the dataset's pipeline as a KFP v2 specification"
    )
    for add in to_compile:
        add(compiling)
    compiling.add_argument(
        "--pipeline-root", required=True, metavar="gs://…", help="where artifacts go, on Google Cloud Storage"
    )
    compiling.add_argument("--image", required=True, help="the trainer's image, as the cluster pulls it")
    compiling.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help="the .yaml file to write"
    )

    submitting = add_command(commands, "submit", _submit, "upload a specification and run it")
    submitting.add_argument("specification", type=Path, metavar="FILE", help="the file that compile wrote")
    submitting.add_argument(
        "--parameter",
        action="append",
        default=[],
        dest="parameters",
        metavar="NAME=VALUE",
        help="one parameter of the run, such as data=gs://bucket/shop; may be repeated",
    )
    submitting.add_argument(
        "--pipeline-root", metavar="gs://…", help="the folder for the artifacts of this run (default: FILE's)"
    )
    submitting.add_argument("--experiment", help="the experiment of the run (default: Kubeflow's own)")
    submitting.add_argument("--run-name", help="the name of the run (default: the pipeline and the time)")
    _add_cluster(submitting)

    following = add_command(
        commands, "status", _status, "follow a run's tasks to its end: exit code 0 succeeded, 1 failed"
    )
    following.add_argument("run_id", metavar="RUN_ID", help="the id that submit printed")
    _add_cluster(following)


def _add_cluster(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host",
        metavar="URL",
        help="Kubeflow's API (default: $KF_PIPELINES_ENDPOINT, the kfp client's own settings, or the cluster "
        "that this runs in)",
    )
    parser.add_argument("--namespace", help="the profile's namespace (default: the kfp client's own)")
    parser.add_argument(
        "--token",
        metavar="FILE",
        type=Path,
        help="a file with a bearer token (default: the service account's, where there is one)",
    )


def _cluster(arguments: argparse.Namespace) -> dict[str, Any]:
    return {"host": arguments.host, "namespace": arguments.namespace, "token": arguments.token}


def _compile(arguments: argparse.Namespace) -> int:
    from pipeline.kubeflow.compiling import compile_pipeline

    compile_pipeline(
        arguments.dataset,
        arguments.output,
        pipeline_root=arguments.pipeline_root,
        image=arguments.image,
        config_path=arguments.config,
        overrides=arguments.overrides,
    )
    print(
        f"Wrote {arguments.output}. Run it: tandem kubeflow submit {arguments.output} --parameter data=gs://…"
    )
    return 0


def _submit(arguments: argparse.Namespace) -> int:
    from pipeline.kubeflow.runs import Cluster, submit

    parameters = {}
    for one in arguments.parameters:
        name, equals, value = one.partition("=")
        if not (name and equals):
            raise DataError(f"--parameter must be of the form NAME=VALUE. Got {one!r}.")
        parameters[name] = value
    run_id = submit(
        Cluster(**_cluster(arguments)),
        arguments.specification,
        parameters,
        pipeline_root=arguments.pipeline_root,
        experiment=arguments.experiment,
        run_name=arguments.run_name,
    )
    print(f"Run {run_id}. Follow it: tandem kubeflow status {run_id}")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    from pipeline.kubeflow.runs import Cluster, show_status

    return show_status(Cluster(**_cluster(arguments)), arguments.run_id)
