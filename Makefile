# Every target sets up what it needs: the virtual environment in .venv is made on first use.

PYTHON ?= python3
VENV := .venv
TORCHVISION := .venv-torchvision
MAS_TORCHVISION_PYTHON ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

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

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-matrix fuzz kill-loop lint format labels bench-flow bench-labels bench-train bench-storage \
	test-sanitize test-avx512 golden docs docs-reference docs-pictures notebooks install install-headless \
	reproduce-small reproduce-pilots reproduce-ucf101 reproduce-kinetics clean

help: ## List the targets.
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | awk -F'\t' '{printf "make %-18s %s\n", $$1, $$2}'

$(VENV)/installed: setup.cfg setup.py pyproject.toml constraints.txt $(wildcard mas_labels/native/*/*)
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet -c constraints.txt -e '.[train,inspect,dask,eval,export,onnx,tensorboard,docs,dev]'
	@touch $@

install: $(VENV)/installed ## Set up .venv with everything.

install-headless: ## Set up .venv with the OpenCV that needs no display or libGL.
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet -c constraints.txt -e '.[train,inspect,dask,eval,export,onnx,tensorboard,docs,dev]'
	$(PIP) uninstall --quiet --yes opencv-contrib-python
	$(PIP) install --quiet -c constraints.txt --force-reinstall --no-deps opencv-contrib-python-headless
	@touch $(VENV)/installed

demo: $(VENV)/installed ## The main job on the built-in demo: videos, shards, a short training run, a page.
	$(BIN)/mas-labels demo --out $(DEMO)/videos
	$(BIN)/mas-labels make --manifest demo --root $(DEMO)/videos --split train --out $(DEMO)/labels
	$(BIN)/mas-labels make --manifest demo --root $(DEMO)/videos --split test --out $(DEMO)/tests --frames-only
	rm -rf $(DEMO)/run
	$(BIN)/mas-train --shards $(DEMO)/labels/*.h5 --out $(DEMO)/run --max-steps 60 --batch-size 8 --width 0.25 --fc-width 256
	$(BIN)/mas-labels report $(DEMO)/labels --run $(DEMO)/run --out $(DEMO)/report.html
	@echo "look at $(DEMO)/report.html"

labels: $(VENV)/installed ## Label a data set: make labels DATASET=ucf101 ROOT=/data/UCF-101 SPLIT=train1 [OUT=labels] [WORKERS=8] [ARGS=...]
	@test -n "$(ROOT)" || { echo "error: say where the videos are: make labels DATASET=$(DATASET) ROOT=/data/videos" >&2; exit 2; }
	$(BIN)/mas-labels make --manifest "$(DATASET)" --root "$(ROOT)" --split "$(SPLIT)" --out "$(OUT)" $(if $(WORKERS),--workers $(WORKERS)) $(ARGS)

reproduce-small: $(VENV)/installed ## Does it learn? Less than two hours on two cores: make reproduce-small ROOT=/data/UCF-101 [WEIZMANN=...] [ARGS=--dry-run]
	@test -n "$(ROOT)" || { echo "error: say where UCF101's class folders are, all or some: make reproduce-small ROOT=/data/UCF-101" >&2; exit 2; }
	$(BIN)/mas-reproduce small --root "$(ROOT)" $(if $(WEIZMANN),--weizmann "$(WEIZMANN)") $(ARGS)

reproduce-pilots: $(VENV)/installed ## What makes it learn: that recipe with one choice changed at a time: make reproduce-pilots ROOT=/data/UCF-101
	@test -n "$(ROOT)" || { echo "error: say where UCF101's class folders are: make reproduce-pilots ROOT=/data/UCF-101" >&2; exit 2; }
	$(BIN)/mas-reproduce pilots --root "$(ROOT)" $(ARGS)

reproduce-ucf101: $(VENV)/installed ## The paper's tables on one GPU: make reproduce-ucf101 ROOT=/data/UCF-101 [ARGS="--hmdb51 ... --dry-run"]
	@test -n "$(ROOT)" || { echo "error: say where UCF101 is: make reproduce-ucf101 ROOT=/data/UCF-101" >&2; exit 2; }
	$(BIN)/mas-reproduce ucf101 --root "$(ROOT)" $(ARGS)

reproduce-kinetics: $(VENV)/installed ## The same, pre-trained on Kinetics-400: make reproduce-kinetics ROOT=/data/k400 ARGS="--ucf101 /data/UCF-101"
	@test -n "$(ROOT)" || { echo "error: say where Kinetics-400 is: make reproduce-kinetics ROOT=/data/k400 ARGS='--ucf101 ...'" >&2; exit 2; }
	$(BIN)/mas-reproduce kinetics --root "$(ROOT)" $(ARGS)

test: $(VENV)/installed ## The fast tests.
	$(BIN)/python -m pytest -q

# torchvision does not import beside every build of torch, so it has an environment of its own (5.5 GB).
$(TORCHVISION)/installed:
	$(PYTHON) -m venv $(TORCHVISION)
	$(TORCHVISION)/bin/python -m pip --disable-pip-version-check install --quiet torch==2.14.1 torchvision==0.29.1
	@touch $@

test-slow: $(VENV)/installed $(if $(MAS_TORCHVISION_PYTHON),,$(TORCHVISION)/installed) ## The fast tests and the long ones; MAS_TORCHVISION_PYTHON=... names a Python with torchvision, or one is made.
	MAS_TORCHVISION_PYTHON="$(or $(MAS_TORCHVISION_PYTHON),$(CURDIR)/$(TORCHVISION)/bin/python)" \
		$(BIN)/python -m pytest -q -m "slow or not slow"

test-matrix: $(VENV)/installed ## Each promised Python that is found, with the oldest and newest versions that are allowed: make test-matrix [ARGS="--python 3.12 --extras inspect,dask"]
	$(BIN)/python tests/run_matrix.py $(ARGS)

fuzz: $(VENV)/installed ## 5,000 damaged videos, shards and checkpoints: half an hour or more.
	$(BIN)/python -m pytest -q -m "slow or not slow" tests/video/test_fuzz_videos.py tests/shards/test_fuzz_readers.py

kill-loop: $(VENV)/installed ## Labelling killed 200 times, training 50 times: an hour or so.
	$(BIN)/python -m pytest -q -m slow tests/whole/test_kill.py

lint: $(VENV)/installed ## ruff and mypy.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed ## Let ruff format and mend what it can.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench-flow: $(VENV)/installed ## Our TV-L1 beside OpenCV's and others: make bench-flow VIDEOS=/data/UCF-101 [ARGS="--clips 4 --size 240x320"]
	@test -n "$(VIDEOS)" || { echo "error: say where some videos are: make bench-flow VIDEOS=/data/videos" >&2; exit 2; }
	$(BIN)/python benchmarks/bench_flow.py --videos "$(VIDEOS)" $(ARGS)

bench-train: $(VENV)/installed ## Reading and training: make bench-train SHARDS=labels RAW=labels_raw [ARGS="--width 1"]
	@test -n "$(SHARDS)" -a -n "$(RAW)" || { echo "error: say where shards are: make bench-train SHARDS=labels RAW=labels_raw, these made with --frames raw" >&2; exit 2; }
	$(BIN)/python benchmarks/bench_train.py --jpeg "$(SHARDS)" --raw "$(RAW)" $(ARGS)

bench-labels: $(VENV)/installed ## Videos to finished shards, and where a clip's time goes: make bench-labels VIDEOS=/data/UCF-101 [ARGS="--count 8"]
	@test -n "$(VIDEOS)" || { echo "error: say where some videos are: make bench-labels VIDEOS=/data/videos" >&2; exit 2; }
	$(BIN)/python benchmarks/bench_labels.py --videos "$(VIDEOS)" $(ARGS)

bench-storage: $(VENV)/installed ## Bytes and time of JPEG qualities, types and compression: make bench-storage VIDEOS=/data/UCF-101
	@test -n "$(VIDEOS)" || { echo "error: say where some videos are: make bench-storage VIDEOS=/data/videos" >&2; exit 2; }
	$(BIN)/python benchmarks/bench_storage.py --videos "$(VIDEOS)" $(ARGS)

test-sanitize: $(VENV)/installed ## The tests of the compiled parts under the address and undefined behaviour sanitizers.
	MAS_REQUIRE_NATIVE=1 MAS_SANITIZE="-O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all" \
		$(BIN)/python setup.py -q build --build-base build/sanitize
	export LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libstdc++.so)" \
		ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=1 PYTHONPATH="$$(echo "$$PWD"/build/sanitize/lib*)"; \
		$(BIN)/python tests/native/check_sanitized.py && \
		$(BIN)/pytest -q -s -p no:cacheprovider tests/flow/test_tvl1.py tests/flow/test_tvl1_opencv.py tests/flow/test_tvl1_truth.py \
		tests/labels/test_block_sums.py tests/labels/test_labels.py tests/native/test_checksum.py

test-avx512: $(VENV)/installed ## AVX-512 against AVX2 in an emulated processor (Bochs): five minutes.
	$(BIN)/python tests/native/avx512/run_emulated.py

golden: $(VENV)/installed ## Make the golden files of the tests anew; look at the difference before you commit it.
	$(BIN)/python tests/helpers/make_golden.py

docs: $(VENV)/installed ## Build the documentation into docs/_build; a warning is an error.
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build
	@echo "look at docs/_build/index.html"

docs-reference: $(VENV)/installed ## Write the pages on commands and file format anew, from --help and the schema.
	$(BIN)/python docs/reference.py

docs-pictures: $(VENV)/installed ## Make the pictures of the documentation anew, from the demo.
	$(BIN)/python docs/make_pictures.py

notebooks: $(VENV)/installed ## Install JupyterLab and open the notebooks; make demo first.
	$(PIP) install --quiet -c constraints.txt -e '.[notebooks]'
	$(BIN)/jupyter lab notebooks

clean: ## Remove the virtual environment and what was built; labels and runs stay.
	rm -rf $(VENV) build dist docs/_build docs/benchmarks *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
