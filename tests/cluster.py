"""A Ray cluster of two nodes on this machine, each with one core, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT


class Cluster:
    """Started at once.

    sitecustomize: what every Python process of the cluster runs first; it lies in `folder`.
    """

    def __init__(self, folder: Path, sitecustomize: str = "") -> None:
        (folder / "sitecustomize.py").write_text(sitecustomize)
        path = os.pathsep.join([str(folder), str(ROOT)])
        self.environment = {**os.environ, "PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"}
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=self.environment,
        )  # fmt: skip
        self.address = self._line()

    def lose_a_node(self) -> None:
        """The second one, without a word."""
        assert self.process.stdin is not None
        self.process.stdin.write("lose\n")
        self.process.stdin.flush()
        assert self._line() == "lost"

    def end(self) -> None:
        self.process.communicate(timeout=60)

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line, "the cluster did not start"
        return line


def _run() -> None:
    from ray.cluster_utils import Cluster as Nodes

    nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = nodes.add_node(num_cpus=1)
    print(nodes.address, flush=True)
    for line in sys.stdin:
        if line.strip() == "lose":
            nodes.remove_node(second, allow_graceful=False)
            print("lost", flush=True)
    nodes.shutdown()


if __name__ == "__main__":
    _run()
