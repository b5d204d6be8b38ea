"""The repair of the two locked wheels that ask for a newer C library than they use.

ml-metadata 1.21.0 and tensorflow-data-validation 1.21.0 are built on glibc 2.39 and tagged so. Their
extension modules use next to nothing of it (see `edit_elf`), but Debian 12, Ubuntu 22.04 and RHEL 9 lack just
that. The repair edits the modules, lowers the wheel's platform tag to what they then need, and rewrites
RECORD. The result is an ordinary wheel, with the same bytes on every machine.

The module uses only the standard library, because it runs before anything is installed.
"""

import base64
import dataclasses
import hashlib
import os
import platform
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from edit_elf import RepairError, without_newest_versions

BUILT_FOR = (2, 39)
REPAIRED_FOR = (
    2,
    34,
)  # GLIBC_2.34, GLIBCXX_3.4.29 and CXXABI_1.3.13 remain needed: the manylinux_2_34 policy.
BUILT_TAG = "manylinux_2_39_x86_64"
REPAIRED_TAG = "manylinux_2_34_x86_64"


@dataclasses.dataclass(frozen=True, kw_only=True)
class KnownWheel:
    """A wheel the repair was written for.

    Args:
        name: The project's name as the lock spells it.
        built_sha256: The hash of the wheel as published.
        repaired_sha256: The hash of the wheel after the repair.
        edits: The number of version entries and symbols that the repair changes in the extension module.
    """

    name: str
    built_sha256: str
    repaired_sha256: str
    edits: int


KNOWN_WHEELS = {
    "ml_metadata-1.21.0-cp311-cp311": KnownWheel(
        name="ml-metadata",
        built_sha256="ad35b9462ce1971d3ca1bc672c36abf2494a738410fa3ac3519131274ea5ae9b",
        repaired_sha256="5ada5392b34d3f37ed1b30c3cd212a834b734adfb422910d8674d96d61e9ac7c",
        edits=3,
    ),
    "ml_metadata-1.21.0-cp312-cp312": KnownWheel(
        name="ml-metadata",
        built_sha256="e2b691386fe3419c250c48dbba3f8b29649ae00dc1ba448307aa0929fb815140",
        repaired_sha256="c5f24b3205b43b7eda74c3162e1bb660cd197b2e304bbe570449b998a3fce88d",
        edits=3,
    ),
    "tensorflow_data_validation-1.21.0-cp311-cp311": KnownWheel(
        name="tensorflow-data-validation",
        built_sha256="6c148be69ae20c02f58b696efb343c4bb3e923184963f8b793afd0066c8ced9f",
        repaired_sha256="888c6198fe528bfb4e02af21dc210ccbff9cbe4f211509e014f257290252b270",
        edits=6,
    ),
    "tensorflow_data_validation-1.21.0-cp312-cp312": KnownWheel(
        name="tensorflow-data-validation",
        built_sha256="e9bfef0ee8540458e35d9f6e69db2674afc20629ee872d2800ae93eddb8a3127",
        repaired_sha256="f0c5a0a35746b611b2c9af9a0c6d326f5c65c414fe30b06edbec40957522f6fb",
        edits=6,
    ),
}


def c_library_version() -> tuple[int, int]:
    """The version of the running glibc as `(major, minor)`.

    Raises:
        RepairError: If the C library is not glibc.
    """
    name, version = platform.libc_ver()
    if name != "glibc":
        raise RepairError(f"The locked wheels need Linux with glibc. Got {name or platform.system()}.")
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def repair_wheel(source: Path, folder: Path) -> Path:
    """Writes the repaired form of a wheel.

    Args:
        source: The wheel as published.
        folder: The folder for the repaired wheel, which appears there whole or not at all.

    Returns:
        The repaired wheel's path.

    Raises:
        RepairError: If the wheel is not one of `KNOWN_WHEELS`, or if its repair differs from the recorded
            one.
    """
    known = KNOWN_WHEELS.get(source.name.removesuffix(f"-{BUILT_TAG}.whl"))
    digest = sha256(source)
    if known is None or digest != known.built_sha256:
        raise RepairError(
            f"A wheel to repair must be the published one of {', '.join(KNOWN_WHEELS)}."
            f" Got {source.name} with sha256 {digest}; use a system with glibc {dotted(BUILT_FOR)} or newer."
        )
    with zipfile.ZipFile(source) as wheel:
        members = {name: wheel.read(name) for name in wheel.namelist() if not name.endswith("/")}

    edits = 0
    for name, content in members.items():
        if name.endswith(".so"):
            members[name], module_edits = without_newest_versions(content)
            edits += module_edits
        elif name.endswith(".dist-info/WHEEL"):
            members[name] = content.replace(BUILT_TAG.encode(), REPAIRED_TAG.encode())
    if edits != known.edits:
        raise RepairError(f"{source.name} must need {known.edits} edits. Got {edits}.")
    record = next(name for name in members if name.endswith(".dist-info/RECORD"))
    members[record] = _record(members, record)

    folder.mkdir(parents=True, exist_ok=True)
    target = folder / source.name.replace(BUILT_TAG, REPAIRED_TAG)
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")
    # The members have a fixed date and are not compressed, because zlib's versions compress differently.
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as wheel:
        for name, content in members.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = 0o100644 << 16
            wheel.writestr(member, content)
    if (digest := sha256(unfinished)) != known.repaired_sha256:
        unfinished.unlink()
        raise RepairError(f"{target.name} must have sha256 {known.repaired_sha256}. Got {digest}.")
    unfinished.replace(target)
    return target


def _record(members: dict[str, bytes], record: str) -> bytes:
    """The RECORD of a wheel: the path, digest and size of every member except RECORD itself."""
    lines = []
    for name, content in members.items():
        if name != record:
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            lines.append(f"{name},sha256={digest},{len(content)}")
    return "\n".join([*lines, f"{record},,", ""]).encode()


def sha256(path: Path) -> str:
    """The hexadecimal digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def dotted(version: tuple[int, int]) -> str:
    """A version as people write it, such as `2.39`."""
    return ".".join(map(str, version))


def locked_requirement(lock: str, name: str) -> str:
    """The entry of one project in a lock file: its pin and hashes.

    Raises:
        RepairError: If the lock has no such entry.
    """
    entry = re.search(rf"^{re.escape(name)}==.*(?:\n +--hash=.*)*", lock, re.MULTILINE)
    if entry is None:
        raise RepairError(f"The lock must name {name}. Got a lock without it.")
    return entry.group()


def repaired_wheels(lock_path: Path, cache: Path) -> dict[str, Path]:
    """Puts the repaired wheels for this Python into the cache, unless they are there.

    Args:
        lock_path: The lock file, whose hashes the downloads must have.
        cache: The folder of repaired wheels, kept from one set-up to the next.

    Returns:
        The repaired wheel of each project that this machine cannot install as published; empty if the C
        library is new enough.

    Raises:
        RepairError: If the C library is too old even for the repaired wheels, or if a wheel is not the one
            expected.
        subprocess.CalledProcessError: If a download fails.
    """
    version = c_library_version()
    if version >= BUILT_FOR:
        return {}
    if version < REPAIRED_FOR:
        raise RepairError(
            f"The locked wheels need glibc {dotted(REPAIRED_FOR)} or newer. Got {dotted(version)}."
        )
    python_tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    lock = lock_path.read_text(encoding="utf-8")
    wheels = {}
    for stem, known in KNOWN_WHEELS.items():
        if not stem.endswith(python_tag):
            continue
        target = cache / f"{stem}-{REPAIRED_TAG}.whl"
        if not target.exists() or sha256(target) != known.repaired_sha256:
            with tempfile.TemporaryDirectory() as downloads:
                repair_wheel(_download(locked_requirement(lock, known.name), Path(downloads)), cache)
        wheels[known.name] = target
    return wheels


def _download(requirement: str, folder: Path) -> Path:
    """Fetches one pinned wheel, even though its tag says that this machine cannot use it."""
    (folder / "requirement.txt").write_text(requirement, encoding="utf-8")
    command = [sys.executable, "-m", "pip", "--quiet", "download", "--no-deps", "--only-binary=:all:"]
    command += [
        "--require-hashes",
        f"--platform={BUILT_TAG}",
        f"--python-version={dotted(sys.version_info[:2])}",
    ]
    subprocess.run([*command, f"--dest={folder}", f"--requirement={folder / 'requirement.txt'}"], check=True)
    return next(folder.glob("*.whl"))
