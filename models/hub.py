"""Fetching from a model hub with `huggingface_hub`: progress, resuming, pinned revisions."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from huggingface_hub import constants
from huggingface_hub import errors as hub_errors
from huggingface_hub.file_download import http_get
from huggingface_hub.hf_api import HfApi, RepoSibling

from cyclorama.models.errors import CycloramaError, DownloadFailed, NoHome, first_line
from cyclorama.models.store import has_digest, home, persons_home, sha256
from cyclorama.models.weights import choose_weights

_FOLDERS = ("text_encoder", "tokenizer", "unet", "vae", "scheduler")
_CONFIGS = (".json", ".txt")


def fetch_repository(repository: str, revision: str | None, weights: bool = True) -> tuple[Path, str]:
    """Fetches what export needs of a diffusers repository; returns the local folder and the commit.

    Of a component's weights one kind is taken, see `models.weights`.
    weights=False: configs and tokenizer only. Raises DownloadFailed.
    """
    with fetching(repository, revision):
        commit, siblings = listed(repository, revision)
        files = choose_files(siblings, weights)
        if not files:
            raise DownloadFailed(f"{repository} holds no diffusers checkpoint; check the id")
        folder = Path(api().snapshot_download(repository, revision=commit, allow_patterns=files, cache_dir=_cache()))
        for file in files:
            check_sum(folder / file, siblings[file])
    return folder, commit


def fetch_file(repository: str, file: str, revision: str | None) -> Path:
    """Fetches one file of a repository. Raises DownloadFailed."""
    with fetching(repository, revision):
        commit, siblings = listed(repository, revision)
        if file not in siblings:
            raise DownloadFailed(f"{repository} has no file {file}; check the revision")
        path = Path(api().hf_hub_download(repository, file, revision=commit, cache_dir=_cache()))
        check_sum(path, siblings[file])
    return path


def fetch_address(url: str, path: Path, digest: str) -> None:
    """Fetches one file that lies in no repository, unless it is there. Raises DownloadFailed and NoHome.

    Goes on where an earlier try stopped; `path` appears whole, with the right digest, or not at all. Processes that
    want the same file wait for the first of them.
    """
    unfinished = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f"{path.name}.lock")):
            if path.is_file():
                return
            with unfinished.open("ab") as file:
                http_get(url, file, resume_size=file.tell(), displayed_filename=path.name)
            if not has_digest(unfinished, digest):
                unfinished.unlink()
                raise DownloadFailed(f"{path.name} arrived damaged and was removed; run the same command again")
            unfinished.replace(path)
    except OSError as error:
        if isinstance(error, PermissionError | FileExistsError | NotADirectoryError):
            raise NoHome(
                f"{path.name} cannot be kept in {path.parent} ({error.strerror}); "
                "set CYCLORAMA_HOME to a folder that may be written"
            ) from error
        raise DownloadFailed(
            f"fetching {path.name} failed ({first_line(error)}); run the same command again to go on where it stopped"
        ) from error
    except DownloadFailed:
        raise
    except Exception as error:  # requests, httpx and the hub have no common base
        raise DownloadFailed(
            f"fetching {path.name} failed ({first_line(error)}); run the same command again to go on where it stopped"
        ) from error


def api() -> HfApi:
    """The hub, or what HF_ENDPOINT names."""
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT"))


def _cache() -> Path:
    """Where downloads are kept: huggingface_hub's own folder, which other programs share, or in ours without a home."""
    own = any(os.environ.get(name) for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"))
    return Path(constants.HF_HUB_CACHE) if own or persons_home() else home() / "hub"


def listed(repository: str, revision: str | None) -> tuple[str, dict[str, RepoSibling]]:
    """The commit that a revision stands for, and its files by name."""
    info = api().model_info(repository, revision=revision, files_metadata=True)
    if info.sha is None:
        raise DownloadFailed(f"the hub does not say which commit {repository} is at; try again later")
    return info.sha, {sibling.rfilename: sibling for sibling in info.siblings or ()}


def check_sum(path: Path, sibling: RepoSibling) -> None:
    """Holds a file against the hub's sum; huggingface_hub itself looks at the size only."""
    if sibling.lfs is not None:
        expected, actual = sibling.lfs.sha256, sha256(path)
    elif sibling.blob_id is not None:
        content = path.read_bytes()
        expected = sibling.blob_id  # git's name for a file's content
        actual = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    else:
        return
    if actual != expected:
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise DownloadFailed(f"{sibling.rfilename} arrived damaged and was removed; run the same command again")


def choose_files(names: Iterable[str], weights: bool = True) -> list[str]:
    """Of a repository's files, those that export needs."""
    by_folder: dict[str, list[str]] = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        if folder in ("", *_FOLDERS):
            by_folder.setdefault(folder, []).append(file)
    chosen = []
    for folder, files in by_folder.items():
        prefix = f"{folder}/" if folder else ""
        # A tiny VAE's repository has its config at the root.
        wanted = [file for file in files if file.endswith(_CONFIGS) and ".index." not in file]
        if weights and (folder or "model_index.json" not in files):
            chosen_weights = choose_weights(files)
            wanted += chosen_weights.names if chosen_weights else ()
        chosen += [prefix + file for file in wanted]
    return sorted(chosen)


@contextmanager
def fetching(repository: str, revision: str | None) -> Iterator[None]:
    """Turns what can go wrong with a hub into DownloadFailed and NoHome."""
    at = f" at revision {revision}" if revision else ""
    try:
        yield
    except CycloramaError:
        raise
    except hub_errors.GatedRepoError as error:
        raise DownloadFailed(
            f"{repository} asks for its terms to be accepted on its page first, and for `hf auth login`"
        ) from error
    except (
        hub_errors.RepositoryNotFoundError,
        hub_errors.RevisionNotFoundError,
        hub_errors.EntryNotFoundError,
    ) as error:
        raise DownloadFailed(f"the hub has no {repository}{at}; check the id and the revision") from error
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise NoHome(
            f"downloads cannot be kept in {_cache()} ({error.strerror}); set HF_HOME to a folder that may be written"
        ) from error
    except hub_errors.HFValidationError as error:
        raise DownloadFailed(f"{repository!r} is no hub id; it must look like owner/name") from error
    except Exception as error:  # requests, httpx and the hub have no common base
        raise DownloadFailed(
            f"fetching {repository}{at} failed ({first_line(error)}); "
            "run the same command again to go on where it stopped"
        ) from error
