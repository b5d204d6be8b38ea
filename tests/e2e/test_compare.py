"""Variants side by side, in a copy of the folder of a finished run."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import Run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

UNCHANGED = "unchanged since the last run"
SEED = "train.seed=18"
# A folder with all the files of an encoder, of which one is damaged, as only the node that reads it can tell.
BROKEN = "broken: model.encoder={folder}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compared:
    """A comparison.

    Attributes:
        run: The copied run, with what the comparison printed.
        parts: What was printed of each variant, by its name.
        before: The files of the copied run's pushed model and of its report.
    """

    run: Run
    parts: dict[str, str]
    before: dict[str, bytes]

    @property
    def folder(self) -> Path:
        return self.run.workdir / "compare"

    @property
    def table(self) -> str:
        return (self.folder / "comparison.md").read_text()


def _pushed(run: Run) -> dict[str, bytes]:
    paths = [*run.model_dir.rglob("*"), run.workdir / "report.json"]
    return {str(path): path.read_bytes() for path in paths if path.is_file()}


def _parts(output: str) -> dict[str, str]:
    return dict(re.findall(r"^Variant \d of \d: ([^,\n]+)(.*?)(?=^Variant |^# |\Z)", output, re.M | re.S))


@pytest.fixture(scope="module")
def compared(retail: Run, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """The default, a variant that differs from the Trainer on, and one that fails."""
    folder = tmp_path_factory.mktemp("compared")
    workdir = shutil.copytree(retail.workdir, folder / "run", symlinks=True)
    run = dataclasses.replace(retail, workdir=workdir)
    encoder = shutil.copytree(retail.encoder, folder / "encoder")
    (encoder / "model.weights.h5").write_bytes(b"damaged")
    before = _pushed(run)
    done = run.finish("compare", codes=(1,), variants=(SEED, BROKEN.format(folder=encoder)))
    return Compared(run=done, parts=_parts(done.output), before=before)


def test_variant_runs_from_where_it_differs(compared: Compared) -> None:
    default, seed = (
        dict(re.findall(r"\[ *\d+/\d+\] (\S+) +([^…\n]+?) *\n", compared.parts[name]))
        for name in ("default", SEED)
    )

    assert default.keys() == seed.keys()
    assert UNCHANGED not in default.values()
    assert {node for node, took in seed.items() if took != UNCHANGED} == {
        *("Trainer", "IndexBuilder", "RetrievalEvaluator", "Evaluator", "ModelGate", "ServingValidator")
    }


def test_nothing_is_pushed_and_the_folders_own_model_is_untouched(compared: Compared) -> None:
    assert "Pusher" not in compared.run.output
    assert not list(compared.folder.rglob("serving"))
    assert _pushed(compared.run) == compared.before


def test_table_has_each_variant_and_what_was_measured_of_it(compared: Compared) -> None:
    lines = [line for line in compared.table.splitlines() if line.startswith("| ")]
    cells = {line.split(" | ")[0].strip("| "): line.strip("| ").split(" | ") for line in lines}
    heads = cells["variant"]

    assert list(cells) == ["variant", "---", "default", SEED, "broken"]
    assert re.fullmatch(r"NOVEL nDCG@10, \d+ users", heads[1])
    assert re.fullmatch(r"0\.\d{3}", cells["default"][1])
    assert re.search(r"^0\.\d{3}, \**[+−]0\.\d{3} \[[+−]0\.\d{3}, [+−]0\.\d{3}\]", cells[SEED][1])
    for name in ("default", SEED):
        costs = dict(zip(heads, cells[name], strict=True))
        assert int(costs["trained parameters"].replace(",", "")) > 10_000
        for head in ("servable MB", "search CPU ms", "recommend CPU ms", "search ms", "recommend ms"):
            assert float(costs[head]) > 0, head
    assert cells["broken"][-1] == "failed"
    records = [json.loads(path.read_text()) for path in (compared.folder / "records").glob("*.json")]
    assert {record["configuration"]["train"]["seed"] for record in records} == {17, 18}
    assert all(record["training_min"] > 0 for record in records)
    assert compared.table in compared.run.output


def test_default_is_measured_as_its_own_run_measured_it(compared: Compared) -> None:
    rows = json.loads((compared.run.workdir / "report.json").read_text())["rows"]
    (value,) = [
        row["value"]
        for row in rows
        if (row["system"], row["task"], row["metric"], row["slice"]) == ("tandem", "novel", "ndcg@10", "")
    ]

    assert f"| default | {value:.3f} |" in compared.table


def test_failure_is_told_and_the_others_go_on(compared: Compared) -> None:
    (sentence,) = re.findall(r"^\* (broken failed: .+)$", compared.table, re.M)

    assert str(compared.folder / "run" / "logs") in sentence
    assert "Failed: " in compared.parts["broken"]


def test_second_call_runs_nothing(compared: Compared) -> None:
    again = compared.run.finish("compare", variants=(SEED,))

    assert "Starting TFX" not in again.output
    assert [part.splitlines()[0] for part in _parts(again.output).values()] == [", as it ran before"] * 2
    assert "broken" not in compared.table
    assert f"\n| {SEED} | 0." in compared.table
