"""`cyclorama benchmark`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cyclorama.commands.console import clear_errors, stages
from cyclorama.commands.options import mask_model_named


@click.command()
@click.option("--model", help="A name from `models list`, or a model folder; default: nano.")
@click.option(
    "--shapes", type=click.Choice(["sd15"]), help="Also SD1.5's shapes with random weights, beside the peers."
)
@click.option("--peers", default="all", show_default=True, help="all, none, or names with commas between.")
@click.option("--quick", is_flag=True, help="One round of the main contenders.")
@click.option(
    "--profile", is_flag=True, help="With --shapes: six contenders alone, under each instruction set of this CPU."
)
@click.option("--masks", is_flag=True, help="Masks, edges and growth instead, on photos whose subject is known.")
@click.option("--mask-model", "mask_models", multiple=True, help="With --masks: default u2net-int8; repeatable.")
@click.option(
    "--photos",
    type=click.Path(path_type=Path, file_okay=False),
    help="With --masks: on your own photos NAME.jpg with NAME.png, white over the subject.",
)
@click.option("--serve", is_flag=True, help="What serving over HTTP adds instead, on the embedded model.")
@click.option("--page", is_flag=True, help="What the web page adds instead, in a real browser (Chromium).")
@click.option("--output", type=click.Path(path_type=Path), help="Where to write all figures (.json).")
@click.option("--plots", type=click.Path(path_type=Path, file_okay=False), help="A folder to write plots into.")
@clear_errors
def benchmark(
    model: str | None,
    shapes: str | None,
    peers: str,
    quick: bool,
    profile: bool,
    masks: bool,
    mask_models: tuple[str, ...],
    photos: Path | None,
    serve: bool,
    page: bool,
    output: Path | None,
    plots: Path | None,
) -> None:
    """Measure speed, memory and fidelity on this machine, in one run.

    Leave the machine alone meanwhile. With --shapes sd15 the model is made first and kept in the local store (14 GB);
    with --masks the photos are made of Debian packages (300 MB, fetched by apt-get).

    \b
    Examples:
      cyclorama benchmark --quick
      cyclorama benchmark --shapes sd15 --output figures.json --plots plots
      cyclorama benchmark --shapes sd15 --profile --output benchmarks/profiles/my-machine.json
      cyclorama benchmark --masks
      cyclorama benchmark --masks --photos ./photos --mask-model u2net-int8 --plots plots
      cyclorama benchmark --serve
      cyclorama benchmark --page
    """
    from cyclorama.benchmarks.photos import measure_photos
    from cyclorama.benchmarks.report import photo_tables, plot, tables
    from cyclorama.benchmarks.run import PEERS, benchmark
    from cyclorama.engine.errors import InvalidOptions
    from cyclorama.engine.files import check_file, write_whole

    if profile and not shapes:
        raise InvalidOptions("--profile goes with --shapes sd15")
    if (mask_models or photos) and not masks:
        raise InvalidOptions("--mask-model and --photos go with --masks")
    if masks and (model or shapes or quick or (plots and not photos)):
        raise InvalidOptions("--masks goes without --model, --shapes and --quick, and --plots with --photos only")
    if (serve or page) and (model or shapes or quick or masks or plots or (serve and page)):
        raise InvalidOptions("--serve and --page go with --output only")
    if output is not None and output.suffix != ".json":
        raise InvalidOptions(f"figures are written as .json, got {output.name!r}")
    if output is not None:
        check_file(output)
    if plots is not None and not photos:
        import matplotlib  # noqa: F401 - missed now rather than after forty minutes

    if plots is not None:
        plots.mkdir(parents=True, exist_ok=True)
    chosen = {"all": PEERS, "none": ()}.get(peers, tuple(peers.split(",")))
    with stages("loading torch") as bar:

        def progress(stage: str) -> None:
            bar(stage)
            if not sys.stderr.isatty():  # where no bar is drawn; it takes long enough to be told
                click.echo(stage, err=True)

        if serve or page:
            report, shown = _of_the_server(page, progress)
        elif photos is not None:
            named = [mask_model_named(name) for name in mask_models or ("u2net-int8",)]
            figures, sheet = measure_photos(photos, named, progress)
            report, shown = {"real_photos": figures}, photo_tables(figures)
        else:
            report = benchmark(
                model,
                with_sd15_shapes=shapes is not None,
                peers=chosen,
                is_quick=quick,
                is_profile=profile,
                mask_models=(mask_models or ("u2net-int8",)) if masks else (),
                progress=progress,
            )
            shown = tables(report)
    click.echo(shown)
    if output is not None:
        write_whole(output, (json.dumps(report, indent=1) + "\n").encode())
        click.echo(output, err=True)
    if photos is not None and plots is not None:
        sheet.save(plots / "photos.jpg", quality=88)
        click.echo(plots / "photos.jpg", err=True)
    elif plots is not None:
        for path in plot(report, plots):
            click.echo(path, err=True)


def _of_the_server(page: bool, progress: Callable[[str], None]) -> tuple[dict[str, Any], str]:
    """What serving adds, or the page."""
    if page:
        from cyclorama.benchmarks.page import measure_page, page_tables

        seen = measure_page(progress)
        return {"page": seen}, page_tables(seen)
    from cyclorama.benchmarks.serving import measure_serving, serving_tables

    served = measure_serving(progress)
    return {"serving": served}, serving_tables(served)
