"""The `cyclorama` command. Thin: parse, call, print. Data goes to stdout, notes and progress to stderr.

Only click is imported up here, so that `--help` answers at once.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import wraps
from itertools import count
from pathlib import Path
from threading import Event, Thread
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, ParamSpec, TypeVar

import click

if TYPE_CHECKING:
    from cyclorama import Photo, Picture
    from cyclorama.models.catalogue import ModelEntry

P = ParamSpec("P")
T = TypeVar("T")


def _clear_errors(command: Callable[P, T]) -> Callable[P, T]:
    """Errors meant for the user become one line and exit code 1; wrong options exit with 2."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        from cyclorama.engine.errors import CycloramaError, InvalidOptions

        _show_notes()
        if not sys.warnoptions:
            warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged metadata, which costs nothing
        if not sys.stderr.isatty():
            os.environ.setdefault("TQDM_DISABLE", "1")  # for the bars of libraries, which ask no one
        try:
            return command(*args, **kwargs)
        except InvalidOptions as error:
            raise click.UsageError(str(error)) from error
        except CycloramaError as error:
            raise click.ClickException(str(error)) from error
        except BrokenPipeError:
            raise  # click ends quietly when the reader of stdout is gone
        except (OSError, MemoryError) as error:  # what no module could say better
            raise click.ClickException(f"{type(error).__name__}: {error}") from error
        except ModuleNotFoundError as error:
            package = (error.name or "").split(".")[0]
            if package not in _EXTRA_OF:
                raise
            raise click.ClickException(
                f"this needs {package}, which is not installed; run: pip install 'cyclorama[{_EXTRA_OF[package]}]'"
            ) from error

    return run


_EXTRA_OF = dict.fromkeys(
    ("torch", "diffusers", "transformers", "optimum", "onnx", "safetensors", "nncf", "scipy"), "export"
) | {"matplotlib": "benchmark"}


def _show_notes() -> None:
    class Notes(logging.Handler):
        said: ClassVar[set[str]] = set()

        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            if text not in self.said:  # `--count 4` need not hear it four times
                self.said.add(text)
                click.echo(f"note: {text}", err=True)

    logger = logging.getLogger("cyclorama")
    logger.handlers = [Notes()]
    logger.propagate = False


@contextmanager
def _stages(first: str = "", total: int = 0) -> Iterator[Callable[[str], None]]:
    """On a terminal, the stage being worked on and how long all has taken, on stderr; elsewhere nothing.

    total: how many stages there are, where that is known: then a bar is drawn.
    """
    for library in ("DIFFUSERS", "TRANSFORMERS"):  # their remarks would tear the line
        os.environ.setdefault(f"{library}_VERBOSITY", "error")
    done = Event()
    layout = "{desc} |{bar:20}| {n}/{total} [{elapsed}]" if total else "{desc} [{elapsed}]"
    begun = count(0)
    with _bar(total=total, bar_format=layout, leave=False) as line:

        def begin(stage: str) -> None:
            line.n = min(next(begun), total)
            line.set_description_str(stage)

        def tick() -> None:
            while not done.wait(1):
                line.refresh()

        if first:
            begin(first)
        clock = Thread(target=tick, daemon=True)
        clock.start()
        try:
            yield begin
        finally:
            done.set()
            clock.join()


def _bar(**options: Any) -> Any:
    """A tqdm bar on stderr, where that is a terminal; a container's may say that it has no size."""
    from tqdm import tqdm

    columns, lines = shutil.get_terminal_size()
    return tqdm(disable=None, file=sys.stderr, ncols=columns, nrows=lines, **options)


def _print_json(value: Any) -> None:
    # Bytes of a file name that are no text come out as JSON's own escapes.
    text = json.dumps(value, indent=1, ensure_ascii=False)
    click.echo(text.encode("utf-8", "backslashreplace"))


def _print_path(path: Path) -> None:
    click.echo(os.fsencode(path))  # names need not be text


class _Standard(Enum):
    """What `-` stands for."""

    STREAM = "-"


_File = Path | _Standard


class _FileType(click.ParamType[_File]):
    """A file, or `-` for standard input or output."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> _File:
        return _Standard.STREAM if value == "-" else Path(value)


def _with_standard_input(**files: _File | None) -> dict[str, Path | BinaryIO | None]:
    """The same files, and in the place of that which is `-` standard input."""
    from cyclorama.engine.errors import InvalidOptions

    wanted = [name for name, file in files.items() if file is _Standard.STREAM]
    if len(wanted) > 1:
        raise InvalidOptions(f"{' and '.join(wanted)} cannot both be `-`, standard input; name a file for all but one")
    if wanted and sys.stdin is None:
        raise InvalidOptions(f"the {wanted[0]} is `-`, standard input, but that is closed; pipe a file into it")
    if wanted and sys.stdin.isatty():
        raise InvalidOptions(f"the {wanted[0]} is `-`, standard input, but that is a terminal; pipe a file into it")
    return {name: sys.stdin.buffer if isinstance(file, _Standard) else file for name, file in files.items()}


def _check_standard_output(as_json: bool = False) -> None:
    from cyclorama.engine.errors import InvalidOptions

    if as_json:
        raise InvalidOptions("--json prints to standard output too; name a file with -o")
    if sys.stdout is None:
        raise InvalidOptions("-o - writes to standard output, but that is closed; redirect it to a file")
    if sys.stdout.isatty():
        raise InvalidOptions("-o - writes to standard output, but that is a terminal; redirect it to a file")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="cyclorama", prog_name="cyclorama")
def main() -> None:
    """The same photo on a new background: subject untouched, pixel for pixel; no GPU needed.

    \b
    Examples:
      cyclorama generate cat.jpg -p "a sandy beach at sunset"
      cyclorama mask cat.jpg --cutout -o cat.png
      cyclorama models list
    """


def _box(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    try:
        x, y, width, height = (int(number) for number in value.split(","))
    except ValueError:
        raise click.BadParameter(
            f"wanted x,y,width,height in pixels, for example 120,80,300,400; got {value!r}"
        ) from None
    return x, y, width, height


def _mask_options(command: Callable[P, T]) -> Callable[P, T]:
    """What says who the subject is, where a mask model looks for it."""
    for option in (
        click.option("--drop", type=_FileType(), help="Brush mask: white over what is not the subject."),
        click.option("--keep", type=_FileType(), help="Brush mask: white over what is the subject."),
        click.option("--box", callback=_box, metavar="X,Y,W,H", help="Close around the subject, in pixels."),
        click.option("--mask-model", help="u2netp (built in, the default) or one of rembg's; see `models list`."),
    ):
        command = option(command)
    return command


def _position(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[float, float] | None:
    if value is None:
        return None
    try:
        x, y = (float(number) for number in value.split(","))
    except ValueError:
        raise click.BadParameter(f"wanted x,y, each 0 to 1, for example 0.5,1; got {value!r}") from None
    return x, y


def _place_options(command: Callable[P, T]) -> Callable[P, T]:
    """Where the subject goes."""
    for option in (
        click.option(
            "--subject-position", callback=_position, metavar="X,Y",
            help="Of the room around the subject, how much is left of and above it; 0.5,1 is bottom centre.",
        ),
        click.option("--subject-scale", type=float, help="1 keeps the photo's pixels, 0.5 halves the subject."),
        click.option("--canvas", metavar="SHAPE|WxH", help="square, 4:5, 16:9 ... or pixels; default: the photo's."),
    ):  # fmt: skip
        command = option(command)
    return command


@main.command()
@click.argument("photo", type=_FileType())
@click.option("-p", "--prompt", help="The background in one sentence; leave the subject out of it.")
@click.option("--background", metavar="FILE|COLOUR|transparent", help="A given background instead of a painted one.")
@click.option("--blur", is_flag=True, help="The photo's own background instead, out of focus.")
@click.option("-o", "output", type=_FileType(), help="Where to write (.png, .jpg, .webp); - is standard output.")
@click.option("--format", "kind", type=click.Choice(["png", "jpeg", "webp"]), help="With -o -; default png.")
@click.option("--model", default="nano", show_default=True, help="A name from `models list`, or a model folder.")
@click.option(
    "--preset", type=click.Choice(["fast", "balanced", "quality"]), help="Default: the one that fits the model."
)
@click.option("--negative-prompt", help='What the background should not show; default: the model\'s own, "" for none.')
@click.option("--steps", "num_inference_steps", type=int, help="Denoising steps.")
@click.option("--guidance-scale", type=float, help="How closely to follow the prompt; 1 is not at all.")
@click.option(
    "--strength", type=float, default=1.0, show_default=True, help="Below 1 the old background shines through."
)
@click.option("--seed", type=int, help="The same seed makes the same picture; random if left out.")
@click.option(
    "--count", type=click.IntRange(1), default=1, show_default=True, help="Pictures, with seeds from SEED on."
)
@click.option(
    "--best-of",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Paint so many and keep the one whose subject grew least.",
)
@click.option(
    "--good-enough",
    type=click.FloatRange(0),
    metavar="SHARE",
    help="With --best-of: stop once it grew no more than this share of its area.",
)
@click.option("--size", type=int, help="Side of the square whose area is painted, in pixels; default: the model's own.")
@click.option("--mask", type=_FileType(), help="A mask the size of the photo: white is the subject.")
@_mask_options
@_place_options
@click.option("--shadow", is_flag=True, help="A soft shadow where the subject stands.")
@click.option("--colour-match", "--color-match", is_flag=True, help="Bring the background nearer the photo's light.")
@click.option("--backend", type=click.Choice(["auto", "openvino", "onnx"]), default="auto", show_default=True)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of file names.")
@click.pass_context
@_clear_errors
def generate(
    context: click.Context,
    /,
    photo: _File,
    prompt: str | None,
    background: str | None,
    blur: bool,
    output: _File | None,
    kind: str | None,
    model: str,
    preset: Any,
    count: int,
    best_of: int,
    good_enough: float | None,
    size: int | None,
    mask: _File | None,
    mask_model: str | None,
    box: Any,
    keep: _File | None,
    drop: _File | None,
    canvas: str | None,
    subject_scale: float | None,
    subject_position: Any,
    backend: Any,
    device: Any,
    as_json: bool,
    **options: Any,
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
      cyclorama generate - -p "grey studio backdrop" -o - --format jpeg < shoe.png > shoe.jpg
    """
    from cyclorama import BackgroundGenerator, InvalidOptions, load_photo
    from cyclorama.engine.compositing.placement import Layout
    from cyclorama.engine.growth import object_extension
    from cyclorama.engine.options import check_prompt, resolve_options

    if [prompt is not None, background is not None, blur].count(True) != 1:
        raise InvalidOptions("say what the background is: either -p PROMPT, --background or --blur")
    layout = Layout(canvas, subject_scale, subject_position)
    placing = {"canvas": canvas, "subject_scale": subject_scale, "subject_position": subject_position}
    if prompt is None:
        given = [
            parameter.opts[-1]
            for parameter in context.command.params
            if parameter.name in _FOR_PAINTING
            and context.get_parameter_source(parameter.name) == click.core.ParameterSource.COMMANDLINE
        ]
        if given:
            raise InvalidOptions(f"{', '.join(given)}: for painting from a prompt only; leave it out, or give -p")
    else:
        check_prompt(prompt, options["negative_prompt"] or "")
    if good_enough is not None and best_of == 1:
        raise InvalidOptions("--good-enough goes with --best-of; say how many to paint at most")
    pictures = _Pictures.named(photo, output, count, kind, as_json)
    pictures.check(
        _paths(photo, mask, keep, drop, background),
        text=(prompt or "") + (options["negative_prompt"] or ""),
    )
    files = _with_standard_input(
        photo=photo, mask=mask, keep=keep, drop=drop, background=_Standard.STREAM if background == "-" else None
    )
    if prompt is None:
        loaded = load_photo(_given(files["photo"]))
        pictures.check_size(layout.canvas_size(loaded.size))
        cutting = {"mask": files["mask"], "mask_model": mask_model, "box": box}
        cutting |= {"keep": files["keep"], "drop": files["drop"], **placing}
        _put_on_given(loaded, files["background"] or background, pictures, photo, cutting, **options)
        return

    with _stages(f"loading {model}") as begin:
        generator = BackgroundGenerator.load(model, backend=backend, device=device)
        # Before the photo is worked on: options that cannot be should be refused at once.
        resolve_options(generator.folder, prompt, preset, **options)
        loaded = load_photo(_given(files["photo"]))
        pictures.check_size(layout.canvas_size(loaded.size))
        begin("looking for the subject")
        scene = generator.prepare(
            loaded,
            size=size,
            mask=files["mask"],
            mask_model=mask_model,
            box=box,
            keep=files["keep"],
            drop=files["drop"],
            **placing,
        )
    painting = generator.paint(scene, prompt, preset, count=count, best_of=best_of, good_enough=good_enough, **options)
    bar = None
    for progress in painting:
        if bar is None:
            bar = _bar(total=progress.step.total, desc=pictures.names[progress.picture], unit="step")
        bar.update()
        if progress.step.index + 1 == progress.step.total:
            bar.close()
            bar = None
        result = progress.result
        if result is not None:
            facts = {"extension": round(object_extension(result), 4)} if as_json else {}
            pictures.write(progress.picture, result, facts)
            click.echo(f"note: seed {result.seed}, {sum(result.seconds.values()):.1f} s", err=True)
    pictures.close(photo)


_FOR_PAINTING = (
    "model", "preset", "negative_prompt", "num_inference_steps", "guidance_scale", "strength", "seed", "count",
    "best_of", "good_enough", "size", "backend", "device",
)  # fmt: skip


def _put_on_given(
    photo: Photo,
    background: str | Path | BinaryIO | None,
    pictures: _Pictures,
    source: _File,
    cutting: dict[str, Any],
    *,
    shadow: bool,
    colour_match: bool,
    **_painting: Any,
) -> None:
    """The subject on a background that is there already; None: on its own, out of focus."""
    from cyclorama import Background, cut_out

    chosen = None if background is None else Background.load(background)
    if chosen is not None:
        pictures.check_transparency(chosen.photo.alpha is not None)
        if colour_match:
            chosen.check_match()
    with _stages("looking for the subject"):
        cutout = cut_out(photo, **cutting)
        picture = cutout.on(chosen or cutout.out_of_focus(), shadow=shadow, colour_match=colour_match)
    pictures.write(0, picture)
    pictures.close(source)


def _paths(*inputs: Any) -> list[Any]:
    """Inputs as paths: standard input may be a file, too, that a shell opened."""
    return ["/dev/stdin" if one in (_Standard.STREAM, "-") else one for one in inputs]


def _given(source: Path | BinaryIO | None) -> Path | BinaryIO:
    assert source is not None
    return source


@dataclass
class _Pictures:
    """Where pictures go: files, or one to standard output (`paths` is empty then)."""

    paths: list[Path]
    kind: str
    as_json: bool
    _written: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def named(cls, photo: _File, output: _File | None, count: int, kind: str | None, as_json: bool) -> _Pictures:
        """OUT, or OUT-1 to OUT-N; left open, the first names that are free in the current folder."""
        from cyclorama.engine.errors import InvalidOptions

        if output is _Standard.STREAM:
            if count > 1:
                raise InvalidOptions(f"standard output takes one picture, got --count {count}; name a file with -o")
            _check_standard_output(as_json)
            return cls([], (kind or "png").upper(), as_json)
        if kind is not None:
            raise InvalidOptions("--format goes with -o -; a file's ending says its format")
        stem = "stdin" if isinstance(photo, _Standard) else photo.stem
        return cls(_output_names(stem, output, count), "", as_json)

    @property
    def names(self) -> list[str]:
        return [path.name for path in self.paths] or ["standard output"]

    def _kinds(self) -> set[str]:
        from cyclorama.engine.files import image_format

        return {image_format(path) for path in self.paths} or {self.kind}

    def check(self, inputs: list[Any], text: str) -> None:
        """Refuses, before any work, files that cannot be written, that are inputs, or that cannot hold a prompt."""
        from cyclorama.engine.files import check_format, check_output

        for path in self.paths:
            check_output(path, inputs)
        for kind in self._kinds():
            check_format(kind, text=text)

    def check_size(self, size: tuple[int, int]) -> None:
        from cyclorama.engine.files import check_format

        for kind in self._kinds():
            check_format(kind, size=size)

    def check_transparency(self, has_alpha: bool) -> None:
        from cyclorama.engine.files import check_format

        for kind in self._kinds():
            check_format(kind, has_alpha=has_alpha)

    def write(self, number: int, picture: Picture, facts: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Writes a picture and prints its name, or keeps its facts for `close`."""
        if not self.paths:
            sys.stdout.buffer.write(picture.encode(self.kind))
            return
        path = self.paths[number]
        picture.save(path)
        if self.as_json:
            self._written.append({"file": str(path), **picture.summary(), **facts})
        else:
            _print_path(path)

    def close(self, photo: _File) -> None:
        if self.as_json:
            _print_json({"photo": "-" if isinstance(photo, _Standard) else str(photo), "images": self._written})


def _output_names(stem: str, output: Path | None, count: int) -> list[Path]:
    from cyclorama.engine.errors import InvalidOptions

    if output is not None and count == 1:
        return [output]
    if output is not None:
        numbered = [output.with_stem(f"{output.stem}-{number}") for number in range(1, count + 1)]
        for name in numbered:
            if os.path.lexists(name):
                raise InvalidOptions(f"{name} exists already; remove it or name another file with -o")
        return numbered
    names: list[Path] = []
    number = 1
    while len(names) < count:
        name = Path(f"{stem}-background{'' if number == 1 else f'-{number}'}.png")
        if not os.path.lexists(name):
            names.append(name)
        number += 1
    return names


@main.command()
@click.argument("photo", type=_FileType())
@click.option("-o", "output", type=_FileType(), help="Where to write (.png); - is standard output.")
@_mask_options
@click.option("--cutout", is_flag=True, help="Write the subject on transparency instead of its mask.")
@_clear_errors
def mask(
    photo: _File,
    output: _File | None,
    mask_model: str | None,
    box: Any,
    keep: _File | None,
    drop: _File | None,
    cutout: bool,
) -> None:
    """Write the mask of the subject of PHOTO: 8-bit alpha, the photo's size.

    \b
    Examples:
      cyclorama mask cat.jpg --box 120,80,300,400     close around the subject
      cyclorama mask cat.jpg --drop brush.png         what is white there is not the subject
      cyclorama mask cat.jpg -o mask.png              touch it up, then:
      cyclorama generate cat.jpg -p "..." --mask mask.png
    """
    from PIL import Image

    from cyclorama import cut_out, load_photo
    from cyclorama.engine.errors import InvalidOptions
    from cyclorama.engine.files import check_output, encode_image, write_whole
    from cyclorama.engine.matting.subject import Hints, subject_alpha

    if output is _Standard.STREAM:
        _check_standard_output()
    else:
        if output is None:
            stem = f"{'stdin' if isinstance(photo, _Standard) else photo.stem}-{'cutout' if cutout else 'mask'}"
            output = Path(f"{stem}.png")
            number = 2
            while os.path.lexists(output):
                output = Path(f"{stem}-{number}.png")
                number += 1
        assert isinstance(output, Path)
        if output.suffix.lower() != ".png":
            raise InvalidOptions(f"a mask is written as .png, which loses nothing; got {output.name!r}")
        check_output(output, _paths(photo, keep, drop))
    files = _with_standard_input(photo=photo, keep=keep, drop=drop)
    loaded = load_photo(_given(files["photo"]))
    hints: dict[str, Any] = {"box": box, "keep": files["keep"], "drop": files["drop"]}
    with _stages("looking for the subject"):
        if cutout:
            data = cut_out(loaded, mask_model=mask_model, **hints).on("transparent").encode("PNG")
        else:
            alpha = subject_alpha(loaded, mask_model=mask_model, hints=Hints.read(loaded.size, **hints))
            data = encode_image(Image.fromarray(alpha), "PNG")
    if isinstance(output, _Standard):
        sys.stdout.buffer.write(data)
    else:
        write_whole(output, data)
        _print_path(output)


def _lora(_context: click.Context, _parameter: click.Parameter, values: Iterable[str]) -> list[tuple[str, float]]:
    parsed = []
    for value in values:
        file, separator, scale = value.rpartition(":")
        try:
            parsed.append((file, float(scale)) if separator else (value, 1.0))
        except ValueError:
            parsed.append((value, 1.0))  # a colon of the path's own
    return parsed


@main.command()
@click.argument("source")
@click.argument("out_dir", type=click.Path(path_type=Path))
@click.option("--format", type=click.Choice(["openvino", "onnx"]), default="openvino", show_default=True)
@click.option("--precision", type=click.Choice(["fp32", "fp16", "int8"]), default="fp16", show_default=True)
@click.option("--revision", help="Branch, tag or commit of a hub repository.")
@click.option("--lora", "loras", multiple=True, metavar="FILE[:SCALE]", callback=_lora, help="Fuse a LoRA; repeatable.")
@click.option("--tiny-vae", metavar="SOURCE", help="Put an AutoencoderTiny in the VAE's place (`taesd`, or a folder).")
@click.option("--distilled", type=click.Choice(["lcm", "tcd"]), help="The weights or LoRAs were distilled so.")
@click.option(
    "--calibration-images", type=click.Path(path_type=Path), help="int8: a folder of photos; some are shipped."
)
@click.option(
    "--calibration-prompts", type=click.Path(path_type=Path), help="int8: a file, a prompt a line; some are shipped."
)
@click.option("--recipe", "kind", type=click.Choice(["full", "hybrid", "weight-only"]), help="int8: default full.")
@_clear_errors
def export(
    source: str,
    out_dir: Path,
    calibration_images: Path | None,
    calibration_prompts: Path | None,
    kind: Any,
    **options: Any,
) -> None:
    """Turn a Stable Diffusion checkpoint into a model folder that runs without torch.

    SOURCE is a diffusers folder, a .safetensors file in the original layout, a hub id or a name
    from `models list`. Every network is held against PyTorch before the folder appears; an int8 UNet, calibrated on
    photos that it paints with the float one, against what that one paints.

    \b
    Examples:
      cyclorama export ./my-checkpoint ./my-model
      cyclorama export ./my-checkpoint ./my-model --precision int8
      cyclorama export sd15-inpaint ./sd15-fast --lora lcm-lora-sd15 --tiny-vae taesd
    """
    from cyclorama.export.request import Recipe, check_request, stages

    if kind:
        options["recipe"] = Recipe(kind)
    # Before torch and its kin are imported, which takes many seconds.
    has_calibration = bool(calibration_images or calibration_prompts)
    check_request(source, out_dir, has_calibration=has_calibration, **options)
    if has_calibration:
        from cyclorama.export import Calibration

        options["calibration"] = Calibration.load(calibration_images, calibration_prompts)
    named = stages(options["loras"], options["tiny_vae"], options["precision"])
    with _stages("loading torch", 1 + len(named)) as progress:
        from cyclorama.export import export_checkpoint

        folder = export_checkpoint(source, out_dir, progress=progress, **options)
    manifest = json.loads((folder / "cyclorama.json").read_text())
    for component, error in manifest["verification"]["max_relative_error"].items():
        is_int8 = manifest["precision"][component] == "int8"
        how = "in int8 differs from PyTorch by up to" if is_int8 else "agrees with PyTorch within"
        click.echo(f"note: {component} {how} {error:.1e} of its range", err=True)
    _print_path(folder)


@main.group()
def models() -> None:
    """List, show, fetch and check models."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_clear_errors
def list_models(as_json: bool) -> None:
    """List the models that have a name."""
    from dataclasses import asdict

    from cyclorama.models.catalogue import CATALOGUE, MASK_MODELS
    from cyclorama.models.store import format_size

    if as_json:
        _print_json(
            {
                "models": [_facts(entry) for entry in CATALOGUE.values()],
                "mask_models": [asdict(mask) for mask in MASK_MODELS.values()],
            }
        )
        return
    for entry in CATALOGUE.values():
        click.echo(f"{entry.name:<22} {_state(entry):<12} {entry.what}")
        size = "" if entry.embedded else f"{format_size(entry.download)}; "
        click.echo(f"{'':<35} {size}{entry.licence}")
    click.echo("\nmask models (--mask-model), of rembg but for the first:")
    for mask in MASK_MODELS.values():
        click.echo(f"{mask.name:<22} {'embedded' if mask.download is None else '':<12} {mask.what}; {mask.side} px")
        size = "" if mask.download is None else f"{format_size(mask.download)}; "
        click.echo(f"{'':<35} {size}{mask.licence}")


@models.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_clear_errors
def show(name: str, as_json: bool) -> None:
    """Show all that is known about a model."""
    from cyclorama.models.catalogue import find_entry

    facts = _facts(find_entry(name))
    if as_json:
        _print_json(facts)
        return
    for key, value in facts.items():
        if value is not None:
            click.echo(f"{key:<12} {value}")


@models.command()
@click.argument("name")
@click.option("--format", type=click.Choice(["openvino", "onnx"]), help="Default: openvino.")
@_clear_errors
def pull(name: str, format: Any) -> None:
    """Fetch a model, export it to the local store and check it."""
    from cyclorama.models.catalogue import find_entry

    find_entry(name)
    from cyclorama.export.request import stages

    with _stages(total=2 + len(stages())) as progress:
        from cyclorama.export import pull as pull_model

        folder = pull_model(name, format=format, progress=progress)
    _print_path(folder)


@models.command()
@click.argument("model")
@_clear_errors
def verify(model: str) -> None:
    """Check a model's files against the sums in its manifest."""
    from cyclorama.models.store import resolve
    from cyclorama.models.store import verify as verify_files

    with _stages("reading the files"):
        number = verify_files(resolve(model))
    click.echo(f"{model}: {number} files as they should be")


def _state(entry: ModelEntry) -> str:
    from cyclorama.models.store import is_present

    if entry.is_part:
        return entry.kind
    if entry.embedded:
        return "embedded"
    return "here" if is_present(entry) else "to pull"


def _facts(entry: ModelEntry) -> dict[str, Any]:
    from cyclorama.models.store import format_size, is_present, stored

    return {
        "name": entry.name,
        "what": entry.what,
        "kind": entry.kind,
        "state": _state(entry),
        "licence": entry.licence,
        "repository": entry.repository,
        "revision": entry.revision,
        "download": None if entry.embedded else format_size(entry.download),
        "preset": entry.preset,
        "paints": entry.paints,
        "fails at": entry.fails_at,
        "card": str(entry.card) if entry.card else None,
        "folder": str(stored(entry.name)) if is_present(entry) else None,
    }


@main.command()
@click.option("--model", help="A name from `models list`, or a model folder; default: nano.")
@click.option(
    "--shapes", type=click.Choice(["sd15"]), help="Also SD1.5's shapes with random weights, beside the peers."
)
@click.option("--peers", default="all", show_default=True, help="all, none, or names with commas between.")
@click.option("--quick", is_flag=True, help="One round of the main contenders.")
@click.option("--masks", is_flag=True, help="Masks, edges and growth instead, on photos whose subject is known.")
@click.option("--mask-model", "mask_models", multiple=True, help="With --masks: default u2netp; repeatable.")
@click.option("--output", type=click.Path(path_type=Path), help="Where to write all figures (.json).")
@click.option("--plots", type=click.Path(path_type=Path, file_okay=False), help="A folder to write plots into.")
@_clear_errors
def benchmark(
    model: str | None,
    shapes: str | None,
    peers: str,
    quick: bool,
    masks: bool,
    mask_models: tuple[str, ...],
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
      cyclorama benchmark --masks
    """
    from cyclorama.benchmarks.report import plot, tables
    from cyclorama.benchmarks.run import PEERS, benchmark
    from cyclorama.engine.errors import InvalidOptions
    from cyclorama.engine.files import check_file, write_whole

    if mask_models and not masks:
        raise InvalidOptions("--mask-model goes with --masks")
    if masks and (model or shapes or quick or plots):
        raise InvalidOptions("--masks goes without --model, --shapes, --quick and --plots")
    if output is not None and output.suffix != ".json":
        raise InvalidOptions(f"figures are written as .json, got {output.name!r}")
    if output is not None:
        check_file(output)
    if plots is not None:
        import matplotlib  # noqa: F401 - missed now rather than after forty minutes

        plots.mkdir(parents=True, exist_ok=True)
    chosen = {"all": PEERS, "none": ()}.get(peers, tuple(peers.split(",")))
    with _stages("loading torch") as bar:

        def progress(stage: str) -> None:
            bar(stage)
            if not sys.stderr.isatty():  # where no bar is drawn; it takes long enough to be told
                click.echo(stage, err=True)

        report = benchmark(
            model,
            with_sd15_shapes=shapes is not None,
            peers=chosen,
            is_quick=quick,
            mask_models=(mask_models or ("u2netp",)) if masks else (),
            progress=progress,
        )
    click.echo(tables(report))
    if output is not None:
        write_whole(output, (json.dumps(report, indent=1) + "\n").encode())
        click.echo(output, err=True)
    for path in plot(report, plots) if plots else []:
        click.echo(path, err=True)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_clear_errors
def doctor(as_json: bool) -> None:
    """Tell what this machine offers, and try the engine out on it."""
    from cyclorama.engine.doctor import examine

    with _stages("trying the backends"):
        report = examine()
    if as_json:
        _print_json(report)
    else:
        for section, facts in report.items():
            click.echo(section)
            for key, value in facts.items():
                shown = " ".join(map(str, value)) if isinstance(value, list) else value
                click.echo(f"  {key:<22} {shown}")
    if not all(outcome.startswith("works") for outcome in report["self-test"].values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
