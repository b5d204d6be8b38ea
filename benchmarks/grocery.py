"""A made log of a grocer: few households, long histories, many repeats; the same for one seed and size.

There are 2,400 households for every million events, as in the public logs of grocers. A household comes
about every thirteen days for two years. Most of a basket are its staples, each with a rhythm of its own. The
rest is new to it, of aisles that it likes, and of what is in fashion.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dataset.manifest import Manifest, load_manifest

_DAYS, _DAY_S = 720, 86_400
_START = 1_640_995_200
_EVENTS_OF_HOUSEHOLD, _BASKET, _STAPLES = 417, 7.5, 40
_NEW_SHARE = 0.3
# A staple's mean rhythm beyond one visit, in visits.
_RHYTHM = 9.0
_AISLES, _AISLES_OF_HOUSEHOLD = 60, 12
# An item is in fashion for about so long.
_FASHION_DAYS = 40.0
_SORTS = ("Fresh", "Organic", "Frozen", "Dried", "Smoked", "Sliced", "Whole", "Light", "Family", "Mini")
_KINDS = (
    "Apples", "Bread", "Butter", "Carrots", "Cheese", "Chicken", "Coffee", "Cookies", "Cream",
    "Fish", "Flour", "Grapes", "Ham", "Honey", "Jam", "Juice", "Lentils", "Milk",
    "Mushrooms", "Mustard", "Nuts", "Oats", "Olives", "Onions", "Pasta", "Peas", "Pizza",
    "Potatoes", "Rice", "Salad", "Sausages", "Soap", "Soup", "Spinach", "Sugar", "Tea",
    "Tomatoes", "Tuna", "Yoghurt",
)  # fmt: skip
_MANIFEST = """\
# A made log; see benchmarks/grocery.py.
name = "{name}"

[items]
path = "items.parquet"
id = "item"
text = ["title"]
categorical = ["aisle"]

[events]
path = "events.parquet"
user = "household"
item = "item"
time = "time"
kind = "purchase"

[split]
events = {{ validation = "2023-10-12", test = "2023-11-16" }}
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Log:
    """Purchases, in no order.

    Attributes:
        households: int64 ``[n]``.
        items: int64 ``[n]``.
        times: int64 ``[n]``, epoch seconds; those of one basket are equal.
    """

    households: np.ndarray
    items: np.ndarray
    times: np.ndarray


def make_log(num_events: int, *, num_items: int, seed: int = 0) -> Log:
    """Draws about `num_events` purchases."""
    rng = np.random.default_rng(seed)
    aisles = rng.integers(0, _AISLES, num_items)
    popularity = rng.permutation(1.0 / (1.0 + np.arange(num_items)) ** 0.7)
    peaks = rng.uniform(0, _DAYS, num_items)
    by_aisle = [np.flatnonzero(aisles == aisle) for aisle in range(_AISLES)]
    parts = [
        _household(rng, by_aisle, popularity, peaks)
        for _ in range(max(round(num_events / _EVENTS_OF_HOUSEHOLD), 1))
    ]
    return Log(
        households=np.repeat(np.arange(len(parts)), [len(items) for items, _ in parts]),
        items=np.concatenate([items for items, _ in parts]),
        times=np.concatenate([times for _, times in parts]),
    )


def _household(
    rng: np.random.Generator, by_aisle: list[np.ndarray], popularity: np.ndarray, peaks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The items and times of one household."""
    liked = rng.choice(_AISLES, _AISLES_OF_HOUSEHOLD, replace=False)
    items = np.concatenate([by_aisle[aisle] for aisle in liked])
    taste = popularity[items] * rng.exponential(1.0, len(items))
    staples = rng.choice(items, min(_STAPLES, len(items)), replace=False, p=taste / taste.sum())
    gap = rng.uniform(9, 17)
    days = np.cumsum(rng.exponential(gap, int(3 * _DAYS / gap)))
    days = days[days < _DAYS]
    # A staple is due once in its rhythm, and is bought when the household comes next.
    rhythms = gap * (1.0 + rng.gamma(2.0, _RHYTHM / 2.0, len(staples)))
    due = np.floor(days[:, None] / rhythms)
    is_bought = np.diff(due, axis=0, prepend=-1.0) > 0
    baskets, places = np.nonzero(is_bought)
    sizes = rng.poisson(_NEW_SHARE * _BASKET, len(days))
    new_baskets = np.repeat(np.arange(len(days)), sizes)
    # New things by taste and fashion, from the fashion of a month.
    new_items = np.zeros(len(new_baskets), np.int64)
    months = (days[new_baskets] // 30).astype(int)
    for month in np.unique(months):
        fashion = np.exp(-np.abs(peaks[items] - 30 * month - 15) / _FASHION_DAYS)
        weights = taste * (0.1 + fashion)
        here = months == month
        new_items[here] = rng.choice(items, int(here.sum()), p=weights / weights.sum())
    bought = np.concatenate([staples[places], new_items])
    moments = days[np.concatenate([baskets, new_baskets])]
    return bought, _START + (moments * _DAY_S).astype(np.int64)


def write_grocer(folder: Path, num_events: int, *, num_items: int = 5_000, seed: int = 0) -> Manifest:
    """Writes the data set, if it is not there already, and returns its manifest."""
    manifest = folder / "dataset.toml"
    if not manifest.exists():
        folder.mkdir(parents=True, exist_ok=True)
        log = make_log(num_events, num_items=num_items, seed=seed)
        rng = np.random.default_rng(seed)
        aisles = rng.integers(0, _AISLES, num_items)
        titles = [
            f"{_SORTS[n % len(_SORTS)]} {_KINDS[aisles[n] % len(_KINDS)]} No. {n // 10}"
            for n in range(num_items)
        ]
        items = {
            "item": [f"i{n:05d}" for n in range(num_items)],
            "title": titles,
            "aisle": [f"aisle {aisle}" for aisle in aisles],
        }
        pq.write_table(pa.table(items), folder / "items.parquet")
        names = np.array(items["item"], object)
        events = {
            "household": np.char.add("h", log.households.astype(str)),
            "item": names[log.items],
            "time": log.times,
        }
        pq.write_table(pa.table(events), folder / "events.parquet")
        manifest.write_text(_MANIFEST.format(name=folder.name))
    return load_manifest(manifest)
