"""The Space's container: what its Dockerfile and its front matter say, without Docker."""

from __future__ import annotations

import json
import re
import tomllib

import yaml
from click.testing import CliRunner
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cyclorama.cli import main
from tests.conftest import ROOT

DOCKERFILE = (ROOT / "space" / "Dockerfile").read_text(encoding="utf-8")


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile, each with its continued lines."""
    lines = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.M)).splitlines()
    return [(line.split()[0], line.partition(" ")[2]) for line in lines if line.strip()]


def stages() -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for word, rest in instructions():
        if word == "FROM":
            name = rest.partition(" AS ")[2] or "last"
            found[name] = [(word, rest)]
        elif name:
            found[name].append((word, rest))
    return found


def test_the_dockerfile_has_only_what_docker_knows() -> None:
    known = {"FROM", "ARG", "RUN", "USER", "WORKDIR", "ENV", "COPY", "EXPOSE", "CMD"}
    assert {word for word, _ in instructions()} <= known
    assert set(stages()) == {"installed", "fetched", "exported", "model", "last"}
    assert stages()["model"] == [("FROM", "${MODEL_STAGE} AS model")]


def test_what_runs_is_no_root_and_has_no_torch() -> None:
    made = stages()
    assert ("USER", "user") in made["installed"]
    assert any("--uid 1000" in rest for word, rest in made["installed"] if word == "RUN")
    assert made["last"][0] == ("FROM", "installed")
    assert "torch" not in json.dumps(made["installed"] + made["last"])
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (pin,) = [one for one in extras["export"] if one.startswith("torch==")]
    assert pin in json.dumps(made["exported"])


def test_what_it_installs_is_locked_and_what_the_package_allows() -> None:
    run = json.dumps(stages()["installed"])
    assert "--require-hashes -r /context/requirements.lock" in run
    lock = (ROOT / "space" / "requirements.lock").read_text(encoding="utf-8")
    locked = dict(re.findall(r"^([\w.-]+)==([\w.]+)", lock, re.M))
    assert len(re.findall(r"--hash=sha256:", lock)) >= len(locked) > 40
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for line in (*project["dependencies"], *extras["page"], *extras["serve"], *extras["heic"]):
        wanted = Requirement(line)
        if wanted.name != "cyclorama":
            assert locked[canonicalize_name(wanted.name)] in wanted.specifier, f"run: make lock ({line})"


def test_the_demo_is_locked_to_the_same_versions() -> None:
    locks = [
        set(re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / file).read_text(encoding="utf-8"), re.M))
        for file in ("requirements.lock", "space/requirements.lock")
    ]
    assert locks[0] <= locks[1], "run: make lock"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for line in project["dependencies"]:
        wanted = Requirement(line)
        versions = [version for name, version in locks[0] if name == canonicalize_name(wanted.name)]
        assert versions, f"run: make lock ({line})"
        assert all(version in wanted.specifier for version in versions), f"run: make lock ({line})"
    assert "--require-hashes -r requirements.lock" in (ROOT / "Makefile").read_text()


def test_its_command_is_one_of_ours_on_the_port_of_the_front_matter() -> None:
    (command,) = [json.loads(rest) for word, rest in stages()["last"] if word == "CMD"]
    assert command[:2] == ["sh", "-c"]
    words = command[2].replace('"$MODEL"', "nowhere").split()
    assert words[:3] == ["exec", "cyclorama", "serve"]
    outcome = CliRunner().invoke(main, words[2:])
    assert "there is no model 'nowhere'" in outcome.output  # all else was understood
    front = yaml.safe_load((ROOT / "space" / "README.md").read_text().split("---")[1])
    port = words[words.index("--port") + 1]
    assert str(front["app_port"]) == port
    assert ("EXPOSE", port) in stages()["last"]
    assert front["sdk"] == "docker"
    assert len(front["short_description"]) <= 60
    for command in re.findall(r"cyclorama (models pull|export) ", DOCKERFILE):
        assert CliRunner().invoke(main, [*command.split(), "--help"]).exit_code == 0
