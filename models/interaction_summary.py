"""The summary of the interactions, which InteractionBuilder writes and training and evaluation read."""

from __future__ import annotations

import dataclasses
import json
import os

import numpy as np
import tensorflow as tf

from dataset.findings import Findings

_SUMMARY_FILE, _ITEM_COUNTS_FILE = "summary.json", "item_counts.npy"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """What an artifact of type ``InteractionSummary`` holds.

    Attributes:
        findings: What was counted and found while the events and judgments were joined.
        starts: Unix seconds at which validation and test begin; zeros without events.
        item_counts: int64 ``[num_items]``, training events of each item; empty without events.
    """

    findings: Findings
    starts: tuple[int, int]
    item_counts: np.ndarray

    def save(self, folder: str) -> None:
        """Writes ``summary.json`` and ``item_counts.npy``."""
        written = {"starts": list(self.starts), "findings": self.findings.to_json()}
        with tf.io.gfile.GFile(os.path.join(folder, _SUMMARY_FILE), "w") as file:
            json.dump(written, file)
        with tf.io.gfile.GFile(os.path.join(folder, _ITEM_COUNTS_FILE), "wb") as file:
            np.save(file, self.item_counts)

    @classmethod
    def load(cls, folder: str) -> Summary:
        """Reads what `save` wrote."""
        with tf.io.gfile.GFile(os.path.join(folder, _SUMMARY_FILE)) as file:
            read = json.load(file)
        with tf.io.gfile.GFile(os.path.join(folder, _ITEM_COUNTS_FILE), "rb") as file:
            counts = np.load(file)
        validation, test = read["starts"]
        return cls(
            findings=Findings.from_json(read["findings"]), starts=(validation, test), item_counts=counts
        )
