from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil
import pytest

from serving.client.errors import ServingError
from serving.process import ServerProcess


def test_server_that_is_not_ready_in_time_is_quoted_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable = tmp_path / "tensorflow_model_server"
    executable.write_text(
        f"#!{sys.executable}\nimport signal\nprint('loading', flush=True)\nsignal.pause()\n"
    )
    executable.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    server = ServerProcess(tmp_path / "model", engine="binary", start_timeout_s=2.0)

    with pytest.raises(ServingError) as error, server:
        pass

    assert str(error.value) == (
        f"The server of {tmp_path}/model must answer within 2 s, and did not. It said: loading"
    )
    assert not psutil.pid_exists(server.pid)
