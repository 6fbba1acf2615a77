"""What the machine offers: cores within the container's quota, memory, instruction sets."""

from __future__ import annotations

import ctypes
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import psutil

_most_cores: int | None = None
_MADV_DONTNEED = 4  # of Linux, on every processor that OpenVINO runs on


def use_cores(most: int) -> None:
    """Lets this process use so many cores at most, of those there are: one of several that share a machine."""
    global _most_cores  # noqa: PLW0603
    _most_cores = most


def available_cores(root: Path = Path("/")) -> int:
    """Cores that this process may use: the smallest of its CPU affinity, its cgroup quota, and `use_cores`.

    A container limited to 2 CPUs on a 64-core host gets 2; a thread pool of 64 there would be
    throttled by the kernel's bandwidth control. `root` is where `proc` and `sys` are looked for.
    """
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    cores = len(affinity) if affinity else (os.cpu_count() or 1)
    quota = cgroup_quota(root)
    cores = max(1, min(cores, math.ceil(quota))) if quota else cores
    return min(cores, _most_cores) if _most_cores is not None else cores


def cgroup_quota(root: Path = Path("/")) -> float | None:
    """CPU quota in cores set by cgroup v2 (`cpu.max`) or v1 (`cpu.cfs_quota_us`); None: no limit."""
    return _tightest(root, "cpu", _quota_v2, _quota_v1)


def available_memory(root: Path = Path("/")) -> int:
    """Bytes that this process may still take: what the system has, and what its cgroups leave to it."""
    left = _tightest(root, "memory", _left_v2, _left_v1)
    there = int(psutil.virtual_memory().available)
    return there if left is None else max(0, min(there, int(left)))


def _tightest(
    root: Path, controller: str, v2: Callable[[Path], float | None], v1: Callable[[Path], float | None]
) -> float | None:
    """The least of what is read in this process's group and in those around it, up to the root of the hierarchy."""
    limits = []
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, read = root / "sys/fs/cgroup", v2
        elif controller in controllers.split(","):
            base, read = root / "sys/fs/cgroup" / controller, v1
        else:
            continue
        group = base / path.lstrip("/")
        for folder in (group, *group.parents):
            if folder == base or base in folder.parents:
                limits.append(read(folder))
    return min((limit for limit in limits if limit is not None), default=None)


def _quota_v2(folder: Path) -> float | None:
    words = " ".join(_lines(folder / "cpu.max")).split()
    return int(words[0]) / int(words[1]) if len(words) == 2 and words[0] != "max" else None


def _quota_v1(folder: Path) -> float | None:
    quota, period = _lines(folder / "cpu.cfs_quota_us"), _lines(folder / "cpu.cfs_period_us")
    return int(quota[0]) / int(period[0]) if quota and period and int(quota[0]) > 0 else None


def _left_v2(folder: Path) -> float | None:
    return _left(folder, "memory.max", "memory.current", "inactive_file")


def _left_v1(folder: Path) -> float | None:
    return _left(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def _left(folder: Path, most: str, used: str, cached: str) -> float | None:
    """Of a group's memory; files that are only kept in case they are read again count as free."""
    limit, usage = _lines(folder / most), _lines(folder / used)
    if not limit or not usage or not limit[0].isdecimal():
        return None
    files = [int(line.split()[1]) for line in _lines(folder / "memory.stat") if line.split()[0] == cached]
    return int(limit[0]) - int(usage[0]) + sum(files)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="surrogateescape").split("\n")[:-1]
    except OSError:
        return []


def peak_memory() -> int:
    """Largest resident size of this process so far, in bytes."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    # Linux hands getrusage's maximum down from parent to child; VmHWM belongs to this process.
    for line in _lines(Path("/proc/self/status")):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@contextmanager
def mapped_memory_given_back(path: Path, every: float = 0.25) -> Iterator[None]:
    """Gives back the memory of a file mapped for reading, again and again while the block runs and once after it.

    OpenVINO copies weights into a layout of its own while it compiles, and keeps the file mapped for good: without
    this both count at once. What is touched again is read again. The file must not be unmapped within the block,
    for something else might take its place. Does nothing but on Linux.
    """
    if sys.platform != "linux" or not path.is_file():
        yield
        return
    path, done = path.resolve(), Event()

    def give_back_until_done() -> None:
        while not done.wait(every):
            _give_back(path)

    thread = Thread(target=give_back_until_done, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        _give_back(path)


def _give_back(path: Path) -> None:
    for line in _lines(Path("/proc/self/maps")):
        addresses, permissions, *rest = line.split(maxsplit=5)
        if rest[-1] == str(path) and permissions.startswith("r--"):
            start, end = (int(address, 16) for address in addresses.split("-"))
            ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED)


def give_back_freed_memory() -> None:
    """To the system, what was freed: glibc keeps it, in pieces that pictures of other sizes do not fit into."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def cpu_name() -> str:
    """The processor's name as the system tells it."""
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    import platform

    return platform.processor() or platform.machine()


# The instruction sets that decide how fast the matrix products run, slowest first.
_INSTRUCTION_SETS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")


def cpu_features() -> list[str]:
    """Those vector instruction sets of the CPU that matter for inference (Linux; else empty)."""
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith("flags"):
            flags = set(line.split(":", 1)[1].split())
            return [name for name in _INSTRUCTION_SETS if name in flags]
    return []


def int8_instructions() -> list[str]:
    """Those of this CPU that multiply in int8 at twice float's rate or more; with none, int8 saves memory, not time."""
    return [name for name in cpu_features() if name in ("avx_vnni", "avx512_vnni", "amx_int8")]
