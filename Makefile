PYTHON ?= python3
VENV ?= .venv
PHOTO ?= docs/photos/astronaut.jpg
PROMPT ?= a sandy beach at sunset
OUT ?= out/demo.png

.PHONY: demo test check browser format nano pictures clean

demo: $(VENV)/.runtime  ## the main job on a shipped photo, with the embedded model
	@mkdir -p $(dir $(OUT))
	$(VENV)/bin/cyclorama generate "$(PHOTO)" -p "$(PROMPT)" -o "$(OUT)"

test: check browser  ## everything CI asks for
	$(VENV)/bin/pytest -n 2 --dist loadfile

check: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

browser:  ## Debian's Chromium, in which the page is tested; another one is named in CHROMIUM
	@command -v "$${CHROMIUM:-chromium}" >/dev/null \
	|| { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >/dev/null 2>&1 \
	|| { echo "the page is tested in Chromium, and it could not be installed: apt-get install chromium, or name a browser in CHROMIUM" >&2; exit 1; }

format: $(VENV)/.dev
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

pictures: $(VENV)/.runtime  ## the README's pictures
	$(VENV)/bin/python docs/make_pictures.py

nano: $(VENV)/.dev  ## the embedded model, exported again from its checkpoint
	rm -rf models/nano/onnx
	$(VENV)/bin/python -c "from cyclorama.export import export_checkpoint; export_checkpoint('models/nano/checkpoint', 'models/nano/onnx', format='onnx', name='nano')"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -e .
	@touch $@

# torch first and by exact version: a looser request would bring the CUDA build and its gigabytes.
$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $@ $(VENV)/.runtime

clean:
	rm -rf $(VENV) out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
