from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tfx.types import standard_artifacts
from tfx.utils import io_utils, json_utils

from components.example_validator import Executor
from dataset.errors import DataError
from tests.components.in_memory import artifact

TABLE = pd.DataFrame({"room": ["hall", "hall", "attic"], "price": [1.0, 2.0, 3.0]})
SCHEMA = """
feature { name: "room" type: BYTES domain: "rooms" presence { min_fraction: 1 } }
feature { name: "price" type: FLOAT float_domain { max: %g } }
string_domain { name: "rooms" value: "hall" value: "%s" }
"""


@pytest.fixture(scope="module")
def statistics(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("statistics")
    path = folder / "Split-all" / "FeatureStats.pb"
    path.parent.mkdir()
    path.write_bytes(tfdv.generate_statistics_from_dataframe(TABLE, n_jobs=1).SerializeToString())
    return artifact(standard_artifacts.ExampleStatistics, folder, ["all"])


def _validate(statistics: Any, folder: Path, schema: str) -> None:
    io_utils.write_string_file(str(folder / "schema" / "schema.pbtxt"), schema)
    inputs = {
        "statistics": [statistics],
        "schema": [artifact(standard_artifacts.Schema, folder / "schema")],
    }
    outputs = {"anomalies": [artifact(standard_artifacts.ExampleAnomalies, folder / "anomalies")]}
    Executor().Do(inputs, outputs, {"exclude_splits": json_utils.dumps([])})


def test_data_that_agree_with_their_schema_pass(statistics: Any, tmp_path: Path) -> None:
    _validate(statistics, tmp_path, SCHEMA % (3.0, "attic"))


def test_schema_inferred_from_the_data_passes(statistics: Any, tmp_path: Path) -> None:
    found = tfdv.load_stats_binary(str(Path(statistics.uri) / "Split-all" / "FeatureStats.pb"))
    schema: schema_pb2.Schema = tfdv.infer_schema(found, infer_feature_shape=False)

    _validate(statistics, tmp_path, text_format.MessageToString(schema))


def test_every_column_that_breaks_the_schema_is_named_and_written_down(
    statistics: Any, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as error:
        _validate(statistics, tmp_path, SCHEMA % (2.5, "cellar"))

    sentence = str(error.value)
    assert 'column "price"' in sentence
    assert 'column "room"' in sentence
    assert "attic" in sentence
    written = tmp_path / "anomalies" / "Split-all" / "SchemaDiff.pb"
    assert str(tmp_path / "anomalies") in sentence
    anomalies = anomalies_pb2.Anomalies.FromString(written.read_bytes())
    assert sorted(anomalies.anomaly_info) == ["price", "room"]
