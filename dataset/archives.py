"""ZIP archives with one file in them, which is read as if it lay there unpacked."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import zipfile
import zlib
from typing import IO, Any

import pyarrow as pa

from dataset.errors import DataError

# How a ZIP archive begins that has a file in it.
MAGIC = b"PK\x03\x04"
_UNPACK = "unpack it, and name what is in it"
_ENCRYPTED = 0x1
# Arrow's files refuse a position before their beginning with a ValueError.
_NO_ARCHIVE = (zipfile.BadZipFile, OSError, ValueError)
# An Excel workbook is an archive that has this file (ECMA-376, part 2).
_WORKBOOK_FILE = "[Content_Types].xml"


def is_workbook(stream: Any) -> bool:
    """Whether an archive is an Excel workbook."""
    try:
        with zipfile.ZipFile(stream) as archive:
            return _WORKBOOK_FILE in archive.namelist()
    except _NO_ARCHIVE:
        return False


def packed_name(stream: Any, shown: str) -> str:
    """The name of the one file in an archive.

    Args:
        stream: The bytes of the archive, able to seek.
        shown: The archive as a sentence names it.

    Raises:
        DataError: It is damaged, or has no file or several in it.
    """
    return _sole_file(_archive(stream, shown), shown).filename


def open_packed(stream: Any, shown: str) -> PackedFile:
    """The one file in an archive, which is unpacked as it is read; parameters are as of `packed_name`.

    Raises:
        DataError: The archive is damaged or encrypted, or has no file or several in it.
    """
    archive = _archive(stream, shown)
    found = _sole_file(archive, shown)
    if found.flag_bits & _ENCRYPTED:
        raise DataError(f"{shown} must have no password. Got an encrypted {found.filename}; {_UNPACK}.")
    try:
        return PackedFile(archive.open(found), stream)
    # So does the standard library say that it does not know the way of packing.
    except (NotImplementedError, zipfile.BadZipFile) as error:
        raise DataError(f"{shown} must be packed as ZIP usually is. Got: {error}; {_UNPACK}.") from None


def unpacked(packed: PackedFile) -> pa.NativeFile:
    """The whole file in a temporary one, for readers that jump to and fro.

    Raises:
        OSError: The archive is damaged.
    """
    with contextlib.closing(packed), tempfile.NamedTemporaryFile() as copy:
        shutil.copyfileobj(packed, copy)
        copy.flush()
        # The file has no name any more when this returns, and is gone once it is closed.
        return pa.OSFile(copy.name, "rb")


class PackedFile:
    """A file in an archive, whose damages are errors of the operating system as those of other files are.

    Args:
        file: The file.
        archive: The archive, which is closed with it.
    """

    def __init__(self, file: IO[bytes], archive: Any) -> None:
        self._file, self._archive = file, archive

    def read(self, size: int = -1) -> bytes:
        try:
            return self._file.read(size)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise OSError(str(error) or "the archive breaks off") from None

    def seek(self, position: int, whence: int = 0) -> int:
        return self._file.seek(position, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        self._archive.close()

    @property
    def closed(self) -> bool:
        return self._file.closed


def _archive(stream: Any, shown: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(stream)
    except _NO_ARCHIVE:
        raise DataError(
            f"{shown} must be a whole ZIP archive with one file in it. Got one that breaks off, or is empty."
        ) from None


def _sole_file(archive: zipfile.ZipFile, shown: str) -> zipfile.ZipInfo:
    """The file that is left when what systems add, and what is empty, is passed over as in a folder."""
    found = [
        info
        for info in archive.infolist()
        if info.file_size and not any(part.startswith((".", "_")) for part in info.filename.split("/"))
    ]
    if len(found) == 1:
        return found[0]
    names = ", ".join(info.filename for info in found[:5]) + (", …" if len(found) > 5 else "")
    raise DataError(f"{shown} must have one file in it. Got {names or 'none with content'}; {_UNPACK}.")
