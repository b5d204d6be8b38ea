"""The table of the ops of TensorFlow and TF-Text that each stock TF Serving links and can run on a CPU."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dataset.errors import DataError

TABLE = Path(__file__).with_name("ops.json")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attr:
    """An attr of an op.

    Attributes:
        allowed: The names of the types, or the texts, that the attr may hold; ``None`` if it may hold any.
        has_default: Whether a node may leave the attr out.
        default: The type that a missing type attr has.
    """

    allowed: frozenset[str] | None
    has_default: bool
    default: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class StockOp:
    """An op as one version of TF Serving has it.

    Attributes:
        inputs: For each input, the attr with its number of tensors; ``""`` if the input is one tensor.
        attrs: The attrs by name.
        kernels: For each CPU kernel, the types it takes by the name of the attr. One kernel must fit.
        deprecated_at: The GraphDef version from which on the op is refused, if any.
    """

    inputs: tuple[str, ...]
    attrs: Mapping[str, Attr]
    kernels: tuple[Mapping[str, frozenset[str]], ...]
    deprecated_at: int | None


class StockOps:
    """The table of ops.

    Attributes:
        versions: The versions of TF Serving, as ``major.minor``, oldest first.
    """

    def __init__(self, table: Mapping[str, Any]) -> None:
        self.versions: tuple[str, ...] = tuple(table["versions"])
        self._facts = table["versions"]
        self._types = table["types"]
        self._ops: Mapping[str, Sequence[Mapping[str, Any]]] = table["ops"]

    def require_known(self, version: str) -> None:
        """Raises ``DataError`` unless ``version`` is one of the table's."""
        if version not in self.versions:
            known = ", ".join(self.versions)
            raise DataError(f"The version of TF Serving must be one of {known}. Got {version!r}.")

    def graph_def_version(self, version: str) -> int:
        """The newest GraphDef version that ``version`` can read."""
        return int(self._facts[version]["graph_def_version"])

    def type_name(self, number: int) -> str:
        """The name of a ``DataType``."""
        return str(self._types.get(str(number), f"type {number}"))

    def source(self, op: str) -> str | None:
        """``"TensorFlow"`` or ``"TF-Text"``; ``None`` for an op that no version has."""
        return self._ops[op][0].get("from", "TensorFlow") if op in self._ops else None

    def find(self, op: str, version: str) -> StockOp | None:
        """The op as ``version`` has it; ``None`` if it does not have it."""
        known = self.versions[: self.versions.index(version) + 1]
        since = [entry for entry in self._ops.get(op, ()) if entry["since"] in known]
        if not since or "absent" in since[-1]:
            return None
        entry = since[-1]
        attrs = {
            name: Attr(
                allowed=frozenset(attr["allowed"]) if "allowed" in attr else None,
                has_default="default" in attr,
                default=attr.get("default"),
            )
            for name, attr in entry["attrs"].items()
        }
        return StockOp(
            inputs=tuple(entry["inputs"]),
            attrs=attrs,
            kernels=tuple(
                {name: frozenset(types) for name, types in kernel.items()} for kernel in entry["kernels"]
            ),
            deprecated_at=entry.get("deprecated_at"),
        )


@functools.cache
def stock_ops() -> StockOps:
    """The table that ships with the project."""
    return StockOps(json.loads(TABLE.read_text(encoding="utf-8")))
