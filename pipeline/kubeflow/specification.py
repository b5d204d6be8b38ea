"""The pipeline as a KFP v2 specification, with a second document that only Kubernetes understands."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format
from kfp.compiler import compiler_utils, pipeline_spec_builder
from kfp.dsl import structures
from kfp.dsl.utils import maybe_rename_for_k8s, sanitize_component_name, sanitize_executor_label
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.orchestration.data_types import RuntimeParameter
from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import (
    KubeflowV2DagRunner,
    KubeflowV2DagRunnerConfig,
)

from dataset.errors import DataError
from dataset.files import is_remote
from dataset.manifest import Manifest
from dataset.section import nearest
from pipeline.config import Config, KubeflowConfig, ResourceConfig
from pipeline.pipeline import Locations, create_pipeline

# These are the parameters of a run. The pipeline root is none of them, as Kubeflow has its own place for it.
DATA, MODEL_DESTINATION, TEXT_CACHE = "data", "model_destination", "text_cache"
# These nodes read data that may change while their parameters stay the same. Open-source Kubeflow does not
# run the hook in which TFX would fingerprint the data before it asks the cache.
_NEVER_CACHED = ("ExampleGen.", "PushedModel")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Specification:
    """The content of a file for Kubeflow.

    Attributes:
        pipeline: The pipeline, for any engine that runs KFP.
        platform: The settings that only Kubernetes understands.
    """

    pipeline: Any
    platform: Any

    def write(self, path: str) -> None:
        """Writes YAML as the SDK does, in one or two documents."""
        pipeline_spec_builder.write_pipeline_spec_to_file(
            pipeline_spec=self.pipeline,
            pipeline_description=None,
            platform_spec=self.platform,
            package_path=path,
        )


def build_specification(
    manifest: Manifest, config: Config, *, pipeline_root: str, image: str, schemas: str
) -> Specification:
    """Compiles the pipeline, without a cluster or a cloud.

    Args:
        manifest: The dataset. Its folder is a parameter of the run.
        config: All other settings.
        pipeline_root: The folder for artifacts, unless a run names another.
        image: The trainer's image.
        schemas: The local folder of curated schemas, which become part of the specification.

    Raises:
        DataError: If resources are set for a node that the pipeline does not have.
    """
    root = pipeline_root.rstrip("/")
    parameters = {
        DATA: manifest.folder if is_remote(manifest.folder) else None,
        MODEL_DESTINATION: f"{root}/serving",
        TEXT_CACHE: f"{root}/cache/text",
    }
    pipeline = create_pipeline(
        # Kubeflow allows fewer characters in a name, and a folder of this machine means nothing to it.
        dataclasses.replace(manifest, name=maybe_rename_for_k8s(manifest.name), folder=""),
        config,
        locations=Locations(
            root=root,
            data=RuntimeParameter(name=DATA, ptype=str),
            serving=RuntimeParameter(name=MODEL_DESTINATION, ptype=str),
            cache=RuntimeParameter(name=TEXT_CACHE, ptype=str),
            schemas=schemas,
        ),
        # Open-source Kubeflow runs no resolvers.
        has_metadata=False,
    )
    runner = KubeflowV2DagRunner(KubeflowV2DagRunnerConfig(default_image=image, use_pipeline_spec_2_1=True))
    job = runner.run(pipeline, write_out=False)
    compiled = json_format.ParseDict(job["pipelineSpec"], pipeline_spec_pb2.PipelineSpec())
    compiled.default_pipeline_root = root
    for name, default in parameters.items():
        _set_default(compiled.root.input_definitions.parameters[name], default)
    for task in compiled.root.dag.tasks.values():
        _set_policy(task, config.kubeflow)
    resources = {node.id: config.kubeflow.resources(node.id) for node in pipeline.components}
    for node in config.kubeflow.nodes:
        if node not in resources:
            close = nearest(node, resources)
            raise DataError(f'kubeflow.nodes must name nodes of the pipeline. Got "{node}"; {close}')
    return _named_for_kubernetes(compiled, resources)


def _set_default(parameter: Any, default: str | None) -> None:
    """Writes the default of a parameter, which TFX leaves out."""
    if default is not None:
        parameter.default_value.string_value = default
        parameter.is_optional = True


def _set_policy(task: Any, config: KubeflowConfig) -> None:
    task.caching_options.enable_cache = config.cache and not task.task_info.name.startswith(_NEVER_CACHED)
    policy = structures.RetryPolicy(max_retry_count=config.retries, backoff_duration="60s")
    if config.retries:
        task.retry_policy.CopyFrom(policy.to_proto())


def _named_for_kubernetes(compiled: Any, resources: Mapping[str, ResourceConfig]) -> Specification:
    """Gives everything the SDK's names, because Argo allows no dots, and gives each node its resources."""
    named, platform = pipeline_spec_pb2.PipelineSpec(), pipeline_spec_pb2.PlatformSpec()
    named.CopyFrom(compiled)
    named.root.dag.tasks.clear()
    named.components.clear()
    containers = json_format.MessageToDict(compiled.deployment_spec)["executors"]
    executors: dict[str, Any] = {}
    selectors = platform.platforms["kubernetes"].deployment_spec.executors
    for node, task in compiled.root.dag.tasks.items():
        name = maybe_rename_for_k8s(node)
        component, executor = sanitize_component_name(name), sanitize_executor_label(name)
        task.task_info.name = name
        task.component_ref.name = component
        task.dependent_tasks[:] = [maybe_rename_for_k8s(other) for other in task.dependent_tasks]
        for artifact in task.inputs.artifacts.values():
            output = artifact.task_output_artifact
            output.producer_task = maybe_rename_for_k8s(output.producer_task)
        named.root.dag.tasks[name].CopyFrom(task)
        definition = compiled.components[node]
        executors[executor] = containers[definition.executor_label]
        if wanted := _resources(resources[node]):
            executors[executor]["container"]["resources"] = wanted
        definition.executor_label = executor
        named.components[component].CopyFrom(definition)
        if resources[node].node_selector:
            # kfp-kubernetes, the SDK's extension, writes it in this form.
            selectors[executor].update({"nodeSelector": {"labels": dict(resources[node].node_selector)}})
    named.deployment_spec.update({"executors": executors})
    if not selectors:
        platform.Clear()
    return Specification(pipeline=named, platform=platform)


def _resources(resources: ResourceConfig) -> dict[str, Any]:
    """The resources as equal requests and limits, each in the SDK's old and new form."""
    written: dict[str, Any] = {}
    for kind in ("Limit", "Request"):
        if resources.cpu:
            written |= {f"cpu{kind}": compiler_utils._cpu_to_float(resources.cpu)}
            written |= {f"resourceCpu{kind}": resources.cpu}
        if resources.memory:
            written |= {f"memory{kind}": compiler_utils._memory_to_float(resources.memory)}
            written |= {f"resourceMemory{kind}": resources.memory}
    if resources.accelerator:
        count = str(resources.accelerator_count)
        written["accelerator"] = {
            "type": resources.accelerator,
            "count": count,
            "resourceType": resources.accelerator,
            "resourceCount": count,
        }
    return written
