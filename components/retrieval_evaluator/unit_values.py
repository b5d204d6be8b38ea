"""Values of our system for each query and each user, by which two evaluations are compared in pairs."""

from __future__ import annotations

import dataclasses
import functools
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.retrieval_evaluator.evaluation import Array

VALUES_FILE = "values.npz"
_UNITS = "units"


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnitValues:
    """What was measured of each unit, which is a query or a user.

    Attributes:
        units: By task, ``[num_units]``: what tells a unit in every evaluation of the same tables. It is the
            text of a query, or the place of a user among the log's users in the order of their ids.
        values: float64 ``[num_units]`` by task and metric, NaN where the metric is not defined.
    """

    units: Mapping[str, Array]
    values: Mapping[tuple[str, str], Array]

    @classmethod
    def mean(cls, parts: Sequence[UnitValues]) -> UnitValues:
        """The mean over several evaluations of the units that all of them measured."""
        units = {
            task: functools.reduce(np.intersect1d, [part.units[task] for part in parts])
            for task in parts[0].units
            if all(task in part.units for part in parts)
        }
        values = {
            (task, metric): np.mean([part._of(units[task], task, metric) for part in parts], axis=0)
            for task, metric in parts[0].values
            if all((task, metric) in part.values for part in parts)
        }
        return cls(units=units, values=values)

    def known(self, task: str, metric: str) -> Array:
        """The values that are defined, float64 ``[n]``; empty if the metric was not measured."""
        values = self.values.get((task, metric), np.zeros(0))
        return values[~np.isnan(values)]

    def paired(self, other: UnitValues, task: str, metric: str) -> tuple[Array, Array]:
        """The values of both for the units that both have one of, each float64 ``[n]``."""
        if (task, metric) not in self.values or (task, metric) not in other.values:
            return np.zeros(0), np.zeros(0)
        shared = np.intersect1d(self.units[task], other.units[task])
        ours, theirs = self._of(shared, task, metric), other._of(shared, task, metric)
        both = ~np.isnan(ours) & ~np.isnan(theirs)
        return ours[both], theirs[both]

    def _of(self, units: Array, task: str, metric: str) -> Array:
        """The values of some of the units, in their order."""
        _, _, places = np.intersect1d(units, self.units[task], return_indices=True)
        return self.values[task, metric][places]

    def to_bytes(self) -> bytes:
        """All of it as a NumPy file without pickles."""
        arrays: dict[str, Any] = {f"{task}/{_UNITS}": units for task, units in self.units.items()}
        arrays |= {f"{task}/{metric}": values for (task, metric), values in self.values.items()}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> UnitValues:
        """Reads what `to_bytes` wrote."""
        units, values = {}, {}
        for name, array in np.load(io.BytesIO(content), allow_pickle=False).items():
            task, _, metric = name.partition("/")
            if metric == _UNITS:
                units[task] = array
            else:
                values[task, metric] = array
        return cls(units=units, values=values)
