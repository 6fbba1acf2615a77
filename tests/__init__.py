"""The tests. Imported before anything else of theirs."""

import os

# rembg's dependency pymatting compiles for most of a minute when it is first imported, where Numba lets it.
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")

_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
if _WORKER and hasattr(os, "sched_setaffinity"):
    # A core to each worker, before torch and the runtimes count theirs: two pools of two threads on two cores spend
    # half their time waiting for each other.
    _CORES = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {_CORES[int(_WORKER.removeprefix("gw")) % len(_CORES)]})
