"""The command as a module: ``python -m pipeline.cli``."""

from pipeline.cli.main import command

command()
