"""Writes down which ops and kernels TensorFlow's C++ library registers, and which TF-Text's add.

    python dump.py WHEELS OUTPUT

Runs in a process of its own and on the libraries alone, without TensorFlow's Python package, which also
registers ops that a server does not have: those of Python functions and of its own tests.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

CORE_OPS = "core_ops.pb"
ALL_OPS = "all_ops.pb"
KERNELS = "kernels.pb"


class _Buffer(ctypes.Structure):
    """``TF_Buffer`` of TensorFlow's C API."""

    _fields_ = (("data", ctypes.c_void_p), ("length", ctypes.c_size_t), ("deallocator", ctypes.c_void_p))


def dump(wheels: Path, output: Path) -> None:
    """Writes two ``OpList``, TensorFlow's own and all, and one ``KernelList``.

    Args:
        wheels: Where tensorflow-cpu and perhaps tensorflow-text are unpacked.
        output: An existing folder.

    Raises:
        OSError: A library cannot be loaded.
    """
    for name in ("libtensorflow_framework.so.2", "libtensorflow_cc.so.2"):
        library = ctypes.CDLL(str(wheels / "tensorflow" / name), mode=ctypes.RTLD_GLOBAL)
    library.TF_NewStatus.restype = ctypes.c_void_p
    library.TF_Message.argtypes = (ctypes.c_void_p,)
    library.TF_Message.restype = ctypes.c_char_p
    library.TF_LoadLibrary.argtypes = (ctypes.c_char_p, ctypes.c_void_p)
    library.TF_LoadLibrary.restype = ctypes.c_void_p
    library.TF_GetAllOpList.restype = ctypes.POINTER(_Buffer)
    library.TF_GetAllRegisteredKernels.argtypes = (ctypes.c_void_p,)
    library.TF_GetAllRegisteredKernels.restype = ctypes.POINTER(_Buffer)
    status = library.TF_NewStatus()

    def write(name: str, buffer: ctypes._Pointer[_Buffer]) -> None:
        (output / name).write_bytes(ctypes.string_at(buffer.contents.data, buffer.contents.length))

    write(CORE_OPS, library.TF_GetAllOpList())
    for path in sorted((wheels / "tensorflow_text").glob("**/_*.so")):
        if not library.TF_LoadLibrary(str(path).encode(), status):
            raise OSError(f"{path} must load into TensorFlow. Got: {library.TF_Message(status).decode()}")
    write(ALL_OPS, library.TF_GetAllOpList())
    write(KERNELS, library.TF_GetAllRegisteredKernels(status))


if __name__ == "__main__":
    dump(Path(sys.argv[1]), Path(sys.argv[2]))
