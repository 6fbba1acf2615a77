"""Model folders on a hub, exported already: fetched without torch, and published."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

from filelock import FileLock
from huggingface_hub import CommitOperationAdd

from cyclorama.models.atomic import write_atomically
from cyclorama.models.errors import BadModel, DownloadFailed, first_line
from cyclorama.models.hub import api, check_sum, fetching, listed
from cyclorama.models.store import MANIFEST, hub_folder, verify, writable_home

Format = Literal["openvino", "onnx"]
Progress = Callable[[str], None]

_COMPONENTS = ("text_encoder", "unet", "vae_encoder", "vae_decoder")
_NETWORK: dict[Format, re.Pattern[str]] = {
    "openvino": re.compile(r"openvino_model\.(xml|bin)"),
    "onnx": re.compile(r"model\.onnx(_data|\.data)?"),
}
_MAIN: dict[Format, str] = {"openvino": "openvino_model.xml", "onnx": "model.onnx"}
_BESIDE = re.compile(r"(scheduler|tokenizer)/[\w.-]+\.(json|txt)")
_ROOT = ("model_index.json", MANIFEST, "README.md", "LICENSE", "LICENSE.md", "LICENSE.txt")


def pull_exported(
    repository: str,
    *,
    revision: str | None = None,
    format: Format | None = None,
    folder: Path | None = None,
    check: Callable[[Path], object] = lambda folder: None,
    progress: Progress = lambda stage: None,
) -> Path:
    """Fetches a hub repository that is a model folder into the local store, and returns its folder there.

    format: left open, OpenVINO where the repository has it.  folder: where it goes; by default the repository's own
    place in the store.  check: looks at the folder before it is kept, and raises BadModel.
    Every file is held against the hub's sums, and against the folder's own manifest where it has one. An interrupted
    download goes on where it stopped; the folder appears whole or not at all.
    Raises DownloadFailed, BadModel, NoHome.
    """
    folder = folder or hub_folder(repository)
    writable_home()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")), fetching(repository, revision):
        progress("reading what there is")
        commit, siblings = listed(repository, revision)
        files = choose_exported(siblings, format)
        if not files:
            wanted = f"as {format}" if format else "as OpenVINO IR or ONNX"
            raise DownloadFailed(
                f"{repository} is no model folder {wanted}; if it is a checkpoint, export it: "
                f"cyclorama export {repository} OUT_DIR"
            )
        if _is_kept(folder, files, commit):
            return folder
        unfinished = folder.with_name(f"{folder.name}.part")
        _drop_notes_cut_off(unfinished)
        progress("fetching")
        api().snapshot_download(repository, revision=commit, allow_patterns=files, local_dir=unfinished)
        progress("checking the sums")
        for file in files:
            check_sum(unfinished / file, siblings[file])
        shutil.rmtree(unfinished / ".cache", ignore_errors=True)  # huggingface_hub's, of what it has fetched
        for path in [path for path in unfinished.rglob("*") if path.is_file()]:
            if path.relative_to(unfinished).as_posix() not in files:  # of an earlier revision
                path.unlink()
        try:
            if MANIFEST in files:
                verify(unfinished, only=files)
            check(unfinished)
        except BadModel as error:
            shutil.rmtree(unfinished)
            raise BadModel(f"{repository} at {commit[:12]} cannot be used: {error}") from error
        write_atomically(unfinished / ".commit", commit.encode())
        shutil.rmtree(folder, ignore_errors=True)
        return unfinished.rename(folder)


def _drop_notes_cut_off(folder: Path) -> None:
    """huggingface_hub's notes on a file that a full disk left without all three lines; it fails over those."""
    for note in (folder / ".cache").rglob("*.metadata"):
        if len(note.read_text(errors="replace").split()) < 3:
            note.unlink()


def choose_exported(names: Iterable[str], format: Format | None = None) -> list[str]:
    """Of a repository's files, those of a model folder in one format; none where a component has no network in it."""
    there = set(names)
    for kind in (format,) if format else ("openvino", "onnx"):
        networks = {
            component: [
                name
                for name in there
                if name.startswith(f"{component}/") and _NETWORK[kind].fullmatch(name.removeprefix(f"{component}/"))
            ]
            for component in _COMPONENTS
        }
        is_whole = {f"{component}/{_MAIN[kind]}" for component in _COMPONENTS} | {"model_index.json"} <= there
        if is_whole:
            chosen = {name for files in networks.values() for name in files}
            chosen |= {f"{component}/config.json" for component in _COMPONENTS} & there
            chosen |= {name for name in there if _BESIDE.fullmatch(name) or name in _ROOT}
            return sorted(chosen)
    return []


def _is_kept(folder: Path, files: list[str], commit: str) -> bool:
    """Whether it is there already, from the same commit and whole."""
    try:
        if (folder / ".commit").read_text() != commit or not all((folder / file).is_file() for file in files):
            return False
        if MANIFEST in files:
            verify(folder, only=files)
        return True
    except (OSError, BadModel):
        return False


def publish(
    folder: Path,
    repository: str,
    *,
    licence: str,
    private: bool = False,
    progress: Progress = lambda stage: None,
) -> str:
    """Uploads a model folder as a hub repository, with a card, in one commit; returns the page's address.

    repository: `owner/name`, made where there is none yet.  licence: of the weights, as the hub names it
    (`creativeml-openrail-m`); a README.md in the folder is taken as the card instead. Who uploads is known by
    `hf auth login` or HF_TOKEN. Raises BadModel where the folder differs from its manifest, and DownloadFailed.
    """
    if (folder / MANIFEST).is_file():
        progress("checking the sums")
        verify(folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    operations = [CommitOperationAdd(path.relative_to(folder).as_posix(), str(path)) for path in files]
    if not (folder / "README.md").is_file():
        operations.append(CommitOperationAdd("README.md", card(folder, repository, licence).encode()))
    progress(f"uploading {len(operations)} files")
    try:
        api().create_repo(repository, private=private, exist_ok=True)
        api().create_commit(repository, operations, commit_message="A model folder for Cyclorama")
    except Exception as error:  # requests, httpx and the hub have no common base
        raise DownloadFailed(
            f"publishing {repository} failed ({first_line(error)}); log in with `hf auth login`, and run it again"
        ) from error
    return f"{api().endpoint}/{repository}"


def card(folder: Path, repository: str, licence: str) -> str:
    """A model card: what it is, how to run it, and what its manifest says of precision and verification."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8")) if (folder / MANIFEST).is_file() else {}
    facts = {
        "made from": manifest.get("source"),
        "at commit": manifest.get("revision"),
        "LoRAs": ", ".join(f"{lora['source']} at {lora['scale']:g}" for lora in manifest.get("loras", ())),
        "format": manifest.get("format"),
        "preset": manifest.get("preset"),
        "exported with": ", ".join(f"{tool} {version}" for tool, version in manifest.get("versions", {}).items()),
    }
    errors = manifest.get("verification", {}).get("max_relative_error", {})
    precision = manifest.get("precision", {})
    rows = [f"| {name} | {precision.get(name, '')} | {error:.1e} |" for name, error in errors.items()]
    table = ["| component | precision | largest error against PyTorch |", "|---|---|---|", *rows] if rows else []
    return "\n".join(
        [
            "---", f"license: {licence}", "pipeline_tag: image-to-image", "library_name: cyclorama",
            "tags:", "- inpainting", f"- {manifest.get('format', 'openvino')}", "---", "",
            f"# {repository.partition('/')[2]}", "",
            "A Stable Diffusion model folder that runs without torch, on OpenVINO or ONNX Runtime.", "",
            "```sh", f"cyclorama models pull {repository}",
            f'cyclorama generate photo.jpg -p "a sandy beach at sunset" --model {repository}', "```", "",
            *(f"- {name}: {fact}" for name, fact in facts.items() if fact), "", *table, "",
        ]
    )  # fmt: skip
