"""A loader of SavedModels that works as TensorFlow Serving does, with the TensorFlow of unpacked wheels.

    python -m benchmarks.stock_loader WHEELS MODEL REQUESTS

The C library's ``TF_LoadSessionFromSavedModel`` is the function ``LoadSavedModel`` that TensorFlow Serving
calls. So a server refuses the same models with the same messages. The command prints one JSON document,
``{"answers": …}`` or ``{"error": …}``. It is a process of its own, because a process can hold only one
TensorFlow.
"""

from __future__ import annotations

import ctypes
import json
import math
import sys
from pathlib import Path
from typing import Any

from serving.compatibility.stock_ops.wheels import Library

_STRING = 7
_STRING_BYTES = 24
_TYPES: dict[int, Any] = {1: ctypes.c_float, 3: ctypes.c_int32, 9: ctypes.c_int64, 10: ctypes.c_bool}


class _Output(ctypes.Structure):
    """``TF_Output``, one of the tensors that an operation outputs."""

    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


class StockModel:
    """A model that is loaded for serving.

    Args:
        wheels: The folder where tensorflow-cpu and tensorflow-text are unpacked.
        folder: The SavedModel.

    Raises:
        RuntimeError: If the model cannot be loaded; the text is TensorFlow's message.
    """

    def __init__(self, wheels: Path, folder: Path) -> None:
        self._library = Library(wheels)
        self._library.load_text(wheels)
        self._declare()
        functions = self._library.functions
        self._graph = ctypes.c_void_p(functions.TF_NewGraph())
        tags = (ctypes.c_char_p * 1)(b"serve")
        options = ctypes.c_void_p(functions.TF_NewSessionOptions())
        self._session = ctypes.c_void_p(
            functions.TF_LoadSessionFromSavedModel(
                options, None, str(folder).encode(), tags, 1, self._graph, None, self._library.status
            )
        )
        self._library.check()

    def run(self, inputs: dict[str, Any], outputs: dict[str, str]) -> dict[str, Any]:
        """Runs the graph once.

        Args:
            inputs: The ``dtype`` as a number, the ``shape`` and the flat ``values`` of each tensor, by its
                name in the graph.
            outputs: The names of the tensors in the graph, by their names in the answer.

        Returns:
            The ``shape`` and flat ``values`` of each output.
        """
        functions = self._library.functions
        fed = (_Output * len(inputs))(*map(self._output, inputs))
        values = (ctypes.c_void_p * len(inputs))(*(self._tensor(**each) for each in inputs.values()))
        fetched = (_Output * len(outputs))(*map(self._output, outputs.values()))
        results = (ctypes.c_void_p * len(outputs))()
        functions.TF_SessionRun(
            self._session,
            *(None, fed, values, len(inputs), fetched, results, len(outputs)),
            *(None, 0, None, self._library.status),
        )
        self._library.check()
        return {name: self._read(tensor) for name, tensor in zip(outputs, results, strict=True)}

    def _output(self, name: str) -> _Output:
        operation, index = name.split(":")
        return _Output(
            self._library.functions.TF_GraphOperationByName(self._graph, operation.encode()), int(index)
        )

    def _tensor(self, *, dtype: int, shape: list[int], values: list[Any]) -> int:
        functions = self._library.functions
        size = _STRING_BYTES if dtype == _STRING else ctypes.sizeof(_TYPES[dtype])
        dimensions = (ctypes.c_int64 * len(shape))(*shape)
        tensor: int = functions.TF_AllocateTensor(dtype, dimensions, len(shape), size * len(values))
        data = functions.TF_TensorData(tensor)
        if dtype != _STRING:
            ctypes.memmove(data, (_TYPES[dtype] * len(values))(*values), size * len(values))
            return tensor
        for i, text in enumerate(values):
            content = text.encode()
            functions.TF_StringInit(data + i * size)
            functions.TF_StringCopy(data + i * size, content, len(content))
        return tensor

    def _read(self, tensor: int) -> dict[str, Any]:
        functions = self._library.functions
        dtype = functions.TF_TensorType(tensor)
        shape = [functions.TF_Dim(tensor, i) for i in range(functions.TF_NumDims(tensor))]
        data, count = functions.TF_TensorData(tensor), math.prod(shape)
        if dtype != _STRING:
            values = list((_TYPES[dtype] * count).from_address(data)) if count else []
            return {"shape": shape, "values": values}
        texts = range(data or 0, (data or 0) + count * _STRING_BYTES, _STRING_BYTES)
        return {
            "shape": shape,
            "values": [
                ctypes.string_at(
                    functions.TF_StringGetDataPointer(text), functions.TF_StringGetSize(text)
                ).decode()
                for text in texts
            ],
        }

    def _declare(self) -> None:
        pointer, number = ctypes.c_void_p, ctypes.c_int
        outputs, tensors = ctypes.POINTER(_Output), ctypes.POINTER(pointer)
        declare = self._library.declare
        declare("TF_NewGraph", pointer)
        declare("TF_NewSessionOptions", pointer)
        declare(
            "TF_LoadSessionFromSavedModel",
            pointer,
            *(pointer, pointer, ctypes.c_char_p, ctypes.POINTER(ctypes.c_char_p), number),
            *(pointer, pointer, pointer),
        )
        declare("TF_GraphOperationByName", pointer, pointer, ctypes.c_char_p)
        declare(
            "TF_SessionRun",
            None,
            *(pointer, pointer, outputs, tensors, number, outputs, tensors, number),
            *(pointer, number, pointer, pointer),
        )
        declare("TF_AllocateTensor", pointer, number, ctypes.POINTER(ctypes.c_int64), number, ctypes.c_size_t)
        declare("TF_TensorData", pointer, pointer)
        declare("TF_TensorType", number, pointer)
        declare("TF_NumDims", number, pointer)
        declare("TF_Dim", ctypes.c_int64, pointer, number)
        declare("TF_StringInit", None, pointer)
        declare("TF_StringCopy", None, pointer, ctypes.c_char_p, ctypes.c_size_t)
        declare("TF_StringGetDataPointer", pointer, pointer)
        declare("TF_StringGetSize", ctypes.c_size_t, pointer)


def main(wheels: Path, folder: Path, requests: dict[str, Any]) -> dict[str, Any]:
    """Loads the model and sends each request once."""
    try:
        model = StockModel(wheels, folder)
        return {"answers": {name: model.run(**request) for name, request in requests.items()}}
    except RuntimeError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    json.dump(
        main(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text())), sys.stdout
    )
