"""The recorder of the ops that each stock TF Serving links, read from the wheels of its libraries.

    python -m serving.compatibility.stock_ops.record

writes ``serving/compatibility/stock_ops/ops.json`` anew. It unpacks one set of wheels at a time, about 1 GB,
into a temporary folder, and takes two minutes.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from tensorflow.core.framework import kernel_def_pb2, op_def_pb2, types_pb2

from serving.compatibility.stock_ops import dump
from serving.compatibility.stock_ops.table import TABLE
from serving.compatibility.stock_ops.wheels import unpacked

# Each version of TF Serving has the TensorFlow it is built of and the TF-Text that its workspace.bzl names.
RELEASES = {
    "2.16": ("2.16.1", "2.12.1"),
    "2.17": ("2.17.0", "2.12.1"),
    "2.18": ("2.18.0", "2.12.1"),
    "2.19": ("2.19.0", "2.12.1"),
    "2.20": ("2.20.0", "2.20.0"),
}
# The wheels of a TF-Text load only into the TensorFlow they were built for.
_TENSORFLOW_OF_TEXT = {"2.12.1": "2.12.1", "2.20.0": "2.20.0"}
_DEVICES = ("CPU", "DEFAULT")
# XLA's own ops are in the wheel's library, but not in the target that TF Serving links for ops.
_NOT_LINKED = ("Xla", "_Xla")

Op = dict[str, Any]
Types = dict[str, list[str]]


def record() -> dict[str, Any]:
    """The table, ready for JSON: for each op with a CPU kernel its forms, each with its first version."""
    texts = {
        text: _registered(f"tensorflow-cpu=={tensorflow}", f"tensorflow-text=={text}")[2]
        for text, tensorflow in _TENSORFLOW_OF_TEXT.items()
    }
    versions: dict[str, Op] = {}
    ops: defaultdict[str, list[Op]] = defaultdict(list)
    for version, (tensorflow, text) in RELEASES.items():
        graph_def_version, core, _ = _registered(f"tensorflow-cpu=={tensorflow}")
        versions[version] = {
            "tensorflow": tensorflow,
            "tensorflow_text": text,
            "graph_def_version": graph_def_version,
        }
        present = core | texts[text]
        for name in present.keys() | ops.keys():
            op = present.get(name, {"absent": True})
            if not ops[name] or {**ops[name][-1], "since": ""} != {**op, "since": ""}:
                ops[name].append({"since": version, **op})
    types = {number: _type_name(number) for number in types_pb2.DataType.values()}
    return {"versions": versions, "types": types, "ops": dict(sorted(ops.items()))}


def _registered(*requirements: str) -> tuple[int, dict[str, Op], dict[str, Op]]:
    """The result of `read_wheels` for published wheels."""
    print(f"Reading {' and '.join(requirements)} …", file=sys.stderr)
    with unpacked(*requirements) as wheels:
        return read_wheels(wheels)


def read_wheels(wheels: Path) -> tuple[int, dict[str, Op], dict[str, Op]]:
    """Reads the ops that the libraries register.

    Args:
        wheels: The folder where tensorflow-cpu or tensorflow, and perhaps tensorflow-text, are unpacked.

    Returns:
        The GraphDef version, the ops of TensorFlow itself, and those that TF-Text adds.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder)
        subprocess.run(
            [sys.executable, "-m", dump.__name__, wheels, output],
            check=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        )
        core = op_def_pb2.OpList.FromString((output / dump.CORE_OPS).read_bytes())
        every = op_def_pb2.OpList.FromString((output / dump.ALL_OPS).read_bytes())
        kernels = _kernels(kernel_def_pb2.KernelList.FromString((output / dump.KERNELS).read_bytes()))
    own = {op.name for op in core.op}
    ops = {
        op.name: _op(op, kernels[op.name])
        for op in every.op
        if op.name in kernels and not op.name.startswith(_NOT_LINKED)
    }
    header = wheels / "tensorflow" / "include" / "tensorflow" / "core" / "public" / "version.h"
    numbers = re.findall(r"#define TF_GRAPH_DEF_VERSION (\d+)", header.read_text(encoding="utf-8"))
    return (
        int(numbers[0]),
        {name: op for name, op in ops.items() if name in own},
        {name: {"from": "TF-Text", **op} for name, op in ops.items() if name not in own},
    )


def _op(op: op_def_pb2.OpDef, kernels: list[Types]) -> Op:
    attrs: dict[str, Op] = {}
    for attr in op.attr:
        attrs[attr.name] = {}
        if attr.HasField("allowed_values"):
            allowed = attr.allowed_values.list
            attrs[attr.name]["allowed"] = _types(allowed.type) or [text.decode() for text in allowed.s]
        if attr.HasField("default_value"):
            default = _type_name(attr.default_value.type) if attr.type == "type" else None
            attrs[attr.name]["default"] = default
    # An input stands for one tensor, or for as many as the attr named here says or lists.
    record: Op = {"inputs": [arg.number_attr or arg.type_list_attr for arg in op.input_arg], "attrs": attrs}
    if op.HasField("deprecation"):
        record["deprecated_at"] = op.deprecation.version
    return record | {"kernels": kernels}


def _kernels(kernels: kernel_def_pb2.KernelList) -> dict[str, list[Types]]:
    """The types that the CPU kernels of each op take, by op."""
    taken: defaultdict[str, list[Types]] = defaultdict(list)
    for kernel in kernels.kernel:
        # A kernel with a label is only used by nodes that ask for it, and those come from graph rewrites.
        if kernel.device_type in _DEVICES and not kernel.label:
            types = {each.name: _types(each.allowed_values.list.type) for each in kernel.constraint}
            taken[kernel.op].append({name: values for name, values in types.items() if values})
    return {op: _joined(each) for op, each in taken.items()}


def _joined(kernels: list[Types]) -> list[Types]:
    """Joins kernels that differ in one attr only, and sorts them."""
    for name in sorted({name for kernel in kernels for name in kernel}):
        groups: defaultdict[str, set[str]] = defaultdict(set)
        for kernel in kernels:
            rest = {key: values for key, values in sorted(kernel.items()) if key != name}
            groups[json.dumps([name in kernel, rest])].update(kernel.get(name, ()))
        kernels = []
        for key, values in sorted(groups.items()):
            is_constrained, rest = json.loads(key)
            kernels.append({**rest, name: sorted(values)} if is_constrained else rest)
    return [json.loads(text) for text in sorted({json.dumps(kernel, sort_keys=True) for kernel in kernels})]


def _types(numbers: list[int]) -> list[str]:
    return sorted(map(_type_name, numbers))


def _type_name(number: int) -> str:
    return types_pb2.DataType.Name(number).removeprefix("DT_").lower()


if __name__ == "__main__":
    table = record()
    lines = [f"{json.dumps(name)}: {json.dumps(op, sort_keys=True)}" for name, op in table["ops"].items()]
    head = "".join(f'"{key}": {json.dumps(table[key])},\n' for key in ("versions", "types"))
    TABLE.write_text("{" + head + '"ops": {\n' + ",\n".join(lines) + "\n}}\n", encoding="utf-8")
