"""A small model hub on loopback: serves folders as repositories, takes new ones, and misbehaves on request."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_LFS = (".safetensors", ".bin", ".onnx")


@dataclass
class Hub:
    """What is served, how it misbehaves, and what was asked for."""

    repositories: dict[str, Path]
    commit: str = "c0ffee" * 6 + "beef"
    url: str = ""
    cut_after: dict[str, int] = field(default_factory=dict)  # bytes sent of a file before the line breaks
    cuts: int = 1  # how often it breaks
    corrupt: set[str] = field(default_factory=set)
    ranges: list[tuple[str, str | None]] = field(default_factory=list)
    served: list[str] = field(default_factory=list)
    published: Path | None = None  # where new repositories are written
    uploaded: dict[str, bytes] = field(default_factory=dict)  # large files by their SHA-256, before their commit
    tokens: set[str] = field(default_factory=set)

    def find(self, repository: str) -> Path | None:
        return self.repositories.get(repository)

    def info(self, repository: str) -> dict[str, object]:
        folder = self.repositories[repository]
        siblings = []
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            content = path.read_bytes()
            sibling: dict[str, object] = {
                "rfilename": path.relative_to(folder).as_posix(),
                "size": len(content),
                "blobId": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(),
            }
            if path.suffix in _LFS:
                digest = hashlib.sha256(content).hexdigest()
                sibling["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 130}
            siblings.append(sibling)
        return {"id": repository, "modelId": repository, "sha": self.commit, "siblings": siblings, "tags": []}


class _Server(ThreadingHTTPServer):
    """A client that was killed is nothing to talk about."""

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.respond(body=False)

        def do_GET(self) -> None:
            self.respond(body=True)

        def do_POST(self) -> None:
            path, content = self.path.strip("/"), self.content()
            hub.tokens.add(self.headers.get("Authorization", ""))
            answer: dict[str, object]
            if path == "api/repos/create":
                request = json.loads(content)
                answer = {"url": f"{hub.url}/{request['organization']}/{request['name']}"}
            elif path == "api/validate-yaml":
                answer = {"errors": [], "warnings": []}
            elif match := re.fullmatch(r"api/models/(.+)/preupload/main", path):
                modes = [
                    {"path": file["path"], "uploadMode": "lfs" if file["path"].endswith(_LFS) else "regular",
                     "shouldIgnore": False}
                    for file in json.loads(content)["files"]
                ]  # fmt: skip
                answer = {"files": modes}
            elif match := re.fullmatch(r"(.+)\.git/info/lfs/objects/batch", path):
                objects = [
                    {**one, "actions": {"upload": {"href": f"{hub.url}/upload/{one['oid']}"}}}
                    for one in json.loads(content)["objects"]
                ]
                answer = {"transfer": "basic", "objects": objects}
            elif match := re.fullmatch(r"api/models/(.+)/commit/main", path):
                self.commit(match[1], [json.loads(line) for line in content.splitlines()])
                answer = {
                    "success": True,
                    "commitOid": hub.commit,
                    "commitUrl": f"{hub.url}/{match[1]}/commit/{hub.commit}",
                }
            else:
                self.fail("RepoNotFound")
                return
            self.send(json.dumps(answer).encode(), True, {"Content-Type": "application/json"})

        def do_PUT(self) -> None:
            content = self.content()
            assert self.path == f"/upload/{hashlib.sha256(content).hexdigest()}"
            hub.uploaded[self.path.removeprefix("/upload/")] = content
            self.send(b"", True, {})

        def content(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def commit(self, repository: str, operations: list[dict[str, dict[str, str]]]) -> None:
            assert hub.published is not None
            folder = hub.published / repository
            for operation in operations:
                value = operation["value"]
                if operation["key"] == "header":  # type: ignore[comparison-overlap]
                    continue
                path = folder / value["path"]
                path.parent.mkdir(parents=True, exist_ok=True)
                is_large = operation["key"] == "lfsFile"  # type: ignore[comparison-overlap]
                path.write_bytes(hub.uploaded[value["oid"]] if is_large else base64.b64decode(value["content"]))
            hub.repositories[repository] = folder

        def respond(self, body: bool) -> None:
            path = self.path.split("?")[0].strip("/")
            if path.startswith("api/models/"):
                repository = path.removeprefix("api/models/").split("/revision/")[0]
                if hub.find(repository) is None:
                    self.fail("RepoNotFound")
                else:
                    self.send(json.dumps(hub.info(repository)).encode(), body, {"Content-Type": "application/json"})
                return
            repository, _, rest = path.partition("/resolve/")
            folder = hub.find(repository)
            name = rest.partition("/")[2]
            if folder is None or not (folder / name).is_file():
                self.fail("EntryNotFound")
                return
            content = (folder / name).read_bytes()
            headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": hub.commit}
            if name in hub.corrupt:
                content = content[:-8] + b"\xff" * 8
            self.send(content, body, headers, name)

        def fail(self, code: str) -> None:
            self.send_response(404)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def send(self, content: bytes, body: bool, headers: dict[str, str], name: str = "") -> None:
            start = 0
            wanted = self.headers.get("Range")
            if body and name:
                hub.ranges.append((name, wanted))
                hub.served.append(name)
            if body and wanted:
                start = int(wanted.removeprefix("bytes=").split("-")[0])
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            else:
                self.send_response(200)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            if not body:
                return
            if name in hub.cut_after and hub.cuts > 0:
                hub.cuts -= 1
                self.wfile.write(content[start : start + hub.cut_after[name]])
                self.wfile.flush()
                self.close_connection = True
                self.connection.close()
                return
            self.wfile.write(content[start:])

    server = _Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
