# Needs git, make and Python >= 3.11 with venv; each target makes or reuses .venv by itself.
BIN := .venv/bin
FAISS := $(shell command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -q GPU && echo gpu || echo cpu)

.PHONY: demo test check bench bundled-encoder environment development

demo: environment  ## index the documentation of the installed packages and open it (NO_APP=1: without the page, its map and topics)
	@echo "-- the demo: a corpus from the installed packages, indexed; about 2 minutes" >&2
	@$(BIN)/llm2comp demo $(if $(NO_APP),--no-app)

test: development  ## all tests that need no GPU, a real Chromium included
	@scripts/chromium.sh
	@echo "-- running all tests: 20 to 30 minutes on two cores" >&2
	@$(BIN)/lint-imports --no-cache >/dev/null && $(BIN)/pytest -q -m "not gpu"

check: development  ## what must pass before every commit: format, lint, types, import contracts, fast tests
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/mypy
	@$(BIN)/pytest -q -m "not gpu and not slow and not browser"

bench: development  ## what needs only the demo corpus, at small sizes; tables on stdout (benchmarks/README.md)
	@for name in start encode index query; do $(BIN)/python benchmarks/bench_$$name.py || exit 1; done

WORK ?= runs/bundled-encoder
STAGE3 := --config recipes/bundled-contrastive.toml --data "$(DATA)"

bundled-encoder: development  ## train the bundled encoder again (DATA=folder of texts and pairs; WORK=folder, goes on where it stopped); hours
	@test -f "$(DATA)/pairs.parquet" -a -f "$(DATA)/pairs_more.parquet" || { echo "say where texts and pairs lie: make bundled-encoder DATA=folder (with pairs.parquet and pairs_more.parquet)" >&2; exit 2; }
	@$(BIN)/llm2comp train distil --config recipes/bundled.toml --data "$(DATA)" --work "$(WORK)" --out "$(WORK)/distilled"
	@$(BIN)/llm2comp train contrastive $(STAGE3) --set "encoder=$(WORK)/distilled" --out "$(WORK)/contrastive"
	@$(BIN)/llm2comp train soup "$(WORK)/distilled" "$(WORK)/contrastive/encoder" --out "$(WORK)/encoder" --dtype float16
	@$(BIN)/llm2comp train hybrid "$(WORK)/encoder" $(STAGE3)

environment:
	@scripts/environment.sh $(FAISS),map

development:
	@scripts/environment.sh $(FAISS),map,auth,train,eval,dev
