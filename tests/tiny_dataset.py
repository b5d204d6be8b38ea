"""A tiny dataset of three tables that every test may damage in its own way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

MANIFEST = """
name = "tiny"
[items]
path = "items.csv"
id = "sku"
text = ["title"]
numeric = { price = { min = 0 } }
[users]
path = "users.csv"
id = "user"
categorical = ["country"]
[events]
path = "events.csv"
user = "user"
item = "sku"
time = "at"
kind = "purchase"
[split]
events = { validation = "2024-01-03", test = "2024-01-04" }
"""
ITEMS = "sku,title,price\n001,Red lamp,9.5\n002,Blue lamp,\n003,Old chair,40\n"
USERS = "user,country\nu1,Norway\nu2,Portugal\n"
EVENTS = "user,sku,at\nu1,001,2024-01-01\nu2,002,2024-01-02 10:00\nu1,003,2024-01-03\nu2,001,2024-01-04\n"

Write = Callable[..., Path]


def write_dataset(folder: Path, manifest: str = MANIFEST, **files: str | bytes) -> Path:
    """Writes the dataset, with files replaced by name, and returns its folder."""
    contents: dict[str, str | bytes] = {
        "dataset.toml": manifest,
        "items.csv": ITEMS,
        "users.csv": USERS,
        "events.csv": EVENTS,
    }
    contents |= {name.replace("__", "."): content for name, content in files.items()}
    for name, content in contents.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder
