"""The C library of any TensorFlow, unpacked from its wheel and used without its Python package."""

from __future__ import annotations

import contextlib
import ctypes
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path


class Buffer(ctypes.Structure):
    """``TF_Buffer`` of the C library."""

    _fields_ = (("data", ctypes.c_void_p), ("length", ctypes.c_size_t), ("deallocator", ctypes.c_void_p))


@contextlib.contextmanager
def unpacked(*requirements: str) -> Iterator[Path]:
    """Unpacks published wheels into a temporary folder; TensorFlow's takes about 1 GB.

    Args:
        requirements: Pinned packages, such as ``tensorflow-cpu==2.16.1``.

    Raises:
        subprocess.CalledProcessError: If a wheel cannot be fetched.
    """
    with tempfile.TemporaryDirectory() as folder:
        # No Python runs these wheels, so it does not matter which Python they are for.
        install = ["uv", "pip", "install", "--quiet", "--no-deps", "--python-version=3.11"]
        install += ["--only-binary=:all:", f"--target={folder}", *requirements]
        subprocess.run([sys.executable, "-m", *install], check=True)
        yield Path(folder)


class Library:
    """The C library of one TensorFlow. A process can hold only one.

    Args:
        wheels: The folder where tensorflow-cpu, or tensorflow, is unpacked.

    Attributes:
        functions: The functions of the library.
        status: A ``TF_Status`` for the functions that can fail; `check` reads it.
    """

    def __init__(self, wheels: Path) -> None:
        folder = wheels / "tensorflow"
        ctypes.CDLL(str(folder / "libtensorflow_framework.so.2"), mode=ctypes.RTLD_GLOBAL)
        self.functions = ctypes.CDLL(str(folder / "libtensorflow_cc.so.2"), mode=ctypes.RTLD_GLOBAL)
        self.declare("TF_GetCode", ctypes.c_int, ctypes.c_void_p)
        self.declare("TF_Message", ctypes.c_char_p, ctypes.c_void_p)
        self.declare("TF_LoadLibrary", ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
        self.declare("TF_NewStatus", ctypes.c_void_p)
        self.status = ctypes.c_void_p(self.functions.TF_NewStatus())

    def declare(self, name: str, result: type | None, *arguments: type) -> None:
        """Declares the types of a function's arguments and result."""
        function = getattr(self.functions, name)
        function.argtypes, function.restype = arguments, result

    def load_text(self, wheels: Path) -> None:
        """Registers the ops of tensorflow-text if it is unpacked in ``wheels`` too."""
        for path in sorted((wheels / "tensorflow_text").glob("**/_*.so")):
            self.functions.TF_LoadLibrary(str(path).encode(), self.status)
            self.check()

    def check(self) -> None:
        """Raises ``RuntimeError`` with TensorFlow's message if the last function failed."""
        if self.functions.TF_GetCode(self.status):
            raise RuntimeError(self.functions.TF_Message(self.status).decode(errors="replace"))
