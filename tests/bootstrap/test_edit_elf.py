import pytest
from edit_elf import RepairError, without_newest_versions

from tests.bootstrap.tiny_elf import NEEDED, SYMBOLS, TinyElf


def test_versions_that_are_missing_become_weak_and_the_others_stay() -> None:
    elf = TinyElf(SYMBOLS, NEEDED)

    elf.data[:], _ = without_newest_versions(bytes(elf.data))

    assert elf.weak_versions() == {"GLIBC_2.38", "GLIBCXX_3.4.32"}


def test_symbol_of_a_missing_version_is_bound_to_its_stand_in() -> None:
    elf = TinyElf(SYMBOLS, NEEDED)

    elf.data[:], edits = without_newest_versions(bytes(elf.data))

    assert elf.bound_symbols() == [("strtol", 2), ("strtol", 2), ("_ZSt21ios_base_library_initv", 4)]
    assert edits == 3


def test_module_that_asks_for_nothing_new_stays_as_it_is() -> None:
    module = bytes(TinyElf({"strtol": 2}, {"libc.so.6": {"GLIBC_2.2.5": 2}}).data)

    assert without_newest_versions(module) == (module, 0)


def test_module_without_the_stand_in_s_version_is_refused() -> None:
    elf = TinyElf(SYMBOLS, {"libc.so.6": {"GLIBC_2.38": 3}})

    with pytest.raises(RepairError, match="__isoc23_strtol must have a stand-in"):
        without_newest_versions(bytes(elf.data))


def test_what_is_not_an_elf_file_is_refused() -> None:
    with pytest.raises(RepairError, match="ELF"):
        without_newest_versions(b"MZ" + bytes(100))
