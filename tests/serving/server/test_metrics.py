from __future__ import annotations

import threading

import pytest

from serving.server.metrics import Counter, Histogram, Metrics


def test_a_counter_renders_its_cells_sorted_by_label_values() -> None:
    counter = Counter("/tensorflow/serving/request_count", "model_name", "status")
    counter.increment("tandem", "OK")
    counter.increment("shop", "NOT_FOUND", by=2)
    counter.increment("tandem", "OK", by=3)
    assert list(counter.render()) == [
        "# TYPE :tensorflow:serving:request_count counter",
        ':tensorflow:serving:request_count{model_name="shop",status="NOT_FOUND"} 2',
        ':tensorflow:serving:request_count{model_name="tandem",status="OK"} 4',
    ]


def test_a_counter_without_labels_keeps_its_braces() -> None:
    counter = Counter("/a-b.c/d_1")
    counter.increment()
    assert list(counter.render()) == ["# TYPE :a:b:c:d_1 counter", ":a:b:c:d_1{} 1"]


def test_a_histogram_counts_cumulatively_and_a_bound_itself_above_it() -> None:
    histogram = Histogram("/latency", "API", bounds=[1, 2.5, 1e6])
    for value in (0.5, 1, 2.5, 3e9):
        histogram.observe(value, "Predict")
    assert list(histogram.render()) == [
        "# TYPE :latency histogram",
        ':latency_bucket{API="Predict",le="1"} 1',
        ':latency_bucket{API="Predict",le="2.5"} 2',
        ':latency_bucket{API="Predict",le="1e+06"} 3',
        ':latency_bucket{API="Predict",le="+Inf"} 4',
        ':latency_sum{API="Predict"} 3000000004',
        ':latency_count{API="Predict"} 4',
    ]


def test_a_histogram_without_labels_has_no_comma_before_le() -> None:
    histogram = Histogram("/sizes", bounds=[1])
    histogram.observe(0.25)
    assert list(histogram.render())[1:] == [
        ':sizes_bucket{le="1"} 1',
        ':sizes_bucket{le="+Inf"} 1',
        ":sizes_sum{} 0.25",
        ":sizes_count{} 1",
    ]


def test_label_values_are_escaped() -> None:
    counter = Counter("/c", "path")
    counter.increment('C:\\a"b\nd')
    assert list(counter.render())[1] == ':c{path="C:\\\\a\\"b\\nd"} 1'


def test_a_fresh_server_declares_the_real_servers_metrics_sorted_by_name() -> None:
    assert Metrics().render() == (
        "# TYPE :tensorflow:cc:saved_model:load_attempt_count counter\n"
        "# TYPE :tensorflow:serving:batching_session:queuing_latency histogram\n"
        "# TYPE :tensorflow:serving:batching_session:wrapped_run_count counter\n"
        "# TYPE :tensorflow:serving:model_warmup_latency histogram\n"
        "# TYPE :tensorflow:serving:model_warmup_records_read counter\n"
        "# TYPE :tensorflow:serving:request_count counter\n"
        "# TYPE :tensorflow:serving:request_latency histogram\n"
        "# TYPE :tensorflow:serving:runtime_latency histogram\n"
    )


@pytest.mark.parametrize(
    ("attribute", "labels", "first", "last", "num_bounds"),
    [
        ("request_latency", ("m", "Predict", "GRPC"), ["10", "18", "32.4"], "1.47476e+09", 33),
        ("runtime_latency", ("m", "Predict", "TF1"), ["10", "18", "32.4"], "1.47476e+09", 33),
        ("model_warmup_latency", ("/m/1", "OK"), ["10", "18", "32.4"], "1.47476e+09", 33),
        ("queuing_latency", ("batch_threads",), ["100", "120", "144"], "1.09205e+06", 52),
    ],
)
def test_the_buckets_are_those_of_the_real_server(
    attribute: str, labels: tuple[str, ...], first: list[str], last: str, num_bounds: int
) -> None:
    histogram: Histogram = getattr(Metrics(), attribute)
    histogram.observe(1, *labels)
    ends = [line.split('le="')[1].split('"')[0] for line in histogram.render() if 'le="' in line]
    assert ends[:3] == first
    assert ends[-2:] == [last, "+Inf"]
    assert len(ends) == num_bounds + 1


def test_value_is_the_first_cell_of_a_counter_and_0_for_what_is_unknown() -> None:
    metrics = Metrics()
    metrics.request_count.increment("b", "OK", by=5)
    metrics.request_count.increment("a", "OK", by=2)
    metrics.request_latency.observe(7, "a", "Predict", "GRPC")
    assert metrics.value("/tensorflow/serving/request_count") == 2
    assert metrics.value("/tensorflow/serving/batching_session/wrapped_run_count") == 0
    assert metrics.value("/tensorflow/serving/request_latency") == 0
    assert metrics.value("/tensorflow/serving/unheard_of") == 0


def test_no_increment_of_several_threads_is_lost() -> None:
    metrics = Metrics()

    def count() -> None:
        for _ in range(500):
            metrics.wrapped_run_count.increment()
            metrics.queuing_latency.observe(100, "batch_threads")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    page = metrics.render()
    assert ":tensorflow:serving:batching_session:wrapped_run_count{} 2000\n" in page
    assert 'queuing_latency_count{thread_pool_name="batch_threads"} 2000\n' in page


def test_label_values_that_clients_choose_do_not_fill_the_memory() -> None:
    counter = Counter("/c", "model_name")
    histogram = Histogram("/h", "model_name", bounds=[1])
    for number in range(1100):
        counter.increment(f"name {number:04}")
        histogram.observe(2, f"name {number:04}")
    counter.increment("name 0000")
    assert len(counter.cells()) == 1000
    assert counter.cells()[0] == (("name 0000",), 2)
    assert sum(line.startswith(":h_count") for line in histogram.render()) == 1000
