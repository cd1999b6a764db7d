# Every command sets itself up: Python 3.11 to 3.13 and make are all it needs.

.DEFAULT_GOAL := help
.PHONY: help book test bench fuzz foreign serve workshop pdf notebooks lint lock home clean

SUITS := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c '$(SUITS)' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
READY := .venv/.ready
PORT ?= 8000

# Everything that is cached stays under the checkout, and nothing is fetched once the environment stands.
export LIVERVLM_CACHE := $(CURDIR)/.cache
export MPLCONFIGDIR := $(CURDIR)/.cache/matplotlib
export IPYTHONDIR := $(CURDIR)/.cache/ipython
export HF_HOME := $(CURDIR)/.cache/huggingface
export HF_HUB_OFFLINE := 1
export TQDM_DISABLE := 1
# Folds run as processes of one thread each.  Two threads in one process are little faster, and on a shared machine slower.
export OMP_NUM_THREADS ?= 1

help: ## list the commands
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 18

# Every build reads and writes all pages anew, as Sphinx repeats no warning about a page that it has read before;
# what a chapter computed is kept until its text, or something that it reaches, has changed (book/tools/key.py).
book: export LIVERVLM_LIVE_URL := ../_static/live.js
book: $(READY) ## build the book, executing every chapter, into _build/html
	@$(BIN)/python book/tools/notebooks.py --check
	@mkdir -p .cache
	@$(BIN)/python book/tools/key.py
	@echo "Building the book; chapters that changed are executed, which takes minutes."
	@$(BIN)/python book/tools/execute.py
	@rm -rf _build/html _build/.doctrees
	@$(BIN)/jupyter-book build . -W -n --keep-going -q
	@$(BIN)/python -m livervlm.book.live --script _build/html/_static/live.js
	@$(BIN)/python book/tools/front.py _build/html
	@$(BIN)/python book/tools/slides.py _build/html
	@$(BIN)/python -m pip wheel -q --disable-pip-version-check --no-deps --no-build-isolation -w _build/html/notebooks .
	@$(BIN)/python book/tools/finish.py _build/html
	@$(BIN)/python book/tools/check_pages.py _build/html
	@echo "The book is at $(CURDIR)/_build/html/index.html"

test: $(READY) ## run the tests
	@mkdir -p .cache
	@$(BIN)/python -m pytest -n auto --dist loadfile

bench: $(READY) ## measure speed, into benchmarks/results.md: make bench [ONLY="training phantom"]
	@$(BIN)/python benchmarks/bench.py $(ONLY)

fuzz: $(READY) ## read damaged inputs of every format: make fuzz [N=3000] [JOBS=1]
	@$(BIN)/python benchmarks/fuzz.py --n $(or $(N),3000) --jobs $(or $(JOBS),1) --write

foreign: $(READY) ## execute the chapters that read a data set on one that the phantom did not make
	@$(BIN)/python benchmarks/foreign.py

serve: $(READY) ## show the built book in a browser at localhost:$(PORT)
	@test -f _build/html/index.html || { echo "_build/html is missing: run 'make book' first"; exit 1; }
	@echo "http://localhost:$(PORT)/  (stop with Ctrl+C)"
	@$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

workshop: book ## pack all for a room without a network: make workshop [PLATFORM=linux|mac|windows] [PYTHON_VERSION=3.12]
	@$(BIN)/python book/tools/workshop.py $(addprefix --platform ,$(PLATFORM)) \
		$(addprefix --python-version ,$(PYTHON_VERSION))

pdf: $(READY) ## print the built book, with and without solutions, into dist (needs Chromium)
	@$(BIN)/python book/tools/pdf.py _build/html

notebooks: $(READY) ## regenerate from book/*.md the notebooks and what the teachers' page takes from chapters
	@$(BIN)/python book/tools/notebooks.py
	@$(BIN)/python book/tools/teaching.py

lint: $(READY) ## check style, layers, types, notebooks and the workflow
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo
	@mkdir -p .cache
	@$(BIN)/python book/tools/api.py > .cache/api_examples.py
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/python book/tools/notebooks.py --check
	@$(BIN)/python book/tools/teaching.py --check
	@$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

# The CUDA libraries stay out of the lock: torch's own metadata pins them, and a CPU build has none.
lock: ## renew requirements.lock (needs uv)
	@uv pip compile pyproject.toml --universal --python-version 3.11 --all-extras --no-header --no-annotate -q \
		-o .lock.new >/dev/null
	@grep -vE '^(nvidia-|cuda-|triton)' .lock.new > requirements.lock; rm .lock.new

home: $(READY) ## set the repository address everywhere: make home REPO=owner/name
	@test -n "$(REPO)" || { echo "say which: make home REPO=owner/name"; exit 1; }
	@$(BIN)/python book/tools/home.py "$(REPO)"
	@$(BIN)/python book/tools/notebooks.py

clean: ## delete the built book, the workshop, the caches and the environment
	rm -rf _build dist .cache .venv

# The mark is written last, so an interrupted installation is taken up again.
$(READY): requirements.lock pyproject.toml
	@"$(PYTHON)" -c '$(SUITS)' 2>/dev/null || { \
		echo "No Python 3.11, 3.12 or 3.13 with venv was found. Install one (on Debian or Ubuntu:"; \
		echo "apt install python3 python3-venv), or name it: make PYTHON=/path/to/python3"; exit 1; }
	@echo "Setting up .venv with $(PYTHON); the first time this takes minutes."
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@
