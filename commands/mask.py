"""`cyclorama mask`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from cyclorama.commands.console import clear_errors, print_path, stages
from cyclorama.commands.files import (
    File,
    FileType,
    Standard,
    check_standard_output,
    free_name,
    paths,
    stem,
    with_standard_input,
)
from cyclorama.commands.options import mask_options, picked
from cyclorama.engine.errors import InvalidOptions
from cyclorama.engine.options import SubjectOptions


@click.command()
@click.argument("photo", type=FileType())
@click.option("-o", "output", type=FileType(), help="Where to write (.png); - is standard output.")
@mask_options
@click.option("--cutout", is_flag=True, help="Write the subject on transparency instead of its mask.")
@clear_errors
def mask(photo: File, output: File | None, cutout: bool, **values: Any) -> None:
    """Write the mask of the subject of PHOTO: 8-bit alpha, the photo's size.

    \b
    Examples:
      cyclorama mask cat.jpg --box 120,80,300,400     close around the subject
      cyclorama mask cat.jpg --drop brush.png         what is white there is not the subject
      cyclorama mask cat.jpg -o mask.png              touch it up, then:
      cyclorama generate cat.jpg -p "..." --mask mask.png
    """
    from PIL import Image

    from cyclorama import Background, cut_out, load_photo
    from cyclorama.engine.cutout import subject_alpha
    from cyclorama.engine.files import check_output, encode_image, write_whole

    asked = SubjectOptions(**picked(SubjectOptions, values))
    if output is Standard.STREAM:
        check_standard_output()
    else:
        output = output or free_name(f"{stem(photo)}-{'cutout' if cutout else 'mask'}")
        assert isinstance(output, Path)
        if output.suffix.lower() != ".png":
            raise InvalidOptions(f"a mask is written as .png, which loses nothing; got {output.name!r}")
        check_output(output, paths(photo, asked.keep, asked.drop))
    files = with_standard_input(photo=photo, keep=asked.keep, drop=asked.drop)
    cutting = picked(SubjectOptions, {**values, "keep": files["keep"], "drop": files["drop"]})
    source = files["photo"]
    assert source is not None
    loaded = load_photo(source)
    with stages("looking for the subject"):
        if cutout:
            data = cut_out(loaded, **cutting).on(Background.transparent()).encode("PNG")
        else:
            data = encode_image(Image.fromarray(subject_alpha(loaded, SubjectOptions(**cutting))), "PNG")
    if isinstance(output, Standard):
        sys.stdout.buffer.write(data)
    else:
        write_whole(output, data)
        print_path(output)
