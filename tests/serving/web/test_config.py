from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dataset.errors import DataError
from serving.web.config import DEFAULT_RATE, GatewayConfig, is_loopback

KEYS = Path("keys")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_gateway_that_only_this_machine_reaches_asks_nothing(host: str) -> None:
    config = GatewayConfig(host=host)

    assert config.is_local
    assert config.rate_limit is None


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.7", "2001:db8::1", "shop.example", "", "localhost."]
)
def test_gateway_that_others_reach_must_have_keys(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(DataError, match=r"must have keys.*tandem web keys add"):
        GatewayConfig(host=host)

    for allowed in (GatewayConfig(host=host, keys=KEYS), GatewayConfig(host=host, allow_anonymous=True)):
        assert str(allowed.rate_limit) == "600 per 1 minute"


@pytest.mark.parametrize(
    ("settings", "rate"),
    [({"rate": "5/second"}, "5 per 1 second"), ({"keys": KEYS}, "600 per 1 minute"), ({}, "None")],
)
def test_rate_can_be_set_and_has_a_default_with_keys(settings: dict[str, Any], rate: str) -> None:
    assert DEFAULT_RATE == "600/minute"
    assert str(GatewayConfig(**settings).rate_limit) == rate


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"rate": "often"}, "--rate must be"),
        ({"rate": ""}, "--rate must be"),
        ({"rate": "0/minute"}, "--rate must be"),
        ({"keys": KEYS, "allow_anonymous": True}, "Either --keys or --allow-anonymous"),
    ],
)
def test_wrong_setting_is_named(settings: dict[str, Any], rule: str) -> None:
    with pytest.raises(DataError, match=rule):
        GatewayConfig(**settings)
