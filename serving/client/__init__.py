"""The client of a TF Serving server, without TensorFlow."""

from serving.client.client import Client
from serving.client.results import Result, Results

__all__ = ["Client", "Result", "Results"]
