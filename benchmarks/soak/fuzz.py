"""The Predict requests that nobody should send: changed bytes, and wrong tensors of every kind."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from serving.client import messages

_NUMBERS = (-(2**63), -(2**31), -1, 0, 1, 3, 1000, 2**31 - 1, 2**31, 2**40, 2**62, 2**63 - 1)
_DTYPES = (*range(25), 99, 101, 120)
_LONG = 5000
_MOST_BYTES = 4_000_000


def fuzzed_requests(requests: Sequence[Any], seed: int) -> Iterator[bytes]:
    """Yields serialised requests without end: in one half the bytes are changed, in the other the meaning.

    Args:
        requests: Valid requests.
        seed: The same seed gives the same requests.
    """
    rng = random.Random(seed)
    while True:
        request = messages.PredictRequest.FromString(rng.choice(requests).SerializeToString())
        if rng.random() < 0.5:
            yield _with_changed_bytes(request.SerializeToString(), rng)
        else:
            for _ in range(rng.randint(1, 3)):
                rng.choice(_CHANGES)(request, rng)
            yield request.SerializeToString()


def _with_changed_bytes(content: bytes, rng: random.Random) -> bytes:
    kind = rng.randrange(5)
    changed = bytearray(content)
    position = rng.randrange(len(changed))
    if kind == 0:
        for _ in range(rng.randint(1, 20)):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del changed[position:]
    elif kind == 2:
        part = changed[position : position + rng.randint(1, 50)]
        changed[position:position] = part * rng.randint(1, 20)
    elif kind == 3:
        changed[position : position + rng.randint(1, 50)] = rng.randbytes(rng.randint(1, 50))
    else:
        changed = bytearray(rng.randbytes(rng.randint(0, 500)))
    return bytes(changed)


def _tensor(request: Any, rng: random.Random) -> Any:
    names = sorted(request.inputs)
    # An earlier change may have removed the last input.
    return request.inputs[rng.choice(names) if names else "query"]


def _change_dtype(request: Any, rng: random.Random) -> None:
    _tensor(request, rng).dtype = rng.choice(_DTYPES)


def _change_size(request: Any, rng: random.Random) -> None:
    dims = _tensor(request, rng).tensor_shape.dim
    if dims:
        rng.choice(list(dims)).size = rng.choice(_NUMBERS)


def _change_rank(request: Any, rng: random.Random) -> None:
    shape = _tensor(request, rng).tensor_shape
    if rng.random() < 0.5:
        del shape.dim[rng.randint(0, len(shape.dim)) :]
    else:
        for _ in range(rng.choice((1, 2, 300))):
            shape.dim.add(size=rng.choice((0, 1, 1, *_NUMBERS)))


def _forget_rank(request: Any, rng: random.Random) -> None:
    _tensor(request, rng).tensor_shape.unknown_rank = True


def _change_content(request: Any, rng: random.Random) -> None:
    _tensor(request, rng).tensor_content = rng.randbytes(rng.choice((1, 3, 4, 7, 8, 64, 100_000)))


def _change_values(request: Any, rng: random.Random) -> None:
    tensor = _tensor(request, rng)
    if tensor.string_val:
        texts = (b"", b"\xff\xfe\x00", rng.randbytes(30), b"a" * 100_000, "🫖é".encode(), b"=", b"==a=b")
        tensor.string_val[rng.randrange(len(tensor.string_val))] = rng.choice(texts)
    elif tensor.int_val:
        tensor.int_val[0] = rng.choice([number for number in _NUMBERS if -(2**31) <= number < 2**31])
    tensor.float_val.extend(rng.choice(((), (float("nan"), float("inf"), -0.0))))


def _add_values(request: Any, rng: random.Random) -> None:
    tensor = _tensor(request, rng)
    tensor.string_val.extend([b"x"] * _LONG)
    if rng.random() < 0.5 and tensor.tensor_shape.dim:
        tensor.tensor_shape.dim[-1].size = len(tensor.string_val)


def _remove_values(request: Any, rng: random.Random) -> None:
    for field in ("string_val", "int_val", "bool_val"):
        _tensor(request, rng).ClearField(field)


def _add_rows(request: Any, rng: random.Random) -> None:
    times = rng.choice((2, 3, 1001))
    if request.ByteSize() * times > _MOST_BYTES:
        times = 2
    for name in sorted(request.inputs):
        tensor = request.inputs[name]
        for field in ("string_val", "int_val", "bool_val"):
            values = list(getattr(tensor, field))
            getattr(tensor, field).extend(values * (times - 1))
        if tensor.tensor_shape.dim:
            tensor.tensor_shape.dim[0].size = times


def _change_inputs(request: Any, rng: random.Random) -> None:
    name = rng.choice(sorted(request.inputs)) if request.inputs else "query"
    kind = rng.randrange(3)
    if kind == 0:
        del request.inputs[name]
    elif kind == 1:
        request.inputs[rng.choice(("", "x", "k", name * 300))].CopyFrom(request.inputs[name])
    else:
        for i in range(200):
            request.inputs[f"input-{i}"].CopyFrom(request.inputs[name])


def _change_spec(request: Any, rng: random.Random) -> None:
    kind = rng.randrange(5)
    if kind == 0:
        request.ClearField("model_spec")
    elif kind == 1:
        request.model_spec.name = rng.choice(("", "nobody", "tandem/../tandem", "t" * 100_000))
    elif kind == 2:
        request.model_spec.version.value = rng.choice(_NUMBERS)
    elif kind == 3:
        request.model_spec.version_label = rng.choice(("", "stable", "\x00"))
    else:
        request.model_spec.signature_name = rng.choice(
            ("", "search", "recommend", "similar", "rank", "nothing")
        )


def _change_filter(request: Any, rng: random.Random) -> None:
    request.output_filter.extend(rng.choices(("scores", "item_ids", "", "nothing", "s" * 10_000), k=3))


_CHANGES: tuple[Callable[[Any, random.Random], None], ...] = (
    _change_dtype,
    _change_size,
    _change_rank,
    _forget_rank,
    _change_content,
    _change_values,
    _add_values,
    _remove_values,
    _add_rows,
    _change_inputs,
    _change_spec,
    _change_filter,
)
