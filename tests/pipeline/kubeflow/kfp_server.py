"""The part of Kubeflow Pipelines' REST API, v2beta1, that the kfp client calls to upload, run and look."""

from __future__ import annotations

import email
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

API = "/apis/v2beta1"


class KfpServer(ThreadingHTTPServer):
    """Keeps what it was sent.

    Attributes:
        token: The bearer token it wants; any if empty.
        pipelines: Id by name.
        versions: Each uploaded version: its id, its pipeline's id and the file.
        experiments: Id by name.
        runs: What the runs were started with.
        progress: What a run looks like at each look; the last stays. A number is the status of an answer
            that a gateway gives instead, and 0 hangs up.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.token = ""
        self.pipelines: dict[str, str] = {}
        self.versions: list[tuple[str, str, str]] = []
        self.experiments: dict[str, str] = {}
        self.runs: list[dict[str, Any]] = []
        self.progress: list[dict[str, Any] | int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> KfpServer:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: KfpServer

    def do_GET(self) -> None:
        path, query = self._asked()
        if path == "/healthz":
            self._answer({"multi_user": False})
        elif path == "/pipelines":
            found = self._filtered(query, self.server.pipelines)
            self._answer({"pipelines": [{"pipeline_id": one} for one in found]} if found else {})
        elif path.endswith("/versions"):
            (_, _, pipeline_id, _) = path.split("/")
            ids = [version for version, of, _ in self.server.versions if of == pipeline_id]
            newest = [{"pipeline_id": pipeline_id, "pipeline_version_id": one} for one in reversed(ids)]
            self._answer({"pipeline_versions": newest[: int(query["page_size"][0])]})
        elif path == "/experiments":
            found = self._filtered(query, self.server.experiments)
            self._answer({"experiments": [{"experiment_id": one} for one in found]} if found else {})
        elif path == "/runs/run-1":
            progress = self.server.progress
            look = progress.pop(0) if len(progress) > 1 else progress[0]
            if not isinstance(look, int):
                self._answer(look)
            elif look:
                self._answer({}, status=look)
            else:
                self.close_connection = True
        else:
            self._answer({"message": f"{path} not found.\nAt handler.go:12"}, status=404)

    def do_POST(self) -> None:
        path, query = self._asked()
        if path == "/pipelines/upload":
            name = query["name"][0]
            pipeline_id = self.server.pipelines.setdefault(name, f"pipeline-{name}")
            self._answer({"pipeline_id": pipeline_id, "display_name": name} | self._uploaded(pipeline_id))
        elif path == "/pipelines/upload_version":
            pipeline_id = query["pipelineid"][0]
            self._answer({"pipeline_id": pipeline_id} | self._uploaded(pipeline_id))
        elif path == "/experiments":
            name = json.loads(self._body())["display_name"]
            experiment_id = self.server.experiments.setdefault(name, f"experiment-{name}")
            self._answer({"experiment_id": experiment_id})
        elif path == "/runs":
            self.server.runs.append(json.loads(self._body()))
            self._answer({"run_id": "run-1"})
        else:
            self._answer({"message": f"{path} not found"}, status=404)

    def _asked(self) -> tuple[str, dict[str, list[str]]]:
        parts = urlsplit(self.path)
        return parts.path.removeprefix(API), parse_qs(parts.query)

    def _filtered(self, query: dict[str, list[str]], known: dict[str, str]) -> list[str]:
        (predicate,) = json.loads(query["filter"][0])["predicates"]
        name = predicate["stringValue"]
        return [known[name]] if name in known else []

    def _uploaded(self, pipeline_id: str) -> dict[str, str]:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts: Any = email.message_from_bytes(head + self._body()).get_payload()
        (part,) = parts
        version_id = f"version-{len(self.server.versions) + 1}"
        self.server.versions.append((version_id, pipeline_id, part.get_payload(decode=True).decode()))
        return {"pipeline_version_id": version_id}

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _answer(self, answer: dict[str, Any], status: int = 200) -> None:
        if self.server.token and self.headers["Authorization"] != f"Bearer {self.server.token}":
            answer, status = {"message": "no valid token"}, 401
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Prints nothing."""
