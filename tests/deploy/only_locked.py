"""Makes the gateway's application where only the packages of its image can be imported.

``python -m tests.deploy.only_locked NAME...`` with the names of the packages.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


class OnlyInstalled(MetaPathFinder):
    """Hides every installed module that is not of one of these packages."""

    def __init__(self, packages: Sequence[str]) -> None:
        distributions = [importlib.metadata.distribution(name) for name in packages]
        self._files = {
            str(distribution.locate_file(file))
            for distribution in distributions
            for file in distribution.files or ()
        }

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target)
        if spec and spec.origin and "site-packages" in spec.origin and spec.origin not in self._files:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


if __name__ == "__main__":
    sys.meta_path.insert(0, OnlyInstalled(sys.argv[1:]))
    from serving.web.app import create_app
    from serving.web.config import GatewayConfig

    create_app(GatewayConfig())
    print("made", "tensorflow" in sys.modules)
