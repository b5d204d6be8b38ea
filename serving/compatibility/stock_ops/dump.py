"""The dump of the ops and kernels that TensorFlow's C++ library registers, and of those that TF-Text adds.

    python -m serving.compatibility.stock_ops.dump WHEELS OUTPUT

It runs in a process of its own, because a process can hold only one TensorFlow. It does not import
TensorFlow's Python package, which registers ops that a server does not have: those of Python functions and of
its own tests.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any

from serving.compatibility.stock_ops.wheels import Buffer, Library

CORE_OPS = "core_ops.pb"
ALL_OPS = "all_ops.pb"
KERNELS = "kernels.pb"


def dump(wheels: Path, output: Path) -> None:
    """Writes an ``OpList`` of TensorFlow's own ops, an ``OpList`` of all ops, and one ``KernelList``.

    Args:
        wheels: The folder where tensorflow-cpu, and perhaps tensorflow-text, are unpacked.
        output: An existing folder.
    """
    library = Library(wheels)
    library.declare("TF_GetAllOpList", ctypes.POINTER(Buffer))
    library.declare("TF_GetAllRegisteredKernels", ctypes.POINTER(Buffer), ctypes.c_void_p)

    def write(name: str, buffer: Any) -> None:
        (output / name).write_bytes(ctypes.string_at(buffer.contents.data, buffer.contents.length))

    write(CORE_OPS, library.functions.TF_GetAllOpList())
    library.load_text(wheels)
    write(ALL_OPS, library.functions.TF_GetAllOpList())
    write(KERNELS, library.functions.TF_GetAllRegisteredKernels(library.status))


if __name__ == "__main__":
    dump(Path(sys.argv[1]), Path(sys.argv[2]))
