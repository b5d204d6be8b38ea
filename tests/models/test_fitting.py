"""The step on one device; `test_distributed.py` has it on several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.config import TrainConfig
from models.fitting import Adam, fit, gradients_of, make_step
from models.item_table import ItemTable
from models.matrices import item_matrix
from models.two_tower import TwoTower
from tests import tiny
from tests.models.distributed import configured

ONE_DEVICE = tf.distribute.get_strategy()
NO_DROPOUT = {"item_dropout": 0.0, "history_dropout": 0.0, "user_dropout": 0.0}


def make_model(items: ItemTable, *, trainable: str = "frozen", **train: Any) -> tuple[TwoTower, TrainConfig]:
    config = configured(trainable=trainable, batch_size=8, **train)
    model = tiny.make_two_tower(items, config)
    tiny.randomise(model, scale=0.05)
    return model, config.train


def make_optimizer(model: Any, **settings: Any) -> Adam:
    optimizer = Adam(1e-2, **settings)
    optimizer.build(model.trainable_variables)
    return optimizer


def dense(gradients: list[Any]) -> list[np.ndarray]:
    return [tf.convert_to_tensor(gradient).numpy() for gradient in gradients if gradient is not None]


class Pointwise(keras.Model):
    """A loss in which examples do not meet."""

    def __init__(self) -> None:
        super().__init__()
        self.logit = keras.layers.Dense(1)
        self.logit.build((None, 3))

    def weighted(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return inputs | {"weight": inputs["weight"] / tf.reduce_mean(inputs["weight"])}

    def mean_loss(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        return tf.reduce_mean(inputs["weight"] * tf.square(self.logit(inputs["x"])[:, 0] - inputs["y"]))

    def layers_in_16_bits(self) -> list[keras.layers.Layer]:
        return [self.logit]


def pointwise_inputs() -> dict[str, tf.Tensor]:
    rng = np.random.default_rng(0)
    values = {"x": rng.uniform(size=(8, 3)), "y": rng.uniform(size=8), "weight": rng.uniform(size=8)}
    return {name: tf.constant(value, tf.float32) for name, value in values.items()}


def test_parts_of_a_pointwise_loss_have_the_gradients_of_the_whole() -> None:
    model, inputs = Pointwise(), pointwise_inputs()
    whole_loss, whole = gradients_of(model, inputs, 1)

    for num_parts in (2, 4, 8):
        loss, gradients = gradients_of(model, inputs, num_parts)
        np.testing.assert_allclose(loss, whole_loss, rtol=1e-5)
        for gradient, expected in zip(dense(gradients), dense(whole), strict=True):
            np.testing.assert_allclose(gradient, expected, rtol=1e-5)


def test_parts_of_the_softmax_have_the_mean_of_their_gradients(items: ItemTable) -> None:
    model, _ = make_model(items, trainable="full", uniform_negatives=0, **NO_DROPOUT)
    inputs = model.weighted(tiny.make_inputs(8))
    parts = []
    for start in (0, 4):
        with tf.GradientTape() as tape:
            loss = model.mean_loss({name: values[start : start + 4] for name, values in inputs.items()})
        parts.append((float(loss), dense(tape.gradient(loss, model.trainable_variables))))

    loss, gradients = gradients_of(model, inputs, 2)

    np.testing.assert_allclose(loss, (parts[0][0] + parts[1][0]) / 2, rtol=1e-5)
    for gradient, first, second in zip(dense(gradients), parts[0][1], parts[1][1], strict=True):
        np.testing.assert_allclose(gradient, (first + second) / 2, atol=1e-6)
    # The negatives are those of the part, so this is not the gradient of the whole.
    assert abs(float(loss) - float(gradients_of(model, inputs, 1)[0])) > 0.1


def test_gradients_are_clipped_by_their_norm_over_all_parts() -> None:
    model = Pointwise()
    inputs = pointwise_inputs()
    norm = np.sqrt(sum((gradient**2).sum() for gradient in dense(gradients_of(model, inputs, 1)[1])))
    optimizer = make_optimizer(model, global_clipnorm=norm / 2)
    make_step(model, ONE_DEVICE, optimizer, TrainConfig(accumulation_steps=4))(inputs)

    # The first momentum is a tenth of the gradient.
    momentum = np.sqrt(sum((momentum.numpy() ** 2).sum() for momentum in optimizer._momentums))
    assert 10 * momentum == pytest.approx(norm / 2, rel=1e-4)


def nodes_of(step: Callable[..., Any], inputs: dict[str, tf.Tensor]) -> list[Any]:
    """All operations of a traced step, those of functions it calls included."""
    graph = step.get_concrete_function(inputs).graph.as_graph_def()  # type: ignore[attr-defined]
    return [*graph.node, *(node for function in graph.library.function for node in function.node_def)]


def outputs_of(step: Callable[..., Any], inputs: dict[str, tf.Tensor], op: str) -> set[Any]:
    """The data types of what the operations of one type in a traced step give."""
    return {tf.as_dtype(node.attr["T"].type) for node in nodes_of(step, inputs) if node.op == op}


@pytest.mark.slow
def test_step_is_fit_for_an_accelerator(items: ItemTable) -> None:
    # Nothing is drawn at random: XLA draws other numbers.
    model, train = make_model(items, trainable="lora", uniform_negatives=0, **NO_DROPOUT)
    twin, _ = make_model(items, trainable="lora", uniform_negatives=0, **NO_DROPOUT)
    step = make_step(model, ONE_DEVICE, make_optimizer(model), train)
    inputs = tiny.make_inputs(8)
    nodes = nodes_of(step, inputs)

    types = {
        value.type for node in nodes for value in node.attr.values() if value.WhichOneof("value") == "type"
    }
    assert tf.string.as_datatype_enum not in types
    assert not [node.name for node in nodes if "Table" in node.op]
    # XLA compiles nothing that it has no kernel for, or whose shape is not known beforehand.
    compiled = tf.function(
        make_step(twin, ONE_DEVICE, make_optimizer(twin), train).python_function,  # type: ignore[attr-defined]
        jit_compile=True,
        autograph=False,
    )
    np.testing.assert_allclose(compiled(inputs), step(inputs), rtol=1e-4)


@pytest.mark.slow
def test_mixed_precision_keeps_the_loss_and_what_is_served_in_32_bits(items: ItemTable) -> None:
    settings: dict[str, Any] = {"trainable": "lora", **NO_DROPOUT}
    whole, _ = make_model(items, **settings)
    mixed, train = make_model(items, precision="mixed_bfloat16", **settings)
    inputs = tiny.make_inputs(8)
    step = make_step(mixed, ONE_DEVICE, make_optimizer(mixed), train)
    losses = [float(step(inputs)), float(whole.mean_loss(whole.weighted(inputs)))]

    assert tf.bfloat16 in outputs_of(step, inputs, "MatMul")
    assert outputs_of(step, inputs, "MatrixDiagPartV3") == {tf.float32}
    assert losses[0] == pytest.approx(losses[1], rel=2e-2)
    assert losses[0] != losses[1]
    assert {variable.dtype for variable in mixed.trainable_variables} == {"float32"}
    for variable, value in zip(whole.weights, mixed.weights, strict=True):
        variable.assign(value)
    served = item_matrix(mixed, len(items))
    assert served.dtype == np.float32
    np.testing.assert_array_equal(served, item_matrix(whole, len(items)))
    np.testing.assert_array_equal(mixed(inputs), whole(inputs))


def test_fitting_lowers_the_loss(items: ItemTable) -> None:
    model, train = make_model(items)
    losses: list[float] = []
    fit(
        model,
        tf.data.Dataset.from_tensors(tiny.make_inputs(8)).repeat(),
        strategy=ONE_DEVICE,
        optimizer=make_optimizer(model),
        train=train,
        num_steps=8,
        epochs=range(2),
        after_epoch=losses.append,
    )

    assert losses[1] < losses[0]


def test_epochs_done_before_are_skipped_in_the_data() -> None:
    model = Pointwise()
    numbers = tf.data.Dataset.range(100).map(lambda i: tf.cast(i, tf.float32)).batch(2, drop_remainder=True)
    data = numbers.map(lambda y: {"x": tf.zeros([2, 3]), "y": y, "weight": tf.ones([2])})
    losses: list[float] = []
    fit(
        model,
        data,
        strategy=ONE_DEVICE,
        optimizer=Adam(0.0),
        train=TrainConfig(),
        num_steps=1,
        epochs=range(3, 5),
        after_epoch=losses.append,
    )

    # Predictions stay at zero: the losses are the mean squares of rows 6, 7 and 8, 9.
    assert losses == [42.5, 72.5]
