PYTHON ?= python3
VENV ?= .venv
PHOTO ?= docs/photos/astronaut.jpg
PROMPT ?= a sandy beach at sunset
OUT ?= out/demo.png

.PHONY: demo test check browser space format nano pictures screenshots fuzz kills full soak audit lock clean

demo: $(VENV)/.runtime  ## the main job on a shipped photo, with the embedded model
	@mkdir -p $(dir $(OUT))
	$(VENV)/bin/cyclorama generate "$(PHOTO)" -p "$(PROMPT)" -o "$(OUT)"

test: check browser  ## everything CI asks for
	$(VENV)/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder --durations 15

check: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

browser:  ## Debian's Chromium, in which the page is tested; another one is named in CHROMIUM
	@command -v "$${CHROMIUM:-chromium}" >/dev/null \
	|| { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >/dev/null 2>&1 \
	|| { echo "the page is tested in Chromium, and it could not be installed: apt-get install chromium, or name a browser in CHROMIUM" >&2; exit 1; }

# Without Docker: the Dockerfile's last stage by hand and its very command, as its user where that one may run this Python.
AS_USER = setpriv --reuid=1000 --regid=1000 --clear-groups
CONTAINER = $(CURDIR)/out/container
space: $(VENV)/.dev  ## a Space's whole folder in out/space, installed and run here as its container would
	rm -rf out/space out/container
	mkdir -p out/space out/container/home
	$(VENV)/bin/pip wheel --quiet --no-deps -w out/space .
	cp space/README.md space/Dockerfile space/requirements.lock out/space/
	$(PYTHON) -m venv out/container/venv
	out/container/venv/bin/pip install --quiet --no-cache-dir --require-hashes -r out/space/requirements.lock
	out/container/venv/bin/pip install --quiet --no-cache-dir --no-deps out/space/cyclorama-*.whl
	@du -sm out/container/venv | awk '{ print $$1 " MB are installed, beside python:3.11-slim" }'
	@as="$(AS_USER)"; $$as env $(CONTAINER)/venv/bin/python -c "" 2>/dev/null && chown 1000 out/container/home || as=; \
	cd out/container/home && exec $$as env -i HOME="$$PWD" MODEL=nano PATH="$(CONTAINER)/venv/bin:/usr/bin:/bin" \
	  python -c 'import json, os, re; words = json.loads(re.search("^CMD (.*)", open("$(CURDIR)/space/Dockerfile").read(), re.M)[1]); os.execvp(words[0], words)'

format: $(VENV)/.dev
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

pictures: $(VENV)/.runtime  ## the README's pictures
	$(VENV)/bin/python docs/make_pictures.py

screenshots: $(VENV)/.dev browser  ## the page in every state, and three of them for the documentation
	$(VENV)/bin/python docs/make_screenshots.py out/screenshots
	mkdir -p docs/page
	for name in desktop-light-3-mask desktop-light-8-results phone-dark-8-results; do \
	  $(VENV)/bin/python -c 'import sys; from PIL import Image; Image.open(sys.argv[1]).convert("RGB").save(sys.argv[2], quality=85)' \
	    out/screenshots/$$name.png docs/page/$$name.jpg; done

nano: $(VENV)/.dev  ## the embedded model, exported again from its checkpoint
	rm -rf models/nano/onnx
	$(VENV)/bin/python -c "from cyclorama.export import export_checkpoint; export_checkpoint('models/nano/checkpoint', 'models/nano/onnx', format='onnx', name='nano')"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: pyproject.toml requirements.lock | $(VENV)/bin/python
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

# torch first and by exact version: a looser request would bring the CUDA build and its gigabytes.
$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $@ $(VENV)/.runtime

fuzz: $(VENV)/.dev  ## 10,000 spoilt files and requests; SEED=N for others
	$(VENV)/bin/python -m tests.reliability.fuzz --seed $(or $(SEED),0)

kills: $(VENV)/.dev  ## every command killed or crashed at random moments; SEED=N for others
	$(VENV)/bin/python -m tests.reliability.kills --seed $(or $(SEED),0)

full: $(VENV)/.dev  ## every command on disks that fill up (Linux); SEED=N for others, QUOTA=1: told as a quota
	$(VENV)/bin/python -m tests.reliability.full --seed $(or $(SEED),0) $(if $(QUOTA),--quota)

soak: $(VENV)/.dev  ## 900 requests to one process: memory, descriptors, threads and files stay
	mkdir -p out
	$(VENV)/bin/python -m tests.reliability.soak --seed $(or $(SEED),0) --plot out/soak.png

audit:  ## known advisories against what the runtime and the page install, and their licences
	$(PYTHON) -m venv out/audit
	out/audit/bin/pip install --quiet --disable-pip-version-check ".[page]" pip-audit pip-licenses
	out/audit/bin/pip-licenses --from=mixed --partial-match \
	  --allow-only "MIT;BSD;Apache;ISC;PSF;Python Software Foundation;Mozilla;MPL;HPND;CMU;Unlicense;Public Domain;ZPL;0BSD"
	out/audit/bin/pip-audit --strict

lock:  ## what the Space and the demo install again, the newest that pyproject.toml allows, with hashes
	$(PYTHON) -m venv out/lock
	out/lock/bin/pip install --quiet --disable-pip-version-check uv
	out/lock/bin/uv pip compile pyproject.toml --extra page --generate-hashes --python-version 3.11 --universal \
	  --no-header --quiet --upgrade -o space/requirements.lock
	out/lock/bin/uv pip compile pyproject.toml --constraints space/requirements.lock --generate-hashes \
	  --python-version 3.11 --universal --no-header --quiet -o requirements.lock

clean:
	rm -rf $(VENV) out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
