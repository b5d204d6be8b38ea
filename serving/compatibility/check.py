"""The compatibility check, which compares a SavedModel's nodes with the ops that each stock TF Serving links.

A server refuses a node if it does not know the op, if the op did not take the node's types yet, or if it has
no CPU kernel for them. It ignores an attr that the op did not have yet. The model then gives wrong answers,
so the check counts that as refused too. The check does not need TensorFlow.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from serving.compatibility.saved_model import read_saved_model
from serving.compatibility.stock_ops.table import StockOp, stock_ops

_SERVED_TAG = "serve"


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpUse:
    """One op of a model.

    Attributes:
        op: The op's name.
        count: The number of its nodes.
        source: ``TensorFlow``, ``TF-Text``, or ``unknown``.
        problems: The reason why TF Serving cannot load it, by version.
    """

    op: str
    count: int
    source: str
    problems: Mapping[str, str]

    @property
    def first_version(self) -> str | None:
        """The first version that loads all nodes of the op."""
        return next((v for v in stock_ops().versions if v not in self.problems), None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compatibility:
    """The result of the check.

    Attributes:
        ops: The model's ops, in the order of their names.
        graph_problems: The problem with the model as a whole, by version.
    """

    ops: Sequence[OpUse]
    graph_problems: Mapping[str, str]

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions that can load the model, oldest first."""
        return tuple(version for version in stock_ops().versions if not self.refusals(version))

    def refusals(self, version: str) -> list[str]:
        """The reasons why ``version`` cannot load the model, as sentences; none if it can.

        Raises:
            DataError: If the version is not in the table.
        """
        stock_ops().require_known(version)
        prefix, reasons = f"Stock TF Serving {version} cannot serve the", []
        if version in self.graph_problems:
            reasons.append(f"{prefix} model: {self.graph_problems[version]}.")
        for use in self.ops:
            if version in use.problems:
                since = f"{use.first_version} can" if use.first_version else "no known version can"
                reasons.append(f"{prefix} op {use.op}: {use.problems[version]}; {since}.")
        return reasons

    def verdict(self) -> str:
        """The result in one sentence."""
        known, loading = stock_ops().versions, self.versions
        if not loading:
            return f"No stock TF Serving from {known[0]} to {known[-1]} can load the model."
        if loading == known[known.index(loading[0]) :]:
            return f"The model loads in stock TF Serving {loading[0]} and later (known up to {known[-1]})."
        return f"The model loads in stock TF Serving {', '.join(loading)} only."


def check_compatibility(folder: Path) -> Compatibility:
    """Reads every meta graph of a SavedModel with its functions.

    Raises:
        DataError: If there is no SavedModel in ``folder``, or if it cannot be read.
    """
    saved_model = read_saved_model(folder)
    graphs = [meta_graph.graph_def for meta_graph in saved_model.meta_graphs]
    nodes: defaultdict[str, list[tuple[Any, int]]] = defaultdict(list)
    for graph in graphs:
        functions = {function.signature.name for function in graph.library.function}
        for node in _nodes(graph):
            if node.op not in functions:
                nodes[node.op].append((node, graph.versions.producer))
    tags = {tag for meta_graph in saved_model.meta_graphs for tag in meta_graph.meta_info_def.tags}
    return Compatibility(
        ops=[_use(op, nodes[op]) for op in sorted(nodes)],
        graph_problems=_graph_problems(graphs, is_served=_SERVED_TAG in tags),
    )


def _nodes(graph: Any) -> Iterator[Any]:
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def _graph_problems(graphs: Iterable[Any], *, is_served: bool) -> dict[str, str]:
    table = stock_ops()
    problems: dict[str, str] = {}
    for version in table.versions:
        consumer = table.graph_def_version(version)
        if not is_served:
            problems[version] = f'none of its graphs is tagged "{_SERVED_TAG}"'
        for graph in graphs:
            if consumer < graph.versions.min_consumer or consumer in graph.versions.bad_consumers:
                problems[version] = (
                    f"the graph refuses readers of GraphDef version {consumer}; it asks for "
                    f"{graph.versions.min_consumer}"
                )
    return problems


def _use(op: str, nodes: Sequence[tuple[Any, int]]) -> OpUse:
    table, problems = stock_ops(), {}
    for version in table.versions:
        stock_op = table.find(op, version)
        found = (_problem(node, stock_op, producer) for node, producer in nodes)
        problem = next((each for each in found if each), None)
        if problem:
            problems[version] = problem
    return OpUse(op=op, count=len(nodes), source=table.source(op) or "unknown", problems=problems)


def _problem(node: Any, op: StockOp | None, producer: int) -> str | None:
    """The reason why a server with ``op`` refuses ``node``, written at GraphDef version ``producer``."""
    if op is None:
        return "no such op that runs on a CPU"
    if op.deprecated_at is not None and producer >= op.deprecated_at:
        return f"the op was withdrawn at GraphDef version {op.deprecated_at}"
    attrs = {entry.key: entry.value for entry in node.attr}
    # TensorFlow does not check attrs that start with an underscore.
    unknown = sorted(name for name in attrs if name not in op.attrs and not name.startswith("_"))
    if unknown:
        return f"the attr {unknown[0]} is ignored"
    for name, attr in op.attrs.items():
        if name not in attrs and not attr.has_default:
            return f"its attr {name} is missing"
        if name in attrs and attr.allowed is not None:
            for value in _values(attrs[name]) or []:
                if value not in attr.allowed:
                    return f"{name} cannot be {value}"
    num_inputs, expected = sum(not name.startswith("^") for name in node.input), _num_inputs(attrs, op)
    if expected not in (num_inputs, None):
        return f"{expected} inputs instead of {num_inputs}"
    types = {name: _types(attrs, op, name) for kernel in op.kernels for name in kernel}
    if not any(all(_fits(types[name], allowed) for name, allowed in kernel.items()) for kernel in op.kernels):
        listed = (f"{name}={'/'.join(values)}" for name, values in sorted(types.items()) if values)
        return f"no CPU kernel for {', '.join(listed)}"
    return None


def _values(value: Any) -> list[str] | None:
    """The names of the types, or the texts, of an attr; ``None`` if only a function's caller knows."""
    if value.HasField("placeholder"):
        return None
    if value.HasField("s"):
        return [value.s.decode(errors="replace")]
    types = [value.type] if value.HasField("type") else value.list.type
    return [stock_ops().type_name(number) for number in types] or [
        text.decode(errors="replace") for text in value.list.s
    ]


def _types(attrs: Mapping[str, Any], op: StockOp, name: str) -> list[str] | None:
    if name in attrs:
        return _values(attrs[name])
    default = op.attrs[name].default
    return None if default is None else [default]


def _fits(types: Sequence[str] | None, allowed: frozenset[str]) -> bool:
    return types is None or allowed.issuperset(types)


def _num_inputs(attrs: Mapping[str, Any], op: StockOp) -> int | None:
    """The number of tensors the op takes; ``None`` if only a function's caller knows."""
    total = 0
    for name in op.inputs:
        if name and (name not in attrs or attrs[name].HasField("placeholder")):
            return None
        if not name:
            total += 1
        elif attrs[name].HasField("i"):
            total += attrs[name].i
        else:
            total += len(attrs[name].list.type)
    return total
