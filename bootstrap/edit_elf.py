"""The edit that lets an extension module load on an older C library, if it hardly uses the newer one.

A module built on glibc 2.39 with GCC 14 asks the loader for

* ``GLIBCXX_3.4.32`` for ``std::ios_base_library_init()``, which no relocation refers to;
* ``CXXABI_1.3.15`` for ``__cxa_call_terminate``, reached only when the process is about to terminate;
* ``GLIBC_2.38`` for ``__isoc23_strtol`` and its family: ``strtol`` that also reads binary literals.

The loader refuses the module because of the version names alone. So the edit marks each of these versions
weak, as the loader does not insist on a weak one. It binds the symbols of these versions to older stand-ins
in the C library. Entries are changed in place, and nothing moves.
"""

import struct
from collections.abc import Iterator

MISSING_VERSIONS = ("GLIBCXX_3.4.32", "CXXABI_1.3.15", "GLIBC_2.38")
STAND_INS = {
    "__isoc23_strtol": "strtol",
    "__isoc23_strtoul": "strtoul",
    "__isoc23_strtoll": "strtoll",
    "__isoc23_strtoull": "strtoull",
    "__cxa_call_terminate": "abort",
}
STAND_IN_LIBRARY, STAND_IN_VERSION = "libc.so.6", "GLIBC_2.2.5"

VER_FLG_WEAK = 2


class RepairError(Exception):
    """The repair does not know the wheel or the machine; `str()` is one sentence."""


def without_newest_versions(module: bytes) -> tuple[bytes, int]:
    """Removes a little-endian 64-bit ELF module's needs of a glibc after 2.34 and of a GCC after 11.

    Returns:
        The edited module, of the same length, and the number of version entries and symbols that were
        changed.

    Raises:
        RepairError: If a symbol must be replaced and the module cannot reach its stand-in.
    """
    data = bytearray(module)
    sections = _sections(data)
    strings = sections[".dynstr"]

    def text(offset: int) -> str:
        start = strings.start + offset
        return data[start : data.index(b"\0", start)].decode("ascii")

    edits = 0
    stand_in_index = None
    replaced_indices = set()
    for library, entry in _needed_versions(data, sections[".gnu.version_r"]):
        flags, index, name = struct.unpack_from("<HHI", data, entry + 4)
        if text(name) in MISSING_VERSIONS:
            struct.pack_into("<H", data, entry + 4, flags | VER_FLG_WEAK)
            replaced_indices.add(index)
            edits += 1
        elif (text(library), text(name)) == (STAND_IN_LIBRARY, STAND_IN_VERSION):
            stand_in_index = index

    symbols, versions = sections[".dynsym"], sections[".gnu.version"]
    for position in range(len(symbols) // 24):
        symbol, version = symbols.start + 24 * position, versions.start + 2 * position
        (name,) = struct.unpack_from("<I", data, symbol)
        (index,) = struct.unpack_from("<H", data, version)
        if index not in replaced_indices or text(name) not in STAND_INS:
            continue
        stand_in = data.find(STAND_INS[text(name)].encode() + b"\0", strings.start, strings.stop)
        if stand_in < 0 or stand_in_index is None:
            raise RepairError(
                f"{text(name)} must have a stand-in in {STAND_IN_LIBRARY}. Got a module without one."
            )
        struct.pack_into("<I", data, symbol, stand_in - strings.start)
        struct.pack_into("<H", data, version, stand_in_index)
        edits += 1
    return bytes(data), edits


def _sections(data: bytearray) -> dict[str, range]:
    """The byte range of every section of an ELF file, by name."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise RepairError("An extension module must be a little-endian 64-bit ELF file. Got something else.")
    (table,) = struct.unpack_from("<Q", data, 0x28)
    entry_size, count, names_index = struct.unpack_from("<HHH", data, 0x3A)
    headers = []
    for position in range(count):
        (name,) = struct.unpack_from("<I", data, table + entry_size * position)
        offset, size = struct.unpack_from("<QQ", data, table + entry_size * position + 0x18)
        headers.append((name, range(offset, offset + size)))
    names = headers[names_index][1].start
    return {
        data[names + name : data.index(b"\0", names + name)].decode("ascii"): span for name, span in headers
    }


def _needed_versions(data: bytearray, section: range) -> Iterator[tuple[int, int]]:
    """Yields, for each needed version, the offset of its library in `.dynstr` and its own in the file."""
    need = section.start
    while True:
        _, count, library, first, following = struct.unpack_from("<HHIII", data, need)
        entry = need + first
        for _ in range(count):
            yield library, entry
            entry += struct.unpack_from("<I", data, entry + 12)[0]
        if following == 0:
            return
        need += following
