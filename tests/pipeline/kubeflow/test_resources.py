from __future__ import annotations

import pytest

from dataset.errors import DataError
from pipeline.config import Config, KubeflowConfig, ResourceConfig, load_config


def test_node_takes_from_the_default_what_it_does_not_set() -> None:
    default = ResourceConfig(cpu="2", memory="8Gi", node_selector={"pool": "cpu"})
    config = KubeflowConfig(default=default, nodes={"Trainer": ResourceConfig(memory="32Gi")})

    assert config.resources("Trainer") == ResourceConfig(
        cpu="2", memory="32Gi", node_selector={"pool": "cpu"}
    )
    assert config.resources("Pusher") == default


def test_count_goes_with_the_accelerator_it_was_set_with() -> None:
    default = ResourceConfig(accelerator="nvidia.com/gpu", accelerator_count=4)

    assert ResourceConfig(cpu="1").over(default).accelerator_count == 4
    assert ResourceConfig(accelerator="google.com/tpu").over(default).accelerator_count == 1


def test_resources_survive_json() -> None:
    trainer = '{cpu="500m", accelerator="google.com/tpu", node_selector={pool="tpu"}}'
    config = load_config(None, [f'kubeflow.nodes={{Trainer={trainer}, "ExampleGen.items"={{memory="1Gi"}}}}'])

    assert Config.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("kubeflow.default=3", "kubeflow.default must be a table. Got 3."),
        ("kubeflow.nodes=[1]", "kubeflow.nodes must be a table. Got [1]."),
        ("kubeflow.nodes={Trainer=1}", "kubeflow.nodes.Trainer must be a table. Got 1."),
        ("kubeflow.default={gpu=1}", 'unknown key "kubeflow.default.gpu"; did you mean "cpu"?'),
        ('kubeflow.default={cpu="two"}', 'the cpu of kubeflow must be cores, such as "4" or "500m". Got'),
        ("kubeflow.default={cpu=2}", "kubeflow.default.cpu must be str. Got 2."),
        ('kubeflow.default={memory="8GB"}', "the memory of kubeflow must be bytes, such as"),
        ("kubeflow.default={accelerator_count=0}", "the accelerator_count of kubeflow must be at least 1"),
        ("kubeflow.default={node_selector={a=1}}", "kubeflow.default.node_selector.a must be str. Got 1."),
        ("kubeflow.retries=-1", "kubeflow.retries must be at least 0"),
    ],
)
def test_mistake_is_named(override: str, sentence: str) -> None:
    with pytest.raises(DataError) as error:
        load_config(None, [override])

    assert sentence in str(error.value)
