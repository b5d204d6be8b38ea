"""Files of a dataset: local, or on any filesystem Beam opens when the path has a scheme."""

from __future__ import annotations

import glob
import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from dataset import archives
from dataset.errors import DataError

OnBytes = Callable[[int], None]
OnLines = Callable[[str, int], None]

# How gzip begins (RFC 1952).
_GZIP = b"\x1f\x8b"
# How files begin that are no text, or no UTF-8, and what to do about it.
_FOREIGN = {
    b"\xd0\xcf\x11\xe0": ("an Excel workbook", "save its sheet as CSV UTF-8"),
    b"PAR1": ("Parquet", 'name it .parquet, or write format = "parquet" in the manifest'),
    b"BZh": ("a bzip2 file", "unpack it, or pack it with gzip"),
    b"\x28\xb5\x2f\xfd": ("a Zstandard file", "unpack it, or pack it with gzip"),
    b"\xfd7zXZ": ("an xz file", "unpack it, or pack it with gzip"),
    b"7z\xbc\xaf": ("a 7z archive", "unpack it"),
    b"\xff\xfe": ("UTF-16", "save it as UTF-8"),
    b"\xfe\xff": ("UTF-16", "save it as UTF-8"),
}
_NUM_FIRST = max(map(len, _FOREIGN))


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
    with _counted(_stream(path), None) as stream:
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


def part_files(folder: str) -> list[str]:
    """The files of a folder that is one table, as Spark, Hive and BigQuery write it.

    They pass over what begins with a dot or an underscore, and parts without content.
    """
    if is_remote(folder):
        found = match_files(f"{folder.rstrip('/')}/*")
    else:
        found = [
            str(path) for path in sorted(Path(folder).rglob("*")) if path.is_file() and num_bytes(str(path))
        ]
    parts = [(path, path.removeprefix(folder).strip("/").split("/")) for path in found]
    return [path for path, names in parts if not any(name.startswith((".", "_")) for name in names)]


def open_file(path: str, on_bytes: OnBytes | None = None) -> pa.NativeFile:
    """The bytes of a file, able to seek; a file in a ZIP archive is unpacked.

    Args:
        path: The file.
        on_bytes: Told the number of bytes of each read, as they are in the file.

    Raises:
        DataError: An archive is damaged, or has no file or several in it.
    """
    raw = _stream(path)
    first = _first_bytes(raw)
    stream = _counted(raw, on_bytes)
    if not first.startswith(archives.MAGIC) or archives.is_workbook(stream):
        stream.seek(0)
        return stream
    try:
        return archives.unpacked(archives.open_packed(stream, shown(path)))
    except OSError as error:
        raise damaged(path, error) from None


def packed_name(path: str) -> str:
    """The name of the one file in a ZIP archive.

    Raises:
        DataError: It is damaged, or has no file or several in it.
    """
    with _counted(_stream(path), None) as stream:
        return archives.packed_name(stream, shown(path))


def _stream(path: str) -> Any:
    if is_remote(path):
        from apache_beam.io.filesystem import CompressionTypes
        from apache_beam.io.filesystems import FileSystems

        return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    return pa.OSFile(path, "rb")


def _counted(stream: Any, on_bytes: OnBytes | None) -> pa.NativeFile:
    if on_bytes is not None:
        stream = _Counted(stream, on_bytes)
    return stream if isinstance(stream, pa.NativeFile) else pa.PythonFile(stream, mode="r")


def num_bytes(path: str) -> int:
    """The size of a file; 0 where it cannot be known cheaply."""
    return 0 if is_remote(path) else Path(path).stat().st_size


def open_text(path: str, on_bytes: OnBytes | None = None) -> pa.NativeFile:
    """The bytes of a plain or packed file, unpacked; first bytes or a name say that it is gzip, or ZIP.

    Raises:
        DataError: Its first bytes say that it is something else, or a ZIP archive has no file or several.
    """
    raw = _stream(path)
    first = _first_bytes(raw)
    stream = _counted(raw, on_bytes)
    if first.startswith(archives.MAGIC):
        if archives.is_workbook(stream):
            raise _foreign(path, "an Excel workbook", "name it .xlsx, or save its sheet as CSV UTF-8")
        stream = pa.PythonFile(archives.open_packed(stream, shown(path)), mode="r")
        first = _first_bytes(stream)
    for magic, (kind, way_out) in _FOREIGN.items():
        if first.startswith(magic):
            raise _foreign(path, kind, way_out)
    is_gzip = first.startswith(_GZIP) or path.lower().endswith(".gz")
    return pa.CompressedInputStream(stream, "gzip") if is_gzip else stream


def _first_bytes(stream: Any) -> bytes:
    first = bytes(stream.read(_NUM_FIRST))
    stream.seek(0)
    return first


def _foreign(path: str, kind: str, way_out: str) -> DataError:
    return DataError(f"{shown(path)} must be text in UTF-8. Got {kind}; {way_out}.")


def damaged(path: str, error: Exception) -> DataError:
    """The error for a file whose format breaks off or was never right."""
    return DataError(f"{shown(path)} must be whole and what its name says. Got: {str(error).rstrip('.')}.")


def open_lines(path: str, on_bytes: OnBytes | None = None) -> io.BufferedReader:
    """The same, with the lines that Python iterates over."""
    return io.BufferedReader(open_text(path, on_bytes))


class _Counted:
    """A file that tells how much of it is read."""

    def __init__(self, stream: Any, on_bytes: OnBytes) -> None:
        self._stream, self._on_bytes = stream, on_bytes

    def read(self, size: int = -1) -> bytes:
        content = bytes(self._stream.read(size))
        self._on_bytes(len(content))
        return content

    # Named one by one: Arrow would prefer the stream's own `read_buffer`, which nobody counts.
    def seek(self, position: int, whence: int = 0) -> int:
        return int(self._stream.seek(position, whence))

    def tell(self) -> int:
        return int(self._stream.tell())

    def close(self) -> None:
        self._stream.close()

    @property
    def closed(self) -> bool:
        return bool(self._stream.closed)
