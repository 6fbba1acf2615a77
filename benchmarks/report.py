"""A benchmark's figures as tables and plots."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

Report = dict[str, Any]

_GUIDED_STEPS = 50  # diffusers' default, too many to wait for: computed from the steps that were timed


def tables(report: Report) -> str:
    """All that was measured, as Markdown tables."""
    machine = report["machine"]
    parts: list[str] = [
        f"{machine['cpu']}, {machine['cores']} cores, {', '.join(machine['instruction_sets'])}; "
        + ", ".join(f"{name} {version}" for name, version in report["versions"].items() if version)
    ]
    if "contenders" in report:
        parts += ["SD1.5's shapes with random weights, 512x512 (speed only):", _speed(report["contenders"])]
        parts += [_table(("ratio", "times"), ratios(report))]
    for instructions, entries in report.get("profiles", {}).items():
        parts += [
            f"Up to {instructions}:",
            _speed(entries),
            _table(("ratio", "times"), ratios({"contenders": entries})),
        ]
    if "own" in report:
        parts += [f"{report['model']}:", _speed(report["own"])]
    if "capped" in report:
        parts += ["Fewer instructions, or one core:", _speed(report["capped"])]
    if "sizes" in report:
        sizes = [
            (entry["name"], _seconds(entry.get("total")), _seconds(entry.get("step"))) for entry in report["sizes"]
        ]
        parts += [_table(("working size", "whole picture", "UNet step"), sizes)]
    if "photos" in report:
        photos = [(f"{row['megapixels']:g}", f"{row['total']:.2f} s") for row in report["photos"]]
        parts += [_table(("photo, megapixels", "nano, whole picture"), photos)]
    if "cold_process" in report:
        parts += [
            f"`cyclorama generate` with nano, 1 megapixel, as a whole cold process: {report['cold_process']:.2f} s"
        ]
    if "fidelity" in report:
        parts += [_fidelity(report["fidelity"])]
    if "ceiling" in report:
        parts += [_ceiling(report)]
    if "masks" in report:
        parts += _masks(report["masks"])
    return "\n\n".join(parts) + "\n"


def ratios(report: Report) -> list[tuple[str, str]]:
    """How many times faster ours is than which peer, and how far from the ceiling, of medians in one run."""
    entries = _by_key(report)

    def total(key: str) -> float | None:
        return entries[key]["total"]["median"] if key in entries else None

    def step(key: str) -> float | None:
        return entries[key]["step"]["median"] if key in entries else None

    long = _of_many_steps(entries.get("diffusers-f32"))
    int8 = step("int8-4")
    fast = entries.get("fast")
    pairs = [
        (f"`fast` against diffusers float32 at {_GUIDED_STEPS} guided steps (computed)", long, total("fast")),
        ("`fast` against openvino-genai, 4 steps", total("genai-4"), total("fast")),
        (
            "`fast` against openvino-genai on our int8 folder, 4 steps",
            total("genai-int8-4"),
            total("fast"),
        ),
        (
            "4 steps in int8, the full VAE, attention to all tokens, against openvino-genai",
            total("genai-4"),
            total("int8-4"),
        ),
        (
            "the same against openvino-genai on our int8 folder",
            total("genai-int8-4"),
            total("int8-4"),
        ),
        (
            "20 guided steps, all in full, against openvino-genai",
            total("genai-20"),
            total("int8-20"),
        ),
        (
            "`quality` against openvino-genai at 20 guided steps",
            total("genai-20"),
            total("quality"),
        ),
        (
            "ONNX Runtime, int8 step against float32 step",
            step("ort-f32-4"),
            step("ort-int8-4"),
        ),
        ("second prompt of `fast`, of the first", fast and fast["second_prompt"]["median"], total("fast")),
        ("int8 UNet step over its ideal time", int8, _ideal(report)),
    ]
    return [(name, f"{a / b:.2f}") for name, a, b in pairs if a and b]


def _by_key(report: Report) -> dict[str, dict[str, Any]]:
    return {entry["key"]: entry for entry in report["contenders"] if "total" in entry}


def profiles(reports: Iterable[Report]) -> str:
    """Several machines side by side, each under the instruction sets that it has."""
    columns = []
    for report in reports:
        machine = report["machine"]
        for instructions, entries in report["profiles"].items():
            known = {entry["key"]: entry for entry in entries if "total" in entry}
            columns.append((f"{machine['cpu']}, {machine['cores']} cores, up to {instructions}", known))
    keys = {key: entry["name"] for _, known in columns for key, entry in known.items()}
    rows = [
        (name, *(_seconds(known.get(key, {}).get("total"), with_spread=True) for _, known in columns))
        for key, name in keys.items()
    ]
    compared = [dict(ratios({"contenders": list(known.values())})) for _, known in columns]
    names = dict.fromkeys(name for one in compared for name in one)
    rows += [(name, *(one.get(name, "") for one in compared)) for name in names]
    return _table(("", *(head for head, _ in columns)), rows) + "\n"


def headlines(report: Report, *others: Report) -> str:
    """Five rows for who wants to know how fast it is, and on what that was measured.

    others: machines' profiles; each of their instruction sets has a column, the plainest first, as most machines are.
    """
    known = _by_key(report)
    columns = {_finest(report["machine"]["instruction_sets"]): known}
    told = [f"{_machine(report)} with {_finest(report['machine']['instruction_sets'])}, {report['created'][:10]}"]
    for other in others:
        profiles = {_finest([name]): _by_key({"contenders": entries}) for name, entries in other["profiles"].items()}
        columns = dict(reversed(profiles.items())) | columns
        first, *held = profiles
        also = f", and held to {' and '.join(held)}" if held else ""
        told.append(f"{_machine(other)} with {first}{also}, {other['created'][:10]}")

    def row(label: str, key: str) -> list[str]:
        seconds = [entries[key]["total"]["median"] if key in entries else None for entries in columns.values()]
        return [
            label,
            *("" if one is None else f"{one:.1f} s" for one in seconds),
            f"{known[key]['peak_memory'] / 1e9:.1f} GB",
        ]

    plain = known["diffusers-f32"]
    timed = plain["options"]["num_inference_steps"]
    rows = [
        row("**Cyclorama, `fast`**: int8, 4 steps", "fast"),
        row("**Cyclorama, `quality`**: int8, 20 steps", "quality"),
        row("openvino-genai, fp16, 4 steps", "genai-4"),
        row("openvino-genai, fp16, 20 guided steps", "genai-20"),
        [
            f"diffusers, float32, {_GUIDED_STEPS} guided steps (computed from {timed})",
            *[""] * (len(columns) - 1), f"{_of_many_steps(plain):.0f} s", f"{plain['peak_memory'] / 1e9:.1f} GB",
        ],
    ]  # fmt: skip
    caption = (
        f"*SD1.5's shapes with random weights, 512x512, photo to picture, warm; {'; '.join(told)}; "
        "`cyclorama benchmark --shapes sd15`, with `--profile` for all but the first machine, whose memory it is.*"
    )
    return _table(("", *columns, "memory"), rows) + f"\n\n{caption}\n"


def _machine(report: Report) -> str:
    return f"{report['machine']['cpu']}, {report['machine']['cores']} cores"


def _finest(instruction_sets: Sequence[str]) -> str:
    names = {"avx512_bf16": "AVX-512 and bf16", "avx512_vnni": "AVX-512 VNNI", "avx2": "AVX2"}
    if any("amx" in name for name in instruction_sets):
        return "AMX"
    return names.get(instruction_sets[-1], instruction_sets[-1])


def _ideal(report: Report) -> float | None:
    """Seconds of a UNet forward at the ceiling: attention's products in bf16, all else in int8."""
    if "ceiling" not in report or "unet_operations" not in report:
        return None
    ceiling, operations = report["ceiling"], report["unet_operations"]
    int8 = (ceiling["int8"]["matmul"] + ceiling["int8"]["convolution"]) / 2
    return float(operations["other"] / int8 / 1e9 + operations["attention"] / ceiling["bf16"]["matmul"] / 1e9)


def _of_many_steps(entry: dict[str, Any] | None) -> float | None:
    if entry is None:
        return None
    stages = entry["stages"]
    return float(stages["before"] + _GUIDED_STEPS * entry["step"]["median"] + stages["decode"])


def _speed(entries: Iterable[dict[str, Any]]) -> str:
    rows = []
    for entry in entries:
        if "failure" in entry:
            rows.append((entry["name"], f"failed: {entry['failure'][:60]}", *[""] * 5))
            continue
        rows.append(
            (
                entry["name"],
                _seconds(entry["total"], with_spread=True),
                _seconds(entry["step"]),
                _seconds(entry.get("second_prompt")),
                _load(entry),
                f"{entry['peak_memory'] / 1e9:.2f} GB",
                f"{entry['disk'] / 1e9:.2f} GB",
            )
        )
    return _table(
        ("", "photo to picture", "step", "second prompt", "load, first and later", "peak memory", "on disk"), rows
    )


def _load(entry: dict[str, Any]) -> str:
    """Loading and compiling: the slowest process, and the fastest, which finds compiled networks on disk."""
    compiling = entry.get("compile", {"max": 0.0, "min": 0.0})
    return " / ".join(f"{entry['load'][end] + compiling[end]:.1f} s" for end in ("max", "min"))


def _seconds(value: dict[str, float] | None, with_spread: bool = False) -> str:
    if value is None:
        return ""
    digits = 3 if value["median"] < 0.1 else 2
    text = f"{value['median']:.{digits}f} s"
    return f"{text} ({value['min']:.{digits}f} to {value['max']:.{digits}f})" if with_spread else text


def _fidelity(rows: Iterable[dict[str, Any]]) -> str:
    return _table(
        ("nano, 20 steps, same noise", "PSNR", "worst", "SSIM", "subject's error", "denoising"),
        [
            (
                row["name"],
                "equal" if row["psnr"] >= 100 else f"{row['psnr']:.1f} dB",
                "equal" if row["worst_psnr"] >= 100 else f"{row['worst_psnr']:.1f} dB",
                f"{row['ssim']:.3f}",
                str(row["subject_error"]),
                f"{row['seconds']:.2f} s",
            )
            for row in rows
        ],
    )


def _masks(figures: dict[str, Any]) -> list[str]:
    rows = [
        (
            row["model"],
            row["way"],
            f"{row['mae']:.3f}",
            f"{row['iou']:.3f}",
            f"{row['worst_iou']:.3f}",
            f"{row['band']:.3f}",
            f"{row['seconds']:.2f} s",
        )
        for row in figures["masks"]
    ]
    edges = [(name, f"{value:.2f}") for name, value in figures["edges"].items()]
    extension = [(name.replace("_", " "), f"{value:.3f}") for name, value in figures["extension"].items()]
    return [
        f"Masks of {figures['masks'][0]['photos']} photos:",
        _table(("mask model", "", "MAE", "IoU", "worst IoU", "MAE in the band", "time"), rows),
        _table(("on another background", "error at the edge, grey levels"), edges),
        _table(("object extension, nano", "of the subject's area"), extension[1:]),
    ]


def photo_tables(figures: dict[str, Any]) -> str:
    """What `benchmarks.photos.measure_photos` found, as Markdown tables."""
    rows = [
        (
            Path(row["model"]).stem, row["way"], f"{row['mae']:.3f}", f"{row['iou']:.3f}", f"{row['worst_five']:.3f}",
            f"{row['recall']:.3f}", f"{row['band']:.3f}", f"{row['s_measure']:.3f}",
            f"{row['hurt_0.01']:.0%} / {row['hurt_0.02']:.0%}",
            f"{row['difference']:+.3f} ({row['interval'][0]:+.3f} to {row['interval'][1]:+.3f})",
            "" if row["seconds"] is None else f"{row['seconds']:.2f} s",
        )
        for row in figures["rows"]
    ]  # fmt: skip
    head = (
        "mask model", "", "MAE", "IoU", "worst five", "recall", "band", "S-measure", "worse by .01 / .02",
        "IoU beside plain (95 %)", "time",
    )  # fmt: skip
    groups = list(figures["rows"][0]["groups"])
    by_group = [
        (Path(row["model"]).stem, row["way"], *(f"{row['groups'][group]:.3f}" for group in groups))
        for row in figures["rows"]
    ]
    return "\n\n".join(
        [
            f"Masks of {figures['photos']} photos in {figures['folder']}:",
            _table(head, rows),
            _table(("IoU by group", "", *groups), by_group),
        ]
    )


def _ceiling(report: Report) -> str:
    rows = [
        (precision, *(f"{speeds[kind]:.0f} GOP/s" for kind in ("matmul", "convolution")))
        for precision, speeds in report["ceiling"].items()
    ]
    return _table(("ceiling", "matrix product", "convolution"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines: list[Sequence[str]] = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _stacked(report: Report) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The plots of times by stage: their files' names, and what is in them."""
    yield "stages", report.get("contenders") or report.get("own") or []
    cpu = re.sub(r"\W+", "-", report["machine"]["cpu"]).strip("-").lower()
    for instructions, entries in report.get("profiles", {}).items():
        yield f"stages-{cpu}-{instructions}", entries


def _stages(plt: Any, entries: Sequence[dict[str, Any]], path: Path) -> Path:
    figure, axes = plt.subplots(figsize=(10, 1.6 + 0.4 * len(entries)), layout="constrained")
    stages = list(dict.fromkeys(stage for entry in entries for stage in entry["stages"] if stage != "compile"))
    left = [0.0] * len(entries)
    for number, stage in enumerate(stages):
        widths = [entry["stages"].get(stage, 0.0) for entry in entries]
        label = "photo, text, encode" if stage == "before" else stage.replace("_", " ")
        axes.barh(range(len(entries)), widths, left=left, label=label, color=plt.get_cmap("tab10")(number))
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.set_yticks(range(len(entries)), [entry["name"] for entry in entries])
    axes.invert_yaxis()
    axes.set_xlabel("seconds, photo to picture, warm")
    figure.legend(ncols=4, frameon=False, loc="outside upper right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def plot(report: Report, folder: Path) -> list[Path]:
    """Writes `stages.png` (time per stage, stacked), one such for each profile, and `fidelity.png` (denoising time
    against PSNR); those it has figures for."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    written = [
        _stages(plt, entries, folder / f"{name}.png")
        for name, listed in _stacked(report)
        if (entries := [entry for entry in listed if "total" in entry])
    ]
    rows = [row for row in (report.get("fidelity") or []) if row["psnr"] < 100]
    if rows:
        figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
        for number, row in enumerate(rows):
            axes.plot(row["seconds"], row["psnr"], "o")
            # Above and below in turn, for neighbours in the list are neighbours in the plot.
            offset = 6, -12 if number % 2 else 6
            axes.annotate(row["name"], (row["seconds"], row["psnr"]), xytext=offset, textcoords="offset points")
        axes.set_xlabel("seconds of denoising, nano, 20 steps")
        axes.set_ylabel("PSNR of the background, dB")
        axes.margins(x=0.4, y=0.15)
        axes.spines[["top", "right"]].set_visible(False)
        written.append(folder / "fidelity.png")
        figure.savefig(written[-1], dpi=110)
        plt.close(figure)
    return written
