"""PushedModel: the model that is served now, for orchestrators that cannot look one up in ML Metadata."""

import os

from tfx.types import standard_artifacts
from tfx.utils import io_utils, path_utils
from tfx.v1.dsl.components import OutputArtifact, Parameter, component

from components.pusher import newest_version
from serving.pushed_model import MODEL_NAME


@component
def PushedModel(
    destination: Parameter[str],
    model: OutputArtifact[standard_artifacts.Model],
) -> None:
    """Copies the newest version that was pushed, which both gates have blessed; of none, leaves nothing.

    A copy, because whoever serves the model may remove old versions.

    Args:
        destination: The folder that holds one folder a model, as Pusher was given it.
        model: Where to.
    """
    base = os.path.join(destination, MODEL_NAME)
    if version := newest_version(base):
        io_utils.copy_dir(os.path.join(base, str(version)), path_utils.serving_model_dir(model.uri))
