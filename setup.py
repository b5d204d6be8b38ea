"""Packaging of Tandem; also what a Beam runner ships to its workers."""

from pathlib import Path

from setuptools import find_packages, setup

REQUIREMENTS = Path(__file__).parent / "requirements" / "requirements.in"

PACKAGES = ["dataset", "models", "serving", "components", "pipeline"]


def requirements() -> list[str]:
    lines = (line.partition("#")[0].strip() for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


setup(
    name="tandem-search",
    version="0.1.0",
    description="Search and recommendation as one production pipeline on TFX, Keras and TensorFlow Serving.",
    python_requires=">=3.11,<3.13",
    packages=find_packages(include=[pattern for name in PACKAGES for pattern in (name, f"{name}.*")]),
    package_data={
        "": ["*.html", "*.jinja", "*.css", "*.json", "*.toml", "*.txt", "*.pbtxt", "py.typed"],
        "serving.web": ["static/*"],
    },
    install_requires=requirements(),
    entry_points={"console_scripts": ["tandem = pipeline.cli.main:command"]},
)
