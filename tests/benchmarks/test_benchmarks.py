"""The benchmark: what it computes from its figures, and that the README tells the committed ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cyclorama.benchmarks import batches, ceiling, fidelity, front, pages, run, shapes
from cyclorama.benchmarks.contender import Contender
from cyclorama.benchmarks.report import plot, profiles, ratios, tables
from cyclorama.cli import main
from cyclorama.models.errors import BadModel
from tests.conftest import PHOTOS, ROOT

RESULTS = ROOT / "benchmarks" / "results.json"


def entry(key: str, total: float, step: float, **more: Any) -> dict[str, Any]:
    def spread(value: float) -> dict[str, float]:
        return {"median": value, "min": value, "max": value, "n": 1}

    return {
        "key": key,
        "name": f"{key}, as it is shown",
        "total": spread(total),
        "step": spread(step),
        "load": spread(1.0),
        "stages": {"before": 3.0, "denoise": 4 * step, "decode": 2.0},
        "peak_memory": 10**9,
        "disk": 10**9,
        **{key: spread(value) for key, value in more.items()},
    }


def test_ratios_are_of_medians_and_long_runs_are_computed() -> None:
    report = {
        "contenders": [
            entry("fast", 5.0, 1.0, second_prompt=4.0),
            entry("int8-4", 10.0, 2.0),
            entry("genai-4", 25.0, 5.0),
            entry("diffusers-f32", 27.0, 11.0),
            {"key": "quality", "name": "quality", "failure": "it failed"},
        ],
        "ceiling": {"int8": {"matmul": 900.0, "convolution": 1100.0}, "bf16": {"matmul": 500.0, "convolution": 1.0}},
        "unet_operations": {"attention": 100e9, "other": 800e9},
    }
    found = dict(ratios(report))
    assert found["`fast` against diffusers float32 at 50 guided steps (computed)"] == "111.00"  # (3 + 50 * 11 + 2) / 5
    assert found["`fast` against openvino-genai, 4 steps"] == "5.00"
    assert found["second prompt of `fast`, of the first"] == "0.80"
    assert found["int8 UNet step over its ideal time"] == "2.00"  # 0.8 s + 0.2 s at best
    assert not [name for name in found if "quality" in name]


def test_operations_of_the_unet_are_those_of_its_layers() -> None:
    found = shapes.multiplications()
    # Computed by hand from the layers' shapes: 402e9 multiplications, 63e9 of them in attention's own products.
    assert found["attention"] / 2e9 == pytest.approx(63, abs=1.5)
    assert sum(found.values()) / 2e9 == pytest.approx(402, abs=2)
    # By OpenVINO's shapes of the exported network.
    assert found["convolution"] == pytest.approx(444.06e9, rel=1e-4)


def test_a_contender_runs_in_a_process_of_its_own(nano_openvino: Path, tmp_path: Path) -> None:
    photo, mask = PHOTOS / "coffee.jpg", tmp_path / "mask.png"
    with Image.open(photo) as image:
        Image.fromarray(np.full((image.height, image.width), 255, np.uint8)).save(mask)
    options = {"num_inference_steps": 3}
    result = Contender("ours", "ours", "cyclorama", str(nano_openvino), options, repeats=2, has_second_prompt=True).run(
        photo, mask, tmp_path
    )
    assert len(result["runs"]) == 2
    assert len(result["runs"][0]["steps"]) == 2
    assert result["runs"][0]["second_prompt"] > 0
    assert result["peak_memory"] > 50e6
    with pytest.raises(RuntimeError, match=r"missing: .*no-such-model"):
        Contender("missing", "missing", "cyclorama", "no-such-model", options).run(photo, mask, tmp_path)


@pytest.mark.parametrize("kind", ["openvino-genai", "optimum-intel"])
def test_peers_run(kind: str, tmp_path: Path) -> None:
    from cyclorama.export import export_checkpoint
    from tests.checkpoints import make_checkpoint

    folder = export_checkpoint(make_checkpoint(tmp_path / "checkpoint"), tmp_path / "model")
    photo, mask = PHOTOS / "coffee.jpg", tmp_path / "mask.png"
    Image.new("L", (64, 64)).save(mask)
    options = {"num_inference_steps": 3, "guidance_scale": 2.0}
    result = Contender(kind, kind, kind, str(folder), options, size=128).run(photo, mask, tmp_path)
    # openvino-genai has told of one step fewer, once in many runs.
    assert len(result["runs"][0]["steps"]) in (1, 2)
    assert result["runs"][0]["stages"].keys() == {"before", "denoise", "decode"}


def test_the_ceiling_is_measured_in_int8() -> None:
    """The tiny network must really be computed in int8, or it would be no ceiling for one that is."""
    import openvino as ov

    for model, _ in (ceiling._matmul("int8"), ceiling._convolution("int8")):
        compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        types = {
            node.get_rt_info()["runtimePrecision"].astype(str)
            for node in compiled.get_runtime_model().get_ops()
            if node.get_rt_info()["layerType"].astype(str) in ("FullyConnected", "MatMul", "Convolution")
        }
        assert types
        assert types <= {"i8", "u8"}


def test_fidelity_finds_no_change_where_there_is_none(nano_openvino: Path) -> None:
    from cyclorama import BackgroundGenerator
    from cyclorama.export import Calibration
    from cyclorama.export.drift import drift

    calibration = Calibration.load()
    generator = BackgroundGenerator.load(nano_openvino, exact=True)
    scenes = calibration.scenes(generator)[:1]
    one, other = (fidelity.painted(generator, scenes, calibration, 1, {"num_inference_steps": 2}) for _ in range(2))
    assert drift(one, other)["psnr"] == 100
    assert fidelity._subject_error(one[0], scenes[0]) == 0


@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize("interval", [(0.0, 1.0), (0.0, 0.75), (0.25, 0.75)])
def test_work_is_what_is_asked_of_the_unet(
    nano_openvino: Path, every: int, interval: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    from cyclorama import BackgroundGenerator
    from cyclorama.engine.diffusion.networks import UNet
    from cyclorama.export import Calibration

    asked = []
    call = UNet.__call__

    def counted(self: UNet, sample: np.ndarray, *others: Any, **more: Any) -> Any:
        deep_features = others[3]
        asked.append(len(sample) * (front._SHALLOW if deep_features else 1))
        return call(self, sample, *others, **more)

    monkeypatch.setattr(UNet, "__call__", counted)
    options = {"num_inference_steps": 8, "cache_interval": every, "guidance_interval": interval}
    calibration = Calibration.load()
    generator = BackgroundGenerator.load(nano_openvino, exact=True)
    fidelity.painted(generator, calibration.scenes(generator)[:1], calibration, 1, options)
    assert sum(asked) == front.work(options)


def test_unknown_peers_and_file_types_are_refused(tmp_path: Path) -> None:
    for arguments in (["--peers", "photoshop"], ["--output", str(tmp_path / "figures.txt")]):
        outcome = CliRunner().invoke(main, ["benchmark", *arguments])
        assert outcome.exit_code == 2
        assert "photoshop" in outcome.output or ".json" in outcome.output


def test_quick_on_nano_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_of_model", lambda model: run_of_model(model)[:1])
    for side in ("_M", "_K", "_N"):
        monkeypatch.setattr(ceiling, side, 512)
    output = tmp_path / "figures.json"
    outcome = CliRunner().invoke(
        main, ["benchmark", "--quick", "--output", str(output), "--plots", str(tmp_path)], catch_exceptions=False
    )
    assert outcome.exit_code == 0, outcome.output
    report = json.loads(output.read_text())
    assert tables(report) in outcome.output
    assert report["own"][0]["step"]["n"] > 5
    assert (tmp_path / "stages.png").stat().st_size > 1000


run_of_model = run._of_model


def test_a_section_that_fails_costs_no_other(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object) -> None:
        raise BadModel("it is broken")

    monkeypatch.setattr(run, "_of_model", lambda model: [])
    monkeypatch.setattr(run, "_photo_sizes", fail)
    monkeypatch.setattr(run, "_cold", lambda scratch: 1.5)
    monkeypatch.setattr("cyclorama.benchmarks.fidelity.measure", fail)
    monkeypatch.setattr("cyclorama.benchmarks.ceiling.measure", lambda: {})
    report = run.benchmark()
    assert report["failures"] == {"photos": "it is broken", "fidelity": "it is broken"}
    assert report["cold_process"] == 1.5
    assert "photos could not be measured: it is broken" in caplog.text
    assert "1.5" in tables({key: value for key, value in report.items() if key != "ceiling"})


@pytest.mark.parametrize("name", pages.BLOCKS)
def test_pages_tell_the_committed_figures(name: str) -> None:
    told = (ROOT / pages.BLOCKS[name][0]).read_text(encoding="utf-8")
    assert told == pages.filled(name), "run: python -m cyclorama.benchmarks.pages"


def test_contenders_are_looked_up_by_key() -> None:
    """A label may be worded anew; what is computed stays."""
    report = json.loads(RESULTS.read_text())
    before = ratios(report)
    assert len(before) == 10
    for entry in report["contenders"]:
        entry["name"] = "?"
    assert ratios(report) == before
    keys = [entry["key"] for section in ("contenders", "capped", "sizes", "own") for entry in report[section]]
    assert len(set(keys)) == len(keys)


def test_machines_stand_side_by_side_under_each_instruction_set(tmp_path: Path) -> None:
    report = json.loads(RESULTS.read_text())
    core = [entry for entry in report["contenders"] if entry["key"] in ("fast", "genai-4")]
    machines = [
        {"machine": {"cpu": "A (R)", "cores": 2}, "profiles": {"amx_int8": core, "avx512_vnni": core[:1]}},
        {"machine": {"cpu": "B", "cores": 4}, "profiles": {"avx2": core}},
    ]
    head, _, fast, genai, ratio, *_ = profiles(machines).splitlines()
    assert [part.strip() for part in head.split("|")[2:-1]] == [
        "A (R), 2 cores, up to amx_int8", "A (R), 2 cores, up to avx512_vnni", "B, 4 cores, up to avx2",
    ]  # fmt: skip
    assert fast.count(" s (") == 3
    assert genai.count(" s (") == 2
    assert ratio.startswith("| `fast` against openvino-genai, 4 steps | 2.32 |  | 2.32 |")
    assert [path.name for path in plot(machines[0], tmp_path)] == [
        "stages-a-r-amx_int8.png",
        "stages-a-r-avx512_vnni.png",
    ]


def test_plots_are_drawn_from_the_committed_figures(tmp_path: Path) -> None:
    assert [path.name for path in plot(json.loads(RESULTS.read_text()), tmp_path)] == ["stages.png", "fidelity.png"]


def test_rates_leave_out_the_first_of_each_process_and_amdahl_holds() -> None:
    assert batches._rate([10.0, 12.0, 14.0, 11.0], processes=2) == pytest.approx(2 / 3)
    (same, *_), (_, ideal, shared, price) = [batches.computed(0.5, 2, 3600, 0.1)[number] for number in (0, 2)]
    assert same == 2
    assert (ideal, shared, price) == pytest.approx((0.5, 2 * (0.1 + 0.9 / 4), 0.4))
