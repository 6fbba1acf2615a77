"""The shape of the project: who may import whom, what the runtime weighs, what the wheel holds."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

from tests.conftest import ROOT

# What each package may import of the others. Exports are verified, and calibrated, on the very engine that serves.
ALLOWED = {
    "cli": {"commands"},
    "commands": {"batch", "places", "space", "serving", "engine", "export", "models", "benchmarks"},
    "batch": {"places", "engine", "models"},
    "places": {"engine"},
    "space": {"serving", "engine", "models"},
    "serving": {"engine", "models"},
    "benchmarks": {"engine", "export", "models"},
    "engine": {"models"},
    "export": {"models", "engine"},
    "models": set(),
    "training": {"models", "engine", "export", "benchmarks"},
}
EXPORT_MAY_USE_OF_ENGINE = {
    "engine.arrays", "engine.backends", "engine.checks", "engine.compositing.placement", "engine.diffusion.frame",
    "engine.diffusion.model_folder", "engine.diffusion.tokenizer", "engine.errors", "engine.notes", "engine.options",
}  # fmt: skip
HEAVY = (
    "torch", "transformers", "diffusers", "optimum", "rembg", "scipy", "cv2", "cyclorama.export",
    "cyclorama.benchmarks", "cyclorama.cli", "cyclorama.serving", "fastapi", "cyclorama.space", "streamlit",
    "cyclorama.batch",
)  # fmt: skip


def imports(file: Path) -> set[str]:
    """What a module imports; of ours the path below `cyclorama`, and `cyclorama` for its public names."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    clashing = {name for name in found if name.split(".")[0] in {*ALLOWED} - {"training"}}
    assert not clashing, f"{file} imports {clashing}, which may be anybody's; ours begin with `cyclorama.`"
    return {name.removeprefix("cyclorama.") for name in found}


def files(package: str) -> list[Path]:
    """A package's modules."""
    if package == "cli":
        return [ROOT / "cli.py"]
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_point_one_way(package: str) -> None:
    assert files(package)
    for file in files(package):
        for module in imports(file):
            other = module.split(".")[0]
            if file.name == "reference.py" and other == "cli":
                continue  # it writes the page about all commands, and is run by itself
            if other in ALLOWED and other != package:
                assert other in ALLOWED[package], f"{file} imports {module}"
            if package == "export" and other == "engine":
                assert module in EXPORT_MAY_USE_OF_ENGINE, f"{file} imports {module}"
            if package in ("engine", "models"):
                forbidden = ("torch", "diffusers", "transformers", "optimum", "cyclorama")
                assert other not in forbidden, f"{file} imports {module}"


def test_backends_import_nothing_of_the_pipeline() -> None:
    allowed = {"engine.backends", "engine.errors", "engine.machine", "engine.notes", "engine.options"}
    for file in sorted((ROOT / "engine" / "backends").glob("*.py")):
        for module in imports(file):
            if module.startswith("engine"):
                assert any(module == name or module.startswith(f"{name}.") for name in allowed), f"{file}: {module}"


def test_what_the_engine_exports_is_there_and_comes_when_asked_for() -> None:
    code = (
        "import sys, cyclorama, cyclorama.engine.errors\n"
        "assert not {'numpy', 'onnxruntime', 'openvino', 'PIL'} & sys.modules.keys()\n"
        "for name in cyclorama.__all__:\n"
        "    value = getattr(cyclorama, name)\n"
        "    where = getattr(value, '__module__', 'cyclorama.engine')\n"
        "    assert where.startswith(('cyclorama.engine', 'cyclorama.models')), name\n"
        "assert set(dir(cyclorama)) == set(cyclorama.__all__)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_whole_run_pulls_in_nothing_heavy() -> None:
    code = (
        "import sys, numpy as np\n"
        "from cyclorama import BackgroundGenerator\n"
        "g = BackgroundGenerator.load()\n"
        "s = g.prepare(sys.argv[1])\n"
        "g.generate(s, 'a garden', num_inference_steps=1)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, str(ROOT / "docs" / "photos" / "coffee.jpg")],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert child.stdout.strip() == "[]"


def closure(name: str, seen: set[str]) -> set[str]:
    """A distribution and all that it requires, without extras, as installed here."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    name = canonicalize_name(name)
    if name not in seen:
        seen.add(name)
        for line in distribution(name).requires or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                closure(requirement.name, seen)
    return seen


def test_the_runtime_stays_under_500_mb_and_without_torch() -> None:
    names = closure("cyclorama", set())
    assert names.isdisjoint({"torch", "transformers", "diffusers", "optimum", "rembg", "scipy"})
    sizes = {
        name: sum(Path(str(file.locate())).stat().st_size for file in distribution(name).files or () if _exists(file))
        for name in names
    }
    assert sizes["openvino"] > 50e6
    assert sum(sizes.values()) < 478e6, sizes  # pip and setuptools take another 20 MB


def _exists(file: object) -> bool:
    return Path(str(file.locate())).is_file()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An sdist, and the wheel that is built of it.

    Of what git knows, in a folder of its own: what an earlier build left behind would hide what is missing.
    """
    clean, out = tmp_path_factory.mktemp("clean"), tmp_path_factory.mktemp("release")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (clean / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clean / name)
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), "."]
    subprocess.run(build, cwd=clean, check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def wheel(release: Path) -> Path:
    (built,) = release.glob("*.whl")
    return built


def test_a_release_could_be_uploaded(release: Path) -> None:
    files = sorted(map(str, release.iterdir()))
    assert len(files) == 2
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *files], check=True, capture_output=True)


def test_the_version_is_one() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)[1] == version  # type: ignore[index]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    for file in ("notebooks/generate_bg.ipynb", "space/README.md"):
        assert f"cyclorama-{version}-py3-none-any.whl" in (ROOT / file).read_text()


def test_the_oldest_allowed_versions_paint(wheel: Path, tmp_path: Path) -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    oldest = [f"{name}=={version}" for name, version in (re.findall(r"([\w-]+)>=([\w.]+)", line)[0] for line in wanted)]
    assert len(oldest) == len(wanted)
    venv.create(tmp_path / "old", with_pip=False)
    python = str(tmp_path / "old" / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, str(wheel), *oldest], check=True, capture_output=True)
    for backend in ("openvino", "onnx"):
        words = ["generate", str(ROOT / "docs/photos/cat.jpg"), "-p", "a beach", "--steps", "2", "--backend", backend]
        words = [python, "-P", "-m", "cyclorama", *words, "-o", str(tmp_path / f"{backend}.png")]
        ran = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr


def test_the_wheel_holds_the_embedded_models_and_stays_small(wheel: Path) -> None:
    assert wheel.stat().st_size < 100e6
    names = set(zipfile.ZipFile(wheel).namelist())
    parts = ("text_encoder", "unet", "vae_encoder", "vae_decoder")
    expected = {f"cyclorama/models/nano/onnx/{part}/model.onnx" for part in parts}
    expected |= {f"cyclorama/export/calibration_set/{name}" for name in ("cat.jpg", "prompts.txt")}
    expected |= {
        "cyclorama/models/u2netp/u2netp.onnx",
        "cyclorama/models/u2net/u2net_int8.onnx",
        "cyclorama/cli.py",
        "cyclorama/engine/backends/ov.py",
    }
    assert {"cyclorama/py.typed", "cyclorama/__main__.py"} | expected <= names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"cyclorama"}
    assert not [name for name in names if "checkpoint/" in name]


def test_the_wheel_paints_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    """Installed, not editable, beside this environment's dependencies; files that were forgotten break here only."""
    empty = tmp_path / "empty"
    venv.create(empty, with_pip=False)
    python = empty / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    # A path that a .pth file adds brings packages, but not the .pth files there: an editable install does not count.
    site = next(empty.glob("lib/python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    work = tmp_path / "work"
    work.mkdir()
    photo = str(shutil.copy(ROOT / "docs" / "photos" / "cat.jpg", work))
    for name in ("engine.py", "export.py", "cli.py", "models/__init__.py", "benchmarks/__init__.py"):
        (work / name).parent.mkdir(exist_ok=True)
        (work / name).write_text("raise SystemExit('this is not the package, but a person's own file')")
    code = (
        "import cyclorama\n"
        "from cyclorama import BackgroundGenerator\n"
        f"assert cyclorama.__file__.startswith({str(site)!r})\n"
        "generator = BackgroundGenerator.load('nano')\n"
        f"generator.generate(generator.prepare({photo!r}), 'a beach', num_inference_steps=2, seed=1).save('api.png')\n"
        "from cyclorama.export import Calibration; Calibration.load()\n"
    )
    command = str(empty / "bin" / "cyclorama")
    for words in (
        [str(python), "-c", code],
        [str(python), "-m", "cyclorama", "doctor"],
        [command, "generate", photo, "-p", "a beach", "--steps", "2", "--seed", "1", "-o", "cli.png"],
        [command, "mask", photo, "-o", "mask.png"],
        [command, "models", "verify", "nano"],
        [command, "models", "show", "nano"],
    ):
        ran = subprocess.run(words, cwd=work, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
    assert (work / "api.png").read_bytes() == (work / "cli.png").read_bytes()


def test_no_host_or_private_path_is_named() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    pattern = re.compile(r"\.\./shared|/work/|pypi\.org|pythonhosted|npmjs\.org|deb\.debian")
    for name in tracked:
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".yaml", ".json", ".txt") and path.name != "test_architecture.py":
            assert not pattern.search(path.read_text(encoding="utf-8")), name


def test_only_tests_that_compare_with_torch_import_it() -> None:
    """`pytest tests/engine/compositing` runs at once, and where torch is not installed."""
    stack = {"torch", "diffusers", "transformers", "optimum", "tests.checkpoints"}
    wanting = {
        file.relative_to(ROOT / "tests").as_posix()
        for file in (ROOT / "tests").rglob("*.py")
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if (isinstance(node, ast.ImportFrom) and node.module and {node.module, node.module.split(".")[0]} & stack)
        or (isinstance(node, ast.Import) and {alias.name.split(".")[0] for alias in node.names} & stack)
    }
    assert wanting == {
        "checkpoints.py", "engine/diffusion/test_samplers.py", "engine/diffusion/test_tokenizer.py",
        "export/test_export.py", "export/test_half.py", "export/test_parity.py", "export/test_quantised_vae.py",
        "export/test_sources.py", "export/test_subpixel.py", "reliability/full.py", "reliability/fuzz.py",
        "reliability/kills.py", "reliability/test_two_at_once.py",
        "training/test_evaluation.py", "training/test_training.py",
    }  # fmt: skip


def test_what_the_pages_name_is_there() -> None:
    """Files that README and docs send a reader to, and the links between them."""
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"\b(?:tests|engine|export|models|commands|benchmarks)/[\w/]+\.(?:py|json|md)\b", text):
            assert (ROOT / name).is_file(), f"{page} names {name}"
        for link in re.findall(r"\]\(([^)#]+)\)", text):
            assert "://" in link or (page.parent / link).exists(), f"{page} links to {link}"


def test_pages_stay_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 1100
    assert len((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()) <= 80
