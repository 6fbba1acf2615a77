"""`cyclorama generate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, get_args

import click

from cyclorama.commands.console import bar, clear_errors, remark, stages
from cyclorama.commands.files import File, FileType, Pictures, Standard, paths, with_standard_input
from cyclorama.commands.options import model_option, options_of, picked
from cyclorama.commands.places import background_of, given_or_wanted, place_option
from cyclorama.engine.errors import InvalidOptions
from cyclorama.engine.options import (
    PRESETS,
    CountOptions,
    EncodeOptions,
    GenerationOptions,
    ImageFormat,
    LoadOptions,
    SceneOptions,
    SubjectOptions,
    check_prompt,
)

if TYPE_CHECKING:
    from cyclorama import Cutout, Photo
    from cyclorama.places.place import Place

_FINISHING = ("shadow", "colour_match")


@click.command()
@click.argument("photo", type=FileType())
@click.option("-p", "--prompt", help="The background in one sentence; leave the subject out of it.")
@click.option("--background", metavar="FILE|COLOUR|transparent", help="A given background instead of a painted one.")
@click.option("--blur", is_flag=True, help="The photo's own background instead, out of focus.")
@click.option("-o", "output", type=FileType(), help="Where to write (.png, .jpg, .webp); - is standard output.")
@click.option("--format", "kind", type=click.Choice(get_args(ImageFormat)), help="With -o -; default png.")
@place_option("Make what a place's rules ask for:")
@options_of(EncodeOptions, but=("format",))
@model_option
@click.option("--preset", type=click.Choice(PRESETS), help="Default: the one that fits the model.")
@options_of(CountOptions, SceneOptions, LoadOptions)
@options_of(GenerationOptions, but=("prompt",))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of file names.")
@click.pass_context
@clear_errors
def generate(
    context: click.Context,
    /,
    photo: File,
    prompt: str | None,
    background: str | None,
    blur: bool,
    output: File | None,
    kind: str | None,
    place: Place | None,
    model: str,
    preset: Any,
    as_json: bool,
    **values: Any,
) -> None:
    """Put the subject of PHOTO on a new background: painted from a prompt, given, or its own out of focus.

    Prints the name of each file it wrote. `-` for PHOTO or a mask is standard input, -o - is standard output.

    \b
    Examples:
      cyclorama generate cat.jpg -p "a sandy beach at sunset"
      cyclorama generate shoe.jpg -p "grey studio backdrop" --count 4 -o shoe-studio.png
      cyclorama generate me.jpg -p "snowy mountains" --model sd15-inpaint --seed 7
      cyclorama generate shoe.jpg --background "#f0f0f0" --shadow --canvas 4:5
      cyclorama generate me.jpg --background beach.jpg --colour-match
      cyclorama generate shoe.jpg --for amazon-main
      cyclorama generate - -p "grey studio backdrop" -o - --format jpeg < shoe.png > shoe.jpg
    """
    background = background_of(place, prompt, background, blur)
    if prompt is None and background is None and not blur:
        raise InvalidOptions("say what the background is: either -p PROMPT, --background or --blur")
    values |= given_or_wanted(context, values, place)
    subject = SceneOptions(**picked(SceneOptions, values))
    counting = CountOptions(**picked(CountOptions, values))
    loading = LoadOptions(**picked(LoadOptions, values))
    painting = picked(GenerationOptions, values)
    if prompt is None:
        _refuse_what_is_for_painting(context)
    else:
        check_prompt(prompt, painting.get("negative_prompt", ""))
    pictures = Pictures.named(photo, output, counting.count, kind, as_json, picked(EncodeOptions, values), place)
    inputs = [photo, subject.mask, subject.keep, subject.drop, background]
    pictures.check(paths(*inputs), text=(prompt or "") + painting.get("negative_prompt", ""))
    files = with_standard_input(
        photo=photo, mask=subject.mask, keep=subject.keep, drop=subject.drop,
        background=Standard.STREAM if background == "-" else None,
    )  # fmt: skip
    cutting = picked(SceneOptions, values) | {name: files[name] for name in ("mask", "keep", "drop") if files[name]}

    from cyclorama import BackgroundGenerator, load_photo
    from cyclorama.engine.growth import object_extension
    from cyclorama.models.store import named_or_folder

    if prompt is None:
        loaded = load_photo(_given(files["photo"]))
        pictures.check_format(size=subject.canvas_size(loaded.size))
        _put_on_given(loaded, background, files["background"], pictures, cutting, painting)
        pictures.close(photo)
        return

    with stages(f"loading {model}") as begin:
        generator = BackgroundGenerator.load(
            named_or_folder(model),
            backend=loading.backend, device=loading.device, threads=loading.threads, exact=loading.exact,
        )  # fmt: skip
        # Before the photo is worked on: options that cannot be should be refused at once.
        generator.resolve(prompt, preset, **painting)
        loaded = load_photo(_given(files["photo"]))
        pictures.check_format(size=subject.canvas_size(loaded.size))
        begin("looking for the subject")
        scene = generator.prepare(loaded, **cutting)
        begin("encoding the photo")
        generator.encode(scene)
    steps = None
    for progress in generator.paint(scene, prompt, preset, **picked(CountOptions, values), **painting):
        if steps is None:
            steps = bar(total=progress.step.total, desc=pictures.names[progress.picture], unit="step")
        steps.update()
        if progress.step.index + 1 == progress.step.total:
            steps.close()
            steps = None
        result = progress.result
        if result is not None:
            facts = {"extension": round(object_extension(result), 4)} if as_json else {}
            pictures.write(progress.picture, result, facts)
            remark(f"seed {result.seed}, {sum(result.seconds.values()):.1f} s")
    pictures.close(photo)


def _refuse_what_is_for_painting(context: click.Context) -> None:
    kept = {"photo", "prompt", "background", "blur", "output", "kind", "place", "as_json", *_FINISHING}
    kept |= {*SubjectOptions.__dataclass_fields__, *EncodeOptions.__dataclass_fields__}
    given = [
        parameter.opts[-1]
        for parameter in context.command.params
        if parameter.name not in kept
        and context.get_parameter_source(parameter.name or "") == click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        raise InvalidOptions(f"{', '.join(given)}: for painting from a prompt only; leave it out, or give -p")


def _put_on_given(
    photo: Photo,
    background: str | None,
    stream: Path | BinaryIO | None,
    pictures: Pictures,
    cutting: dict[str, Any],
    painting: dict[str, Any],
) -> None:
    """The subject on a background that is there already; None: on its own, out of focus."""
    from cyclorama import Background, cut_out

    finishing = {name: painting[name] for name in _FINISHING}
    chosen = Background.image(stream) if stream is not None else background and Background.named(background)
    if chosen:
        pictures.check_format(has_alpha=chosen.photo.alpha is not None)
        if finishing["colour_match"]:
            chosen.check_match()
    with stages("looking for the subject"):
        cutout: Cutout = cut_out(photo, **cutting)
        picture = cutout.on(chosen or cutout.out_of_focus(), **finishing)
    pictures.write(0, picture)


def _given(source: Path | BinaryIO | None) -> Path | BinaryIO:
    assert source is not None
    return source
