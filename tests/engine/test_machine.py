"""Cores, quotas and memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cyclorama.engine.machine import available_cores, available_memory, cgroup_quota, cpu_name, peak_memory


def fake_root(tmp_path: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2.0),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        (
            {
                "proc/self/cgroup": "0::/pod/box\n",
                "sys/fs/cgroup/pod/box/cpu.max": "max 100000\n",
                "sys/fs/cgroup/pod/cpu.max": "150000 100000\n",
            },
            1.5,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/docker/1\n2:memory:/x\n",
                "sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu/docker/1/cpu.cfs_period_us": "100000\n",
            },
            0.5,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
    ],
)
def test_quota_of_the_container(files: dict[str, str], quota: float | None, tmp_path: Path) -> None:
    assert cgroup_quota(fake_root(tmp_path, files)) == quota


@pytest.mark.parametrize(
    ("files", "left"),
    [
        (
            {
                "proc/self/cgroup": "0::/pod/box\n",
                "sys/fs/cgroup/pod/memory.max": "3000000\n",
                "sys/fs/cgroup/pod/memory.current": "1500000\n",
                "sys/fs/cgroup/pod/memory.stat": "anon 500000\ninactive_file 700000\n",
                "sys/fs/cgroup/pod/box/memory.max": "max\n",
                "sys/fs/cgroup/pod/box/memory.current": "1\n",
            },
            2_200_000,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/docker/1\n",
                "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": "1000000\n",
                "sys/fs/cgroup/memory/docker/1/memory.usage_in_bytes": "400000\n",
                "sys/fs/cgroup/memory/docker/1/memory.stat": "total_inactive_file 100000\n",
            },
            700_000,
        ),
    ],
)
def test_memory_left_in_the_container(files: dict[str, str], left: int, tmp_path: Path) -> None:
    assert available_memory(fake_root(tmp_path, files)) == left


def test_memory_without_a_container_is_the_machines(tmp_path: Path) -> None:
    assert available_memory(tmp_path) > 10_000_000


def test_threads_follow_the_quota_not_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    assert available_cores(tmp_path) == 64
    root = fake_root(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"})
    assert available_cores(root) == 2


def test_peak_memory_is_this_process_own() -> None:
    """A small child of a large parent reports its own peak."""
    ballast = bytearray(400_000_000)
    ballast[::4096] = b"x" * len(ballast[::4096])
    assert peak_memory() > 400_000_000
    code = "from cyclorama.engine.machine import peak_memory; print(peak_memory())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 5_000_000 < int(child.stdout) < 200_000_000


def test_cpu_has_a_name() -> None:
    assert cpu_name()
