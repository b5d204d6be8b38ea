"""An ELF file small enough to write by hand."""

import struct

import edit_elf

SYMBOLS = {"strtol": 2, "__isoc23_strtol": 3, "_ZSt21ios_base_library_initv": 4}
NEEDED = {"libc.so.6": {"GLIBC_2.2.5": 2, "GLIBC_2.38": 3}, "libstdc++.so.6": {"GLIBCXX_3.4.32": 4}}


class TinyElf:
    """An ELF file of just the sections that the repair reads, and what they say."""

    def __init__(self, symbols: dict[str, int], needed: dict[str, dict[str, int]]) -> None:
        strings = b"\0"
        offsets = {}
        for name in [*symbols, *needed, *(version for versions in needed.values() for version in versions)]:
            offsets[name] = len(strings)
            strings += name.encode() + b"\0"
        sections = {
            "": b"",
            ".dynstr": strings,
            ".dynsym": b"".join(struct.pack("<IIQQ", offsets[name], 0, 0, 0) for name in symbols),
            ".gnu.version": struct.pack(f"<{len(symbols)}H", *symbols.values()),
            ".gnu.version_r": self._needed(needed, offsets),
            ".shstrtab": b"\0.dynstr\0.dynsym\0.gnu.version\0.gnu.version_r\0.shstrtab\0",
        }
        header_size, body, table = 64, b"", b""
        for name, content in sections.items():
            name_offset = sections[".shstrtab"].index(name.encode() + b"\0")
            span = struct.pack("<QQ", header_size + len(body), len(content))
            table += struct.pack("<I", name_offset) + bytes(20) + span + bytes(24)
            body += content
        header = bytearray(header_size)
        header[:6] = b"\x7fELF\x02\x01"
        struct.pack_into("<Q", header, 0x28, header_size + len(body))
        struct.pack_into("<HHH", header, 0x3A, 64, len(sections), len(sections) - 1)
        self.data = header + body + table
        self.strings = strings

    @staticmethod
    def _needed(needed: dict[str, dict[str, int]], offsets: dict[str, int]) -> bytes:
        section = b""
        for position, (library, versions) in enumerate(needed.items()):
            is_last = position == len(needed) - 1
            size = 16 * (1 + len(versions))
            section += struct.pack("<HHIII", 1, len(versions), offsets[library], 16, 0 if is_last else size)
            for name, index in versions.items():
                section += struct.pack("<IHHII", 0, 0, index, offsets[name], 16)
        return section

    def name_at(self, offset: int) -> str:
        return self.strings[offset : self.strings.index(b"\0", offset)].decode()

    def bound_symbols(self) -> list[tuple[str, int]]:
        """Each symbol's name and version index, as the loader reads them."""
        sections = edit_elf._sections(self.data)
        names = [
            self.name_at(entry[0]) for entry in struct.iter_unpack("<IIQQ", self._bytes(sections[".dynsym"]))
        ]
        indices = [entry[0] for entry in struct.iter_unpack("<H", self._bytes(sections[".gnu.version"]))]
        return list(zip(names, indices, strict=True))

    def weak_versions(self) -> set[str]:
        sections = edit_elf._sections(self.data)
        weak = set()
        for _, entry in edit_elf._needed_versions(self.data, sections[".gnu.version_r"]):
            flags, _, name = struct.unpack_from("<HHI", self.data, entry + 4)
            if flags & 2:
                weak.add(self.name_at(name))
        return weak

    def _bytes(self, span: range) -> bytes:
        return bytes(self.data[span.start : span.stop])
