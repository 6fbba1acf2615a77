"""Fetching from a model hub with `huggingface_hub`: progress, resuming, pinned revisions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import huggingface_hub
from huggingface_hub import errors as hub_errors

from models.errors import DownloadFailed

_FOLDERS = ("text_encoder", "tokenizer", "unet", "vae", "scheduler")
_CONFIGS = (".json", ".txt")
_WEIGHTS = (".fp16.safetensors", ".safetensors", ".fp16.bin", ".bin")  # first come, first taken


def fetch_repository(repository: str, revision: str | None, weights: bool = True) -> tuple[Path, str]:
    """Fetches what export needs of a diffusers repository; returns the local folder and the commit.

    Of a component's weights one kind is taken: half precision before full, safetensors before pickle.
    weights=False: configs and tokenizer only. Raises DownloadFailed.
    """
    with _fetching(repository, revision):
        info = huggingface_hub.HfApi().model_info(repository, revision=revision, files_metadata=False)
        commit = info.sha
        if commit is None:
            raise DownloadFailed(f"the hub does not say which commit {repository} is at; try again later")
        files = choose_files((sibling.rfilename for sibling in info.siblings or ()), weights)
        if not files:
            raise DownloadFailed(f"{repository} holds no diffusers checkpoint; check the id")
        folder = huggingface_hub.snapshot_download(repository, revision=commit, allow_patterns=files)
    return Path(folder), commit


def fetch_file(repository: str, file: str, revision: str | None) -> Path:
    """Fetches one file of a repository. Raises DownloadFailed."""
    with _fetching(repository, revision):
        return Path(huggingface_hub.hf_hub_download(repository, file, revision=revision))


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
        wanted = [file for file in files if file.endswith(_CONFIGS) and not file.endswith(".index.json")]
        if weights and (folder or "model_index.json" not in files):
            kinds = ([file for file in files if _is_weights(file, kind)] for kind in _WEIGHTS)
            wanted += next((kind for kind in kinds if kind), [])
        chosen += [prefix + file for file in wanted]
    return sorted(chosen)


def _is_weights(file: str, ending: str) -> bool:
    stem = file.removesuffix(ending)
    return file.endswith(ending) and stem in ("model", "diffusion_pytorch_model", "pytorch_model")


@contextmanager
def _fetching(repository: str, revision: str | None) -> Iterator[None]:
    at = f" at revision {revision}" if revision else ""
    try:
        yield
    except DownloadFailed:
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
    except hub_errors.HFValidationError as error:
        raise DownloadFailed(f"{repository!r} is no hub id; it must look like owner/name") from error
    except (OSError, RuntimeError, ValueError) as error:  # requests', httpx's and the hub's own come from these
        reason = str(error).strip().splitlines()
        raise DownloadFailed(
            f"fetching {repository}{at} failed ({reason[0] if reason else type(error).__name__}); "
            "run the same command again to go on where it stopped"
        ) from error
