"""CuratedSchema: the dataset's own schema of a table."""

import os

from tfx.types import standard_artifacts
from tfx.utils import io_utils
from tfx.v1.dsl.components import OutputArtifact, Parameter, component


@component
def CuratedSchema(
    text: Parameter[str],
    schema: OutputArtifact[standard_artifacts.Schema],
) -> None:
    """Writes a schema down.

    TFX's ImportSchemaGen takes a path, which a container need not see and whose content the cache overlooks.

    Args:
        text: The schema as text.
        schema: Where to.
    """
    io_utils.write_string_file(os.path.join(schema.uri, "schema.pbtxt"), text)
