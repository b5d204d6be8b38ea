"""Files of a dataset: local, or on any filesystem Beam opens when the path has a scheme."""

from __future__ import annotations

import glob
import io
import os
import re
from pathlib import Path

import pyarrow as pa

from pipeline.errors import DataError


def is_remote(path: str) -> bool:
    """Whether the path has a scheme (``gs://…``) and is opened through Beam."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", path) is not None


def shown(path: str) -> str:
    """The path as a person would type it: relative when it is below the current folder."""
    if is_remote(path):
        return path
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def join(folder: str, path: str) -> str:
    """The path, relative to the folder unless it is absolute or has a scheme."""
    return path if is_remote(path) or path.startswith("/") else f"{folder.rstrip('/')}/{path}"


def read_bytes(path: str) -> bytes:
    """The content of a small file.

    Raises:
        FileNotFoundError: There is none.
    """
    if is_remote(path) and not match_files(path):
        raise FileNotFoundError(path)
    with open_file(path) as stream:
        return bytes(stream.read())


def match_files(path: str) -> list[str]:
    """The files a path or a glob stands for, by name."""
    if is_remote(path):
        # Beam takes seconds to import, and most datasets are local.
        from apache_beam.io.filesystem import BeamIOError
        from apache_beam.io.filesystems import FileSystems

        try:
            (matched,) = FileSystems.match([path])
        except (BeamIOError, ValueError) as error:
            raise DataError(f"{path} must be on a filesystem Beam can open. Got: {error}") from error
        return sorted(found.path for found in matched.metadata_list)
    # A name may itself hold brackets.
    if Path(path).is_file():
        return [path]
    # Path.glob cannot take an absolute pattern.
    return sorted(found for found in glob.glob(path, recursive=True) if Path(found).is_file())


def open_file(path: str) -> pa.NativeFile:
    """The raw bytes of a file, able to seek."""
    if is_remote(path):
        from apache_beam.io.filesystem import CompressionTypes
        from apache_beam.io.filesystems import FileSystems

        return pa.PythonFile(FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED), mode="r")
    return pa.OSFile(path, "rb")


def open_text(path: str) -> pa.NativeFile:
    """The bytes of a plain or gzip file, unpacked."""
    stream = open_file(path)
    return pa.CompressedInputStream(stream, "gzip") if path.endswith(".gz") else stream


def damaged(path: str, error: Exception) -> DataError:
    """The error for a file whose format breaks off or was never right."""
    return DataError(f"{shown(path)} must be whole and what its name says. Got: {str(error).rstrip('.')}.")


def open_lines(path: str) -> io.BufferedReader:
    """The same, with the lines that Python iterates over."""
    return io.BufferedReader(open_text(path))
