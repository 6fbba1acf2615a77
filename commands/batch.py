"""`cyclorama batch`."""

from __future__ import annotations

import time
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cyclorama.commands.console import bar, clear_errors, print_json, remark
from cyclorama.commands.options import model_option, options_of, picked
from cyclorama.commands.places import background_of, given_or_wanted, place_option
from cyclorama.engine.options import (
    PRESETS,
    CountOptions,
    EncodeOptions,
    GenerationOptions,
    LoadOptions,
    SceneOptions,
    check_prompt,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cyclorama.batch.manifest import Row
    from cyclorama.places.place import Place

SOME_FAILED = 3
"""Exit code of a run in which some rows failed."""
_MOST_WORKERS = 64
_OF_ONE_PHOTO = ("mask", "keep", "drop", "box")
_COMMON = {
    own.name for kind in (SceneOptions, GenerationOptions, CountOptions, EncodeOptions) for own in fields(kind)
}  # fmt: skip


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="PHOTOS...|TABLE")
@click.option("-o", "target", required=True, metavar="FOLDER",
              help="The folder to write into, or an address such as s3://bucket/folder.")  # fmt: skip
@click.option("-p", "--prompt", help="The background of every photo, unless a row has its own.")
@click.option("--background", metavar="FILE|COLOUR|transparent", help="A given background instead.")
@click.option("--blur", is_flag=True, help="Each photo's own background instead, out of focus.")
@click.option("--format", "kind", type=click.Choice(["png", "jpg", "webp"]),
              help="Of outputs that a table does not name; default: png, with --for the place's.")  # fmt: skip
@place_option("Make what a place's rules ask for:")
@options_of(EncodeOptions, but=("format",))
@model_option
@click.option("--preset", type=click.Choice(PRESETS), help="Default: the one that fits the model.")
@options_of(CountOptions, but=("count",))
@options_of(SceneOptions, but=_OF_ONE_PHOTO)
@options_of(LoadOptions)
@options_of(GenerationOptions, but=("prompt",))
@click.option(
    "--workers",
    type=click.IntRange(1, _MOST_WORKERS),
    help="Processes; default: one for each core, as far as memory goes.",
)
@click.option("--ray", metavar="auto|ADDRESS",
              help="On a Ray cluster, whose machines share all folders, or read and write a store; "
              "auto: the one of this machine.")  # fmt: skip
@click.option("--retry-failed", is_flag=True, help="Try what failed before once more.")
@click.option("--verify", is_flag=True, help="Hold pictures that are there against the journal's checksums.")
@click.option("--only-masks", is_flag=True, help="Write masks, for correction, and paint nothing.")
@click.option("--masks-from", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="A folder of corrected masks, called as the photos are, .png.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
@click.pass_context
@clear_errors
def batch(
    context: click.Context,
    /,
    sources: tuple[str, ...],
    target: str,
    prompt: str | None,
    background: str | None,
    blur: bool,
    kind: str | None,
    place: Place | None,
    model: str,
    preset: Any,
    workers: int | None,
    ray: str | None,
    retry_failed: bool,
    verify: bool,
    only_masks: bool,
    masks_from: Path | None,
    as_json: bool,
    **values: Any,
) -> None:
    """Put the subjects of many photos on new backgrounds; killed at any moment, the same command goes on.

    PHOTOS are files, folders and addresses such as s3://bucket/folder; TABLE is a .csv or .jsonl with a column `photo`
    and, as liked, `prompt`, `output`, `background`, `preset`, and any option of `generate`. What is done is in
    journal.jsonl in the output folder, what a person should look at in review.html. Exits with 3 when some failed.

    \b
    Examples:
      cyclorama batch photos -o out -p "grey studio backdrop" --workers 2
      cyclorama batch shoes.csv -o out --format jpg
      cyclorama batch photos -o out --background "#ffffff" --shadow --canvas square
      cyclorama batch photos -o masks --only-masks
      cyclorama batch photos -o amazon --for amazon-main
    """
    background = background_of(place, prompt, background, blur)
    loading = LoadOptions(**picked(LoadOptions, values))
    common = {name: value for name, value in given_or_wanted(context, values, place).items() if name in _COMMON}
    seed = common.pop("seed", 0)
    if prompt is not None:
        check_prompt(prompt, common.get("negative_prompt", ""))
        common["prompt"] = prompt
    if background is not None or blur:
        common["background"] = "blur" if blur else background
    if preset is not None:
        common["preset"] = preset

    from cyclorama.batch.located import existing, located
    from cyclorama.batch.manifest import check_row, rows
    from cyclorama.batch.review import write_review
    from cyclorama.batch.run import Summary, run, threads_for, workers_for
    from cyclorama.batch.worker import How
    from cyclorama.models.store import named_or_folder, resolve

    places, output = [existing(source) for source in sources], located(target)
    ending = ".png" if only_masks else f".{kind}" if kind else place.ending if place else ".png"

    def planned() -> Iterator[Row]:
        for row in rows(places, common, ending):
            mask = None if masks_from is None else masks_from / f"{row.photo.stem}.png"
            yield replace(row, options={**row.options, "mask": mask}) if mask is not None and mask.is_file() else row

    # Read twice, so that a wrong line is told before any work, and a long table is never held as a whole.
    total, is_painted, is_refined = 0, False, False
    for row in planned():
        check_row(row, output, only_masks)
        total += 1
        is_painted = is_painted or "background" not in row.options
        is_refined = is_refined or "matting_model" in row.options
    painted_with = named_or_folder(model) if is_painted and not only_masks else None
    if painted_with is not None:
        resolve(painted_with)
    count = workers
    if ray is None and count is None:
        count = min(workers_for(painted_with, loading.backend, is_refined), max(1, total), _MOST_WORKERS)
    how = How(
        output, named_or_folder(model), loading.backend, loading.device, loading.threads or threads_for(count or 1),
        loading.exact, seed, only_masks, None if place is None else place.name,
    )  # fmt: skip
    start = time.monotonic()
    with bar(total=total, unit="picture") as line:

        def tell(summary: Summary) -> None:
            line.n = summary.done + summary.skipped + summary.failed + summary.failed_before
            line.set_postfix_str(f"{summary.failed + summary.failed_before} failed")
            line.refresh()

        summary = run(planned(), how, count, ray=ray, retry_failed=retry_failed, verify=verify, tell=tell)
    to_look_at = write_review(output)
    _told(summary, total, output, to_look_at, time.monotonic() - start, as_json)
    if summary.is_interrupted:
        raise click.ClickException("interrupted; the same command goes on where this one stopped")
    if summary.has_failures:
        context.exit(SOME_FAILED)


def _told(summary: Any, count: int, folder: Path, to_look_at: int, seconds: float, as_json: bool) -> None:
    failed = summary.failed + summary.failed_before
    if as_json:
        print_json({
            "pictures": count, "done": summary.done, "skipped": summary.skipped, "failed": failed,
            "errors": summary.errors, "to_look_at": to_look_at, "seconds": round(seconds, 1),
            "interrupted": summary.is_interrupted, "folder": str(folder),
        })  # fmt: skip
        return
    rate = f", {summary.done / seconds:.2f} a second" if summary.done else ""
    remark(
        f"{summary.done} done, {summary.skipped} there already, {failed} failed{rate}; "
        f"{to_look_at} to look at in {folder / 'review.html'}"
    )
