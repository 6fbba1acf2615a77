"""What is to be done: photos, folders and tables; and what is refused before any work."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from cyclorama import InvalidOptions
from cyclorama.batch.manifest import OPTIONS, Row, check_row, rows
from cyclorama.batch.worker import seed_of


def table(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_folders_and_photos(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.PNG", ".hidden.jpg", "notes.txt"):
        (tmp_path / name).touch()
    planned = list(rows([tmp_path, Path("c.webp")], {"prompt": "x"}, ".jpg"))
    assert [(row.photo.name, row.output) for row in planned] == [
        ("a.PNG", "a.jpg"), ("b.jpg", "b.jpg"), ("c.webp", "c.jpg"),
    ]  # fmt: skip
    assert planned[0].options == {"prompt": "x"}


def test_csv_and_json_lines_say_the_same(tmp_path: Path) -> None:
    csv = table(tmp_path, "a.csv", (
        "photo,prompt,output,num_inference_steps,guidance_scale,shadow,box,background,mask\n"
        'x.jpg,"a beach, at noon",one/x.png,4,2.5,yes,"1,2,30,40",,m.png\n'
        "y.jpg,,,,,,,white,\n"
    ))  # fmt: skip
    lines = [
        {"photo": "x.jpg", "prompt": "a beach, at noon", "output": "one/x.png", "num_inference_steps": 4,
         "guidance_scale": 2.5, "shadow": True, "box": [1, 2, 30, 40], "mask": "m.png"},
        {"photo": "y.jpg", "background": "white"},
    ]  # fmt: skip
    jsonl = table(tmp_path, "a.jsonl", "\n".join(json.dumps(line) for line in lines) + "\n\n")
    of_csv, of_jsonl = (list(rows([one], {"seed": 3})) for one in (csv, jsonl))
    assert [(row.photo, row.output, row.options) for row in of_csv] == [
        (row.photo, row.output, row.options) for row in of_jsonl
    ]
    assert of_csv[0].options == {
        "seed": 3, "prompt": "a beach, at noon", "num_inference_steps": 4, "guidance_scale": 2.5, "shadow": True,
        "box": (1, 2, 30, 40), "mask": tmp_path / "m.png",
    }  # fmt: skip
    assert (of_csv[1].output, of_csv[1].photo) == ("y.png", tmp_path / "y.jpg")


def test_files_lie_beside_the_table(tmp_path: Path) -> None:
    (tmp_path / "studio.jpg").touch()
    text = "photo,background,mask_model\nx.jpg,studio.jpg,own.onnx\ny.jpg,white,u2netp\n"
    first, second = rows([table(tmp_path, "a.csv", text)], {})
    assert first.options == {"background": str(tmp_path / "studio.jpg"), "mask_model": tmp_path / "own.onnx"}
    assert second.options == {"background": "white", "mask_model": "u2netp"}


@pytest.mark.parametrize(
    ("options", "output", "only_masks", "told"),
    [
        ({}, "x.png", False, "line 3: say what the background is"),
        ({"prompt": "  "}, "x.png", False, "line 3: the prompt is empty"),
        ({"prompt": "a beach", "quality": 80}, "x.png", False, "line 3: .*quality"),
        ({"background": "white", "quality": 80}, "x.png", False, "line 3: .*quality"),
        ({}, "x.jpg", True, "masks are written as .png"),
        ({"prompt": "a beach"}, "photo.jpg", False, "would be lost"),
    ],
)
def test_rows_of_which_no_picture_can_come(
    tmp_path: Path, options: dict[str, object], output: str, only_masks: bool, told: str
) -> None:
    with pytest.raises(InvalidOptions, match=told):
        check_row(Row(tmp_path / "photo.jpg", output, options, 3), tmp_path, only_masks)
    check_row(Row(tmp_path / "photo.jpg", "y.jpg", {"prompt": "a beach", "quality": 80}), tmp_path, False)


def test_a_row_s_prompt_replaces_the_run_s_background(tmp_path: Path) -> None:
    (row,) = rows([table(tmp_path, "a.csv", "photo,prompt\nx.jpg,a beach\n")], {"background": "white"})
    assert row.options == {"prompt": "a beach"}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.csv", "photo,colour\nx.jpg,red\n", "column 'colour'"),
        ("a.csv", "prompt\nx\n", "no column `photo`"),
        ("a.csv", 'photo,"out"put\nx,y\n', "line 1: ',' expected"),
        ("a.csv", "", "no column `photo`"),
        ("a.csv", "photo,prompt\nx.jpg\n", "line 2: as many values"),
        ("a.csv", "photo,num_inference_steps\nx.jpg,many\n", "line 2: num_inference_steps must be"),
        ("a.csv", "photo,num_inference_steps\nx.jpg,0\n", "line 2: num_inference_steps must be"),
        ("a.csv", "photo,output\nx.jpg,../x.png\n", "a name within the output folder"),
        ("a.csv", "photo,output\nx.jpg,/etc/x.png\n", "a name within the output folder"),
        ("a.csv", "photo,output\nx.jpg,a/../../x.png\n", "a name within the output folder"),
        ("a.csv", "photo,output\nx.jpg,a//x.png\n", "a name within the output folder"),
        ("a.csv", "photo,output\nx.jpg,.review/x.png\n", "none of it hidden"),
        ("a.csv", "photo,output\nx.jpg,png\n", "ends in"),
        ("a.csv", "photo,preset\nx.jpg,fats\n", "did you mean fast"),
        ("a.jsonl", '{"photo": "x.jpg", "mask": 5}\n', "line 1: mask must be text"),
        ("a.jsonl", '{"photo": "x.jpg", "background": ["white"]}\n', "line 1: background must be text"),
        ("a.jsonl", '{"photo": "x\\u0000.jpg"}\n', "there is no photo"),
        ("a.csv", "photo,output\nx.jpg,x.gif\n", "ends in"),
        ("a.csv", "photo\nx.jpg\na/x.jpg\n", "both be written to x.png"),
        ("a.csv", 'photo\n"x.jpg\n', "unexpected end"),
        ("a.jsonl", "{\n", "line 1: one JSON object"),
        ("a.jsonl", '["x.jpg"]\n', "line 1: one JSON object"),
        ("a.jsonl", '{"photo": 5}\n', "line 1: there is no photo"),
        ("a.jsonl", '{"photo": "x.jpg", "seed": "soon"}\n', "line 1: seed must be"),
        ("a.jsonl", '{"photo": "x.jpg", "count": 3}\n', "column 'count'"),
    ],
)
def test_what_is_refused(tmp_path: Path, name: str, text: str, told: str) -> None:
    with pytest.raises(InvalidOptions, match=told) as refused:
        list(rows([table(tmp_path, name, text)], {}))
    assert "\n" not in str(refused.value)


def test_a_table_goes_alone_and_must_be_readable(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptions, match="alone"):
        list(rows([tmp_path / "a.csv", tmp_path / "b.jpg"], {}))
    with pytest.raises(InvalidOptions, match="cannot be read"):
        list(rows([tmp_path / "a.csv"], {}))
    (tmp_path / "b.csv").write_bytes(b"photo\n\xff\xfe.jpg\n")
    with pytest.raises(InvalidOptions, match="UTF-8"):
        list(rows([tmp_path / "b.csv"], {}))


def test_200_000_rows_are_read_in_seconds(tmp_path: Path) -> None:
    lines = "".join(f"p/{number}.jpg,a beach,{number},4\n" for number in range(200_000))
    start = time.monotonic()
    count = 0
    for row in rows([table(tmp_path, "a.csv", f"photo,prompt,seed,num_inference_steps\n{lines}")], {}):
        check_row(row, tmp_path, False)
        count += 1
    assert count == 200_000
    assert time.monotonic() - start < 20  # five where nothing else runs


def test_seeds_depend_on_the_photo_s_name_and_the_run_alone(tmp_path: Path) -> None:
    one, other = rows([Path("a/x.jpg"), Path("b/y.jpg")], {})
    moved = next(iter(rows([Path("c/x.jpg")], {})))
    assert seed_of(one, 0) == seed_of(moved, 0) != seed_of(other, 0)
    assert seed_of(one, 0) != seed_of(one, 1)
    assert "seed" in OPTIONS
