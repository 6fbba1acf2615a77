"""Files out of Debian's archive: pictures and word lists too large to ship, fetched where they are wanted."""

from __future__ import annotations

import subprocess
from pathlib import Path

from cyclorama.models.errors import DownloadFailed


def fetch_package(name: str, folder: Path) -> Path:
    """The files of a Debian package, unpacked in a folder of its name under `folder`; fetched the first time.

    Needs `apt-get` with Debian's package lists, and `dpkg-deb`. Raises DownloadFailed.
    """
    unpacked = folder / name
    if unpacked.is_dir():
        return unpacked
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"{name}.part"
    try:
        subprocess.run(["apt-get", "download", name], cwd=folder, check=True, capture_output=True, text=True)
        archive = next(folder.glob(f"{name}_*.deb"))
        subprocess.run(["dpkg-deb", "-x", archive, unfinished], check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise DownloadFailed(f"Debian's package {name} needs {error.filename}, which is not on this machine") from error
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines()
        reason = lines[-1] if lines else f"exit code {error.returncode}"
        raise DownloadFailed(
            f"Debian's package {name} could not be fetched ({reason}); check the network, or run apt-get update"
        ) from error
    archive.unlink()
    unfinished.rename(unpacked)
    return unpacked
