"""Slices of the bundled samples, and an encoder for them, small enough for a whole run in about a minute."""

from __future__ import annotations

import collections
import csv
import gzip
import hashlib
import io
import itertools
import json
import re
from pathlib import Path

import keras
import keras_hub

SAMPLES = Path(__file__).parents[2] / "samples"
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def write_online_retail(folder: Path, *, items: float = 0.2, customers: float = 0.15) -> None:
    """The events between a share of the items and a share of the customers."""
    source = SAMPLES / "online_retail"
    kept_items = _write_share(source / "items.csv", folder / "items.csv", items)
    kept_users = _write_share(source / "users.csv", folder / "users.csv", customers)
    with gzip.open(source / "transactions.csv.gz", "rt", newline="") as read:
        rows = [
            row
            for row in csv.DictReader(read)
            if row["StockCode"] in kept_items and row["Customer ID"] in kept_users
        ]
    with gzip.open(folder / "transactions.csv.gz", "wt", newline="") as written:
        writer = csv.DictWriter(written, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (folder / "dataset.toml").write_text((source / "dataset.toml").read_text())


def write_shopping_queries(folder: Path, *, num_queries: int = 15, num_judged: int = 15) -> None:
    """The first queries, each with the first products that were judged for it."""
    source = SAMPLES / "shopping_queries"
    queries = (source / "queries.tsv").read_text().splitlines()[: num_queries + 1]
    ids = {line.split("\t")[0] for line in queries[1:]}
    header, *lines = (source / "qrels.tsv").read_text().splitlines()
    judged: dict[str, list[str]] = {query: [] for query in ids}
    for line in lines:
        query = line.split("\t")[0]
        if query in ids and len(judged[query]) < num_judged:
            judged[query].append(line)
    kept = [line for of_query in judged.values() for line in of_query]
    products = {line.split("\t")[1] for line in kept}
    (folder / "queries.tsv").write_text("\n".join(queries) + "\n")
    (folder / "qrels.tsv").write_text("\n".join([header, *kept]) + "\n")
    with gzip.open(source / "products.jsonl.gz", "rt") as read:
        catalogue = [line for line in read if json.loads(line)["asin"] in products]
    with gzip.open(folder / "products.jsonl.gz", "wt") as written:
        written.writelines(catalogue)
    manifest = (source / "dataset.toml").read_text()
    shares = "{ validation = 0.15, test = 0.15 }"
    assert shares in manifest
    (folder / "dataset.toml").write_text(manifest.replace(shares, "{ validation = 0.3, test = 0.3 }"))


def write_every_table(folder: Path, *, num_queries: int = 20) -> None:
    """Purchases of a smaller share, and items judged for the commonest words of their descriptions."""
    write_online_retail(folder, items=0.15, customers=0.1)
    with (folder / "items.csv").open(newline="") as file:
        words = {row["StockCode"]: row["Description"].split() for row in csv.DictReader(file)}
    counts = collections.Counter(itertools.chain.from_iterable(words.values()))
    with (folder / "judgments.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["query", "item", "grade"])
        for query, _ in counts.most_common(num_queries):
            having, lacking = ([i for i in words if (query in words[i]) is it] for it in (True, False))
            writer.writerows([query, item, 1] for item in having[:10])
            writer.writerows([query, item, 0] for item in lacking[:5])
    manifest = (folder / "dataset.toml").read_text()
    judgments = '[judgments]\npath = "judgments.csv"\nquery = "query"\nitem = "item"\ngrade = "grade"\n\n'
    split = "[split]\njudgments = { validation = 0.3, test = 0.3 }\n"
    assert "[split]\n" in manifest
    (folder / "dataset.toml").write_text(manifest.replace("[split]\n", judgments + split))


def write_encoder(folder: Path, dataset: Path) -> str:
    """A BERT of one narrow layer with random weights, whose vocabulary are the words of a dataset."""
    texts = [path.read_text() for path in dataset.glob("*.[ct]sv")]
    texts += [gzip.decompress(path.read_bytes()).decode() for path in dataset.glob("*.jsonl.gz")]
    words = sorted({word for text in texts for word in re.findall(r"[a-z]+|[0-9]", text.lower())})
    keras.utils.set_random_seed(1)
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=len(_SPECIAL) + len(words),
        num_layers=1,
        num_heads=2,
        hidden_dim=32,
        intermediate_dim=64,
        max_sequence_length=64,
    )
    tokenizer = keras_hub.models.BertTokenizer(vocabulary=[*_SPECIAL, *words], lowercase=True)
    for part in (backbone, tokenizer):
        part.save_to_preset(str(folder))
    return str(folder)


def _write_share(source: Path, target: Path, share: float) -> set[str]:
    """Keeps rows by a hash of their id, which is the first column."""
    header, *lines = source.read_text().splitlines(keepends=True)
    kept = [line for line in lines if _position(next(csv.reader(io.StringIO(line)))[0]) < share]
    target.write_text("".join([header, *kept]))
    return {next(csv.reader(io.StringIO(line)))[0] for line in kept}


def _position(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64
