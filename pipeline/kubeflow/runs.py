"""The runs of a compiled pipeline on a cluster: the kfp client starts them and follows them."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import kfp
import kfp_server_api
import urllib3
import yaml

from dataset.errors import DataError

SUCCEEDED, FAILED = 0, 1
_POLL_S = 10.0
# A gateway answers with these codes while it has lost the API server. The waits are 0 s, 20 s and three times
# 30 s, together about as long as an API server takes to start.
_DROPPED, _NUM_RETRIES, _MAX_WAIT_S = (502, 503, 504), 5, 30.0
_FAILURES = ("FAILED", "CANCELED", "SKIPPED")


class _Client(kfp.Client):
    """The SDK's client, with a setting for how often a request is repeated."""

    def __init__(self, *, retries: urllib3.Retry | None, **settings: Any) -> None:
        self._retries = retries
        super().__init__(**settings)

    def _load_config(self, *arguments: Any, **settings: Any) -> Any:
        configuration = super()._load_config(*arguments, **settings)
        configuration.retries = self._retries
        return configuration

    def get_kfp_healthz(self, sleep_duration: int = 0) -> Any:
        """Asks once. The SDK's own method asks for half a minute, even if the server refuses."""
        return self._healthz_api.healthz_service_get_healthz()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cluster:
    """The address of Kubeflow and the caller's credentials. The kfp client finds what is ``None`` by itself.

    Attributes:
        host: The URL of Kubeflow's API.
        namespace: The profile's namespace, on a Kubeflow with several users.
        token: A file with a bearer token.
    """

    host: str | None = None
    namespace: str | None = None
    token: Path | None = None

    @contextlib.contextmanager
    def connected(self, retries: urllib3.Retry | None = None) -> Iterator[Any]:
        """Yields the client, and raises errors of the connection and of the server as one sentence.

        Args:
            retries: The rule by which a request is repeated; by default urllib3's own.

        Raises:
            DataError: If the token cannot be read, or if the server is not there, refuses or fails.
        """
        host = self.host or os.environ.get("KF_PIPELINES_ENDPOINT") or "the cluster's API"
        try:
            # The client prints links, and it warns of servers so old that none is left.
            with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                warnings.simplefilter("ignore")
                yield _Client(retries=retries, host=self.host, credentials=self._credentials())
        except kfp_server_api.ApiException as error:
            raise DataError(f"Kubeflow at {host} must accept the request. Got: {_said(error)}.") from None
        except (urllib3.exceptions.HTTPError, RuntimeError, TimeoutError) as error:
            raise DataError(
                f"Kubeflow's API must answer at {host}. Got: {error}; name its URL with --host."
            ) from None

    def _credentials(self) -> Any:
        path = self.token or Path(
            os.environ.get(kfp.client.KF_PIPELINES_SA_TOKEN_ENV, kfp.client.KF_PIPELINES_SA_TOKEN_PATH)
        )
        if not path.is_file():
            if self.token:
                raise DataError(f"--token must be a file that holds a token. Got {path}.")
            return None
        return kfp.client.ServiceAccountTokenVolumeCredentials(str(path))


def _said(error: kfp_server_api.ApiException) -> str:
    """The status and the reason, and the server's message if its answer is JSON that has one."""
    status = f"{error.status} {error.reason}" if error.status else str(error.reason)
    try:
        message = str(json.loads(error.body or "")["message"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return status
    return f"{status}: {message.splitlines()[0].rstrip('.')}"


def submit(
    cluster: Cluster,
    specification: Path,
    parameters: Mapping[str, str],
    *,
    pipeline_root: str | None = None,
    experiment: str | None = None,
    run_name: str | None = None,
) -> str:
    """Uploads a specification as the newest version of its pipeline, and runs that version.

    Args:
        cluster: The cluster to run it on.
        specification: The file that `compile_pipeline` wrote.
        parameters: The parameters of the run, by name.
        pipeline_root: The folder for the artifacts of this run; by default the one in the specification.
        experiment: The experiment of the run; it is made if it does not exist.
        run_name: The name of the run.

    Returns:
        The run's id.

    Raises:
        DataError: If the file is no specification, if a parameter is unknown or missing, or if the cluster
            refuses.
    """
    name = _checked(specification, parameters)
    version = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    with cluster.connected() as client:
        pipeline_id = client.get_pipeline_id(name)
        if pipeline_id is None:
            # The file is the pipeline's first version.
            pipeline_id = client.upload_pipeline(str(specification), pipeline_name=name).pipeline_id
            listed = client.list_pipeline_versions(pipeline_id, sort_by="created_at desc", page_size=1)
            version_id = listed.pipeline_versions[0].pipeline_version_id
        else:
            uploaded = client.upload_pipeline_version(str(specification), version, pipeline_id=pipeline_id)
            version_id = uploaded.pipeline_version_id
        made = client.create_experiment(experiment or "Default", namespace=cluster.namespace)
        run = client.run_pipeline(
            made.experiment_id,
            run_name or version,
            pipeline_id=pipeline_id,
            version_id=version_id,
            params=dict(parameters),
            pipeline_root=pipeline_root,
        )
        return str(run.run_id)


def _checked(specification: Path, parameters: Mapping[str, str]) -> str:
    """The pipeline's name, after a check of the file and of the parameters."""
    try:
        document: Any = next(iter(yaml.safe_load_all(specification.read_text(encoding="utf-8"))), None)
        name = str(document["pipelineInfo"]["name"])
        known = document["root"].get("inputDefinitions", {}).get("parameters", {})
    except OSError as error:
        raise DataError(f"{specification} must be a file that can be read. Got: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError):
        raise DataError(
            f"{specification} must be what `tandem kubeflow compile` writes. Got something else."
        ) from None
    for parameter in parameters:
        if parameter not in known:
            raise DataError(f"--parameter must be one of {', '.join(sorted(known))}. Got {parameter!r}.")
    missing = [n for n, spec in known.items() if not spec.get("isOptional") and n not in parameters]
    if missing:
        raise DataError(
            f"A run must be given {', '.join(missing)}. Got no value; add --parameter {missing[0]}=…"
        )
    return name


def show_status(cluster: Cluster, run_id: str, *, poll_s: float = _POLL_S) -> int:
    """Prints each task's state as it changes, until the run has ended.

    Args:
        cluster: The cluster that runs it.
        run_id: The id that `submit` returned.
        poll_s: Seconds between two looks. A look that fails is repeated, for up to two minutes.

    Returns:
        `SUCCEEDED`, or `FAILED` for a run that failed or was cancelled.

    Raises:
        DataError: If the cluster has no such run, or if it refuses.
    """
    shown: dict[str, str] = {}
    # The first look is not repeated for two minutes, so that a mistake is told at once.
    retries: urllib3.Retry | None = None
    while True:
        with cluster.connected(retries) as client:
            run = client.get_run(run_id)
        for task, state, reason in _tasks(run):
            if shown.get(task) != state:
                shown[task] = state
                print(f"{task:<32} {state}{reason}", flush=True)
        if run.state == "SUCCEEDED":
            print(f"Run {run_id} succeeded.")
            return SUCCEEDED
        if run.state in _FAILURES:
            reason = f": {run.error.message}" if run.error and run.error.message else ""
            print(f"Run {run_id} {run.state.lower()}{reason}")
            return FAILED
        time.sleep(poll_s)
        retries = urllib3.Retry(
            _NUM_RETRIES,
            status_forcelist=_DROPPED,
            backoff_factor=poll_s,
            backoff_max=_MAX_WAIT_S,
            raise_on_status=False,
        )


def _tasks(run: Any) -> list[tuple[str, str, str]]:
    """The name, state and reason of each task. Kubeflow's own drivers are listed only if they failed."""
    details = (run.run_details.task_details if run.run_details else None) or []
    found = []
    for task in sorted(details, key=lambda one: str(one.create_time)):
        is_own = task.display_name in ("root", "executor") or task.display_name.endswith("-driver")
        if task.state and (task.state in _FAILURES or not is_own):
            reason = f": {task.error.message}" if task.error and task.error.message else ""
            found.append((task.display_name, task.state, reason))
    return found
