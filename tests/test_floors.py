"""Each folder imports only from those below it, and no files import each other in a circle."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# The ground floor first.
FLOORS = ("dataset", "models", "serving", "components", "pipeline", "benchmarks")


def _modules() -> dict[str, ast.Module]:
    """Every file of the floors, by the name it is imported by."""
    paths = [path for floor in FLOORS for path in (ROOT / floor).rglob("*.py")]
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): ast.parse(
            path.read_text()
        )
        for path in paths
    }


def _imported(nodes: Iterable[ast.AST], modules: Iterable[str]) -> set[str]:
    """The files that import statements name."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in modules else str(node.module) for name in full}
    return names & set(modules)


@pytest.mark.parametrize("floor", FLOORS)
def test_no_file_imports_from_a_floor_above(floor: str) -> None:
    modules = _modules()
    above = FLOORS[FLOORS.index(floor) + 1 :]

    upwards = {
        (name, imported)
        for name, tree in modules.items()
        if name.split(".")[0] == floor
        for imported in _imported(ast.walk(tree), modules)
        if imported.split(".")[0] in above
    }

    assert upwards == set()


def test_no_files_import_each_other_in_a_circle() -> None:
    modules = _modules()

    graph = {name: _imported(tree.body, modules) for name, tree in modules.items()}

    graphlib.TopologicalSorter(graph).prepare()
