# Every target sets up what it needs: the virtual environment in .venv is created on first use, by venv and pip,
# or by uv where UV names it, as in `make demo UV=uv`. Such a .venv has no pip, but its own uv, which later targets take.

PYTHON ?= python3
VENV := .venv
TORCHVISION := .venv-torchvision
MAS_TORCHVISION_PYTHON ?=
BIN := $(VENV)/bin
UV ?= $(if $(wildcard $(BIN)/pip),,$(wildcard $(BIN)/uv))
CREATE := $(if $(UV),$(UV) venv --quiet --allow-existing --python $(PYTHON),$(PYTHON) -m venv)
PIP := $(if $(UV),UV_PYTHON=$(BIN)/python $(UV) pip,$(BIN)/python -m pip --disable-pip-version-check)
EXTRAS := train,inspect,dask,eval,onnx,tensorboard,parquet,hub,webdataset,lightning,docs,dev

DATASET ?= folder
ROOT ?=
SPLIT ?= all
OUT ?= labels
WORKERS ?=
VIDEOS ?=
SHARDS ?=
RAW ?=
WEIZMANN ?=
ARGS ?=
DEMO := demo

# A machine with a GPU has its own torch and often no package registry: PYTHON=python3 runs the targets for it with that
# Python as it is, and builds the extensions where they lie. Without PYTHON they use .venv, too.
GPU_PYTHON := $(if $(filter file,$(origin PYTHON)),$(BIN)/python,$(PYTHON))
GPU_READY := $(if $(filter file,$(origin PYTHON)),$(VENV)/installed,extensions)

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-gpu bench-gpu extensions test-matrix wheel wheel-aarch64 fuzz kill-loop lint format labels bench-flow bench-flow-tool bench-labels bench-workers bench-train bench-storage \
	bench-stored-flow bench-shot-cuts bench-scale test-sanitize test-avx512 golden docs docs-reference docs-pictures notebooks install install-headless lock \
	reproduce-small reproduce-pilots reproduce-ucf101 reproduce-kinetics release clean

help: ## List the targets.
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | awk -F'\t' '{printf "make %-18s %s\n", $$1, $$2}'

$(VENV)/installed: setup.cfg setup.py pyproject.toml constraints.txt $(wildcard mas_labels/native/*/*)
	$(CREATE) $(VENV)
	$(PIP) install --quiet -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

install: $(VENV)/installed ## Set up .venv with everything.

install-headless: $(VENV)/installed ## Set up .venv with an OpenCV that needs neither a display nor libGL.
	$(PIP) uninstall --quiet --yes opencv-contrib-python
	$(PIP) install --quiet -c constraints.txt --force-reinstall --no-deps opencv-contrib-python-headless

# torch names the CUDA packages of each of its builds itself; torchvision has an environment of its own.
lock: $(VENV)/installed ## Write constraints.txt: versions for all of setup.cfg, those it has where they still fit; ARGS=--upgrade: the newest.
	echo opencv-contrib-python-headless | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras \
		--no-annotate --no-header --no-emit-package torchvision --output-file constraints.txt setup.cfg - $(ARGS)
	sed -i -e '1i # The versions this project is tested with, written by `make lock`: pip install -c constraints.txt ...' \
		-e '/^\(cuda-\|nvidia-\|triton=\)/d' constraints.txt

demo: $(VENV)/installed ## Run the main job on the built-in demo: videos, shards, a short training run, a report.
	$(BIN)/mas-labels demo --out $(DEMO)/videos
	$(BIN)/mas-labels make --manifest demo --root $(DEMO)/videos --split train --out $(DEMO)/labels
	$(BIN)/mas-labels make --manifest demo --root $(DEMO)/videos --split test --out $(DEMO)/tests --frames-only
	rm -rf $(DEMO)/run
	$(BIN)/mas-train --shards $(DEMO)/labels/*.h5 --out $(DEMO)/run --max-steps 60 --batch-size 8 --width 0.25 --fc-width 256
	$(BIN)/mas-labels report $(DEMO)/labels --run $(DEMO)/run --out $(DEMO)/report.html
	@echo "look at $(DEMO)/report.html"

labels: $(VENV)/installed ## Label a data set: make labels DATASET=ucf101 ROOT=/data/UCF-101 SPLIT=train1 [OUT=labels] [WORKERS=8] [ARGS=...]
	@test -n "$(ROOT)" || { echo "error: ROOT is missing, the folder of the videos: make labels DATASET=$(DATASET) ROOT=/data/videos" >&2; exit 2; }
	$(BIN)/mas-labels make --manifest "$(DATASET)" --root "$(ROOT)" --split "$(SPLIT)" --out "$(OUT)" $(if $(WORKERS),--workers $(WORKERS)) $(ARGS)

reproduce-small: $(VENV)/installed ## Run the small experiment, in three and a half hours on two cores: make reproduce-small ROOT=/data/UCF-101 [WEIZMANN=...] [ARGS="--root /data/more --dry-run"]
	@test -n "$(ROOT)" || { echo "error: ROOT is missing, the folder of UCF101's class folders, all or some: make reproduce-small ROOT=/data/UCF-101" >&2; exit 2; }
	$(BIN)/mas-reproduce small --root "$(ROOT)" $(if $(WEIZMANN),--weizmann "$(WEIZMANN)") $(ARGS)

reproduce-pilots: $(VENV)/installed ## Make the choices that its protocol left to them, on split 1, in 40 minutes on two cores: make reproduce-pilots ROOT=/data/UCF-101 [ARGS="--root /data/more"]
	@test -n "$(ROOT)" || { echo "error: ROOT is missing, the folder of UCF101's class folders: make reproduce-pilots ROOT=/data/UCF-101" >&2; exit 2; }
	$(BIN)/mas-reproduce pilots --root "$(ROOT)" $(ARGS)

reproduce-ucf101: $(VENV)/installed ## Run the experiments of the paper's tables, on one GPU: make reproduce-ucf101 ROOT=/data/UCF-101 [ARGS="--hmdb51 ... --dry-run"]
	@test -n "$(ROOT)" || { echo "error: ROOT is missing, the folder of UCF101: make reproduce-ucf101 ROOT=/data/UCF-101" >&2; exit 2; }
	$(BIN)/mas-reproduce ucf101 --root "$(ROOT)" $(ARGS)

reproduce-kinetics: $(VENV)/installed ## Run the paper's experiments with pre-training on Kinetics-400: make reproduce-kinetics ROOT=/data/k400 ARGS="--ucf101 /data/UCF-101"
	@test -n "$(ROOT)" || { echo "error: ROOT is missing, the folder of Kinetics-400: make reproduce-kinetics ROOT=/data/k400 ARGS='--ucf101 ...'" >&2; exit 2; }
	$(BIN)/mas-reproduce kinetics --root "$(ROOT)" $(ARGS)

test: $(VENV)/installed ## Run the fast tests, in two processes, each file in one of them.
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

# torchvision needs the build of torch that it was made for, so it gets a separate environment (5.5 GB).
$(TORCHVISION)/installed:
	$(CREATE) $(TORCHVISION)
	$(subst $(BIN)/python,$(TORCHVISION)/bin/python,$(PIP)) install --quiet torch==2.14.1 torchvision==0.29.1
	@touch $@

test-slow: $(VENV)/installed $(if $(MAS_TORCHVISION_PYTHON),,$(TORCHVISION)/installed) ## Run the fast and the slow tests; MAS_TORCHVISION_PYTHON=... names a Python with torchvision, or one is created.
	MAS_TORCHVISION_PYTHON="$(or $(MAS_TORCHVISION_PYTHON),$(CURDIR)/$(TORCHVISION)/bin/python)" \
		$(BIN)/python -m pytest -q -m "slow or not slow"

extensions:
	$(GPU_PYTHON) setup.py -q build_ext --inplace

test-gpu: $(GPU_READY) ## Test every path on a GPU, beside the CPU, in a few minutes: make test-gpu [PYTHON=python3]
	$(GPU_PYTHON) -m pytest -q -rs tests/gpu --device cuda $(ARGS)

test-matrix: $(VENV)/installed ## Every supported Python on this machine, with the oldest and the newest allowed versions: make test-matrix [ARGS="--python 3.12 --extras inspect,dask"]
	$(BIN)/python tests/run_matrix.py $(ARGS)

wheel: $(VENV)/installed ## Build dist/: the source distribution and one wheel for all supported Pythons; test it on each of them here.
	$(BIN)/python tests/build_wheel.py $(ARGS)

wheel-aarch64: $(VENV)/installed ## Add the wheel for 64-bit ARM to dist/, from an x86-64 machine; test it in QEMU.
	$(BIN)/python tests/build_aarch64.py

fuzz: $(VENV)/installed ## Read 5,000 corrupted videos, shards and checkpoints: half an hour or more.
	$(BIN)/python -m pytest -q -m "slow or not slow" tests/video/test_fuzz_videos.py tests/shards/test_fuzz_readers.py

kill-loop: $(VENV)/installed ## Kill labelling 200 times and training 50 times: about an hour.
	$(BIN)/python -m pytest -q -m slow tests/whole/test_kill.py

lint: $(VENV)/installed ## Run ruff and mypy.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed ## Format the code and apply ruff's automatic fixes.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench-flow: $(VENV)/installed ## Compare our TV-L1 with OpenCV's and other estimators: make bench-flow VIDEOS=/data/UCF-101 [ARGS="--size 240x320 --clips 4"]
	@test -n "$(VIDEOS)" || { echo "error: VIDEOS is missing, a folder of videos: make bench-flow VIDEOS=/data/videos" >&2; exit 2; }
	$(BIN)/python benchmarks/bench_flow.py --videos "$(VIDEOS)" $(ARGS)

bench-flow-tool: $(VENV)/installed ## Compare `mas-labels flow` with a loop around OpenCV's TV-L1; time of writing: make bench-flow-tool VIDEOS=/data/UCF-101 [ARGS="--count 2"]
	@test -n "$(VIDEOS)" || { echo "error: VIDEOS is missing, a folder of videos: make bench-flow-tool VIDEOS=/data/videos" >&2; exit 2; }
	$(BIN)/python benchmarks/bench_flow_tool.py --videos "$(VIDEOS)" $(ARGS)

bench-train: $(VENV)/installed ## Measure reading and training: make bench-train SHARDS=labels RAW=labels_raw [ARGS="--width 1"]
	@test -n "$(SHARDS)" -a -n "$(RAW)" || { echo "error: SHARDS or RAW is missing, folders of shards: make bench-train SHARDS=labels RAW=labels_raw, the second made with --frames raw" >&2; exit 2; }
	$(BIN)/python benchmarks/bench_train.py --jpeg "$(SHARDS)" --raw "$(RAW)" $(ARGS)

bench-gpu: $(GPU_READY) ## Measure training on a GPU, in a few minutes: make bench-gpu [PYTHON=python3] [ARGS="--workers 1,8"]
	PYTHONPATH="$(CURDIR)" $(GPU_PYTHON) benchmarks/bench_gpu.py $(ARGS)

bench-labels: $(VENV)/installed ## Measure time and bytes of each stage of labelling: make bench-labels VIDEOS=/data/UCF-101 [ARGS="--count 8"]
	@test -n "$(VIDEOS)" || { echo "error: VIDEOS is missing, a folder of videos: make bench-labels VIDEOS=/data/videos" >&2; exit 2; }
	$(BIN)/python benchmarks/bench_labels.py --videos "$(VIDEOS)" $(ARGS)

bench-workers: $(VENV)/installed ## Measure labelling by one worker and by two, in turns: make bench-workers VIDEOS=/data/UCF-101 [ARGS="--rounds 2"]
	@test -n "$(VIDEOS)" || { echo "error: VIDEOS is missing, a folder of videos: make bench-workers VIDEOS=/data/videos" >&2; exit 2; }
	$(BIN)/python benchmarks/bench_workers.py --videos "$(VIDEOS)" $(ARGS)

bench-stored-flow: $(VENV)/installed ## Measure what storing flow does to the labels: make bench-stored-flow VIDEOS="/data/UCF-101" [ARGS="--count 120"]
	@test -n "$(VIDEOS)" || { echo "error: VIDEOS is missing, folders of videos: make bench-stored-flow VIDEOS=/data/videos" >&2; exit 2; }
	$(BIN)/python benchmarks/stored_flow.py --videos $(VIDEOS) $(ARGS)

bench-shot-cuts: $(VENV)/installed ## Measure the errors of the rule for shot cuts: make bench-shot-cuts VIDEOS="/data/UCF-101 /data/hmdb51"
	@test -n "$(VIDEOS)" || { echo "error: VIDEOS is missing, folders of videos: make bench-shot-cuts VIDEOS=/data/videos" >&2; exit 2; }
	$(BIN)/python benchmarks/shot_cuts.py --videos $(VIDEOS) $(ARGS)

bench-scale: $(VENV)/installed ## Measure planning, status, resuming and opening of very many shards, and a dask cluster: make bench-scale [ARGS="--videos 300000 --keep DIR"]
	$(BIN)/python benchmarks/bench_scale.py $(ARGS)

bench-storage: $(VENV)/installed ## Measure bytes and time of JPEG qualities, types and compression: make bench-storage VIDEOS=/data/UCF-101
	@test -n "$(VIDEOS)" || { echo "error: VIDEOS is missing, a folder of videos: make bench-storage VIDEOS=/data/videos" >&2; exit 2; }
	$(BIN)/python benchmarks/bench_storage.py --videos "$(VIDEOS)" $(ARGS)

test-sanitize: $(VENV)/installed ## Test the extension modules under the address and undefined-behaviour sanitizers: a few minutes.
	MAS_REQUIRE_NATIVE=1 MAS_SANITIZE="-O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all" \
		$(BIN)/python setup.py -q build --build-base build/sanitize
	export LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libstdc++.so)" \
		ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=1 PYTHONPATH="$$(echo "$$PWD"/build/sanitize/lib*)"; \
		$(BIN)/python tests/native/check_sanitized.py && \
		$(BIN)/pytest -q -s -p no:cacheprovider tests/flow/test_tvl1*.py tests/labels tests/native tests/video/test_area_average.py

test-avx512: $(VENV)/installed ## Compare AVX-512 with AVX2 on an emulated processor (Bochs): five minutes.
	$(BIN)/python tests/native/avx512/run_emulated.py

golden: $(VENV)/installed ## Regenerate the golden files of the tests; review the difference before you commit it.
	$(BIN)/python tests/helpers/make_golden.py

docs: $(VENV)/installed ## Build the documentation into docs/_build; a warning is an error.
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build
	@echo "look at docs/_build/index.html"

docs-reference: $(VENV)/installed ## Regenerate the pages on commands and the file format, from --help and the schema.
	$(BIN)/python docs/reference.py

docs-pictures: $(VENV)/installed ## Regenerate the pictures of the documentation, from the demo and the code.
	$(BIN)/python docs/draw_rooms.py
	$(BIN)/python docs/make_pictures.py

notebooks: $(VENV)/installed ## Install JupyterLab and open the notebooks; make demo first.
	$(PIP) install --quiet -c constraints.txt -e '.[notebooks]'
	$(BIN)/jupyter lab notebooks

release: $(VENV)/installed ## Build what is to be uploaded into dist/, from a tree as committed, and check it: lint, docs, test, wheel; uploads nothing.
	$(BIN)/python tests/check_release.py tree
	$(MAKE) lint docs test wheel
	$(BIN)/python tests/check_release.py dist

clean: ## Remove the virtual environment and build outputs; labels and runs stay.
	rm -rf $(VENV) build dist docs/_build docs/benchmarks *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
