"""TableExampleGen: a table of the dataset, as the manifest describes it, becomes tf.Examples."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf import any_pb2, wrappers_pb2
from tfx.components.example_gen.component import FileBasedExampleGen
from tfx.dsl.components.base import executor_spec
from tfx.proto import example_gen_pb2

from components.table_example_gen.driver import Driver
from components.table_example_gen.executor import Executor
from dataset.manifest import Manifest

QUERIES_SPLIT = "queries"


class TableExampleGen(FileBasedExampleGen):
    """TFX's file-based ExampleGen, fingerprints and spans included, over every format the manifest knows.

    The output has one split, ``all``.

    Args:
        manifest: The dataset.
        table: ``items``, ``users``, ``events`` or ``judgments``.
        folder: Where the dataset is when the component runs, which may be a runtime parameter; by default the
            manifest's own folder.
    """

    DRIVER_CLASS = Driver
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(self, manifest: Manifest, *, table: str, folder: Any = None) -> None:
        described = getattr(manifest, table)
        patterns = {f"part_{i}": path for i, path in enumerate(described.path)}
        if table == "judgments" and described.queries:
            # Not rows of their own, but the driver fingerprints the files of every split.
            patterns |= {f"{QUERIES_SPLIT}_{i}": path for i, path in enumerate(described.queries)}
        custom = any_pb2.Any()
        custom.Pack(
            wrappers_pb2.StringValue(value=json.dumps({"table": table, "manifest": manifest.to_json()}))
        )
        super().__init__(
            input_base=folder or manifest.folder,
            input_config=example_gen_pb2.Input(
                splits=[example_gen_pb2.Input.Split(name=n, pattern=p) for n, p in patterns.items()]
            ),
            custom_config=example_gen_pb2.CustomConfig(custom_config=custom),
        )
