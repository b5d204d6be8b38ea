"""The one error a person can cause."""

from __future__ import annotations


class DataError(ValueError):
    """A mistake in the person's data, manifest, configuration or environment.

    Its text is one sentence for that person: what must hold, what was found, and the way out if it is known.
    The command line prints the sentence and exits with code 2.
    """
