# Everything is set up in .venv from requirements.lock, the versions this was tested with; a second call installs nothing.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

# The pip that comes with Python 3.11 takes twice as long as that of requirements.lock. Modules are compiled when they are
# first imported, which most of those that come with the extras never are.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile

# A user's settings of pip count (index, proxy, cache), but for those that put packages elsewhere than into .venv, or others.
export PIP_USER := 0
unexport PIP_TARGET PIP_PREFIX PIP_ROOT PIP_PYTHON PIP_DRY_RUN PIP_CONSTRAINT PIP_REQUIRE_HASHES PIP_NO_DEPS PIP_EDITABLE PIP_REQUIREMENT

FOUR := results/four-methods
EQUAL := results/equal-time
CLUSTER := results/paper-cluster
ARCHITECTURES := results/architectures
CHECKS := results/checks
SMALL := results/small-gradients

SIZE ?= quick
FIGURES := agn-vs-others agn-vs-dynsgd downpour dynsgd grid grid-curves accuracy-vs-workers temporal-efficiency \
	stability-map order-of-service baselines staleness beale

.PHONY: run test lowest coverage lint robustness reproduce figures tables redraw $(FIGURES:%=figure-%) four-methods equal-time architectures all-methods tuned checks odd-curves small-gradients which-local-steps growth-rates paper-cluster bench docs report-picture site clean

run: $(READY)  ## train 40 stale workers with AGN on real digits
	$(BIN)/agn-bench run --optimizer agn --workers 40

test: $(READY)
	$(BIN)/pytest --numprocesses auto --dist worksteal

lowest:  ## the tests with the lowest versions of the dependencies that pyproject.toml accepts
	$(PYTHON) -m venv --clear .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	.venv-lowest/bin/python -m pip check --disable-pip-version-check
	.venv-lowest/bin/pytest --numprocesses auto --dist worksteal

coverage: $(READY)  ## which lines the tests run, those of child processes left out
	$(BIN)/pytest --numprocesses auto --dist worksteal --cov agn_bench --cov-report term:skip-covered --cov-fail-under 95

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python -m pip check --disable-pip-version-check

robustness: $(READY)  ## what the tests count: inputs tried, kills survived, loads held, mutations caught; 20 minutes
	$(BIN)/pytest --figures=results/robustness
	$(BIN)/python tests/mutations/mutate.py results/robustness/mutations.csv

reproduce: $(READY)  ## the paper's tables, figures and claims; SIZE=quick takes minutes, reduced hours, paper days
	$(BIN)/agn-bench reproduce --size $(SIZE)

$(FIGURES:%=figure-%): figure-%: $(READY)  ## one of them, as in make figure-agn-vs-others SIZE=reduced
	$(BIN)/agn-bench reproduce $* --size $(SIZE)

figures tables: redraw

redraw: $(READY)  ## all of them at all sizes that are there, from the CSV files alone
	$(BIN)/agn-bench reproduce --no-run

four-methods: $(READY)  ## the four methods at 40 workers, three seeds each; finished runs are kept
	$(BIN)/agn-bench sweep experiments/four-methods.toml
	$(BIN)/agn-bench table $(FOUR)
	$(BIN)/agn-bench table $(FOUR) --measure test_accuracy --out $(FOUR)/tables/test-accuracy.csv
	$(BIN)/agn-bench plot $(FOUR)

equal-time: $(READY)  ## every method on three clusters, for the same simulated time; finished runs are kept
	$(BIN)/agn-bench sweep experiments/equal-time.toml
	$(BIN)/agn-bench table $(EQUAL) --by delays --at 50,100,190
	$(BIN)/agn-bench table $(EQUAL) --by delays --at 50,100,200 --measure test_accuracy --out $(EQUAL)/tables/test-accuracy.csv
	$(BIN)/agn-bench plot $(EQUAL) --panels delays --lines optimizer

architectures: $(READY)  ## the paper's methods on a convolutional network, a residual one and a transformer; 15 minutes
	$(BIN)/agn-bench sweep experiments/architectures.toml
	$(BIN)/agn-bench table $(ARCHITECTURES) --by problem --measure test_accuracy --at 25,50,100
	$(BIN)/agn-bench plot $(ARCHITECTURES) --measure test_accuracy --panels problem --lines optimizer

all-methods: $(READY)  ## every optimizer at its defaults, untuned, for the same simulated time; 10 minutes
	$(BIN)/agn-bench sweep experiments/all-methods.toml
	$(BIN)/agn-bench table results/all-methods --measure test_accuracy --at 25,50,100

tuned: $(READY)  ## four methods, each tuned with 20 trials, compared on fresh seeds; 20 minutes
	$(BIN)/agn-bench tune agn easgd dynsgd downpour --workers 20 --seconds 50

checks: $(READY)  ## other authors' experiments, and what they published beside what we get; an hour
	$(BIN)/agn-bench sweep experiments/checks/toy.toml --out $(CHECKS)/toy --jobs 1
	$(BIN)/agn-bench sweep experiments/checks/least-squares.toml --out $(CHECKS)/least-squares
	$(BIN)/agn-bench sweep experiments/checks/ringmaster.toml --out $(CHECKS)/ringmaster --jobs 1
	$(BIN)/agn-bench sweep experiments/checks/gem.toml --out $(CHECKS)/gem --jobs 1
	$(BIN)/agn-bench sweep experiments/checks/clipped.toml --out $(CHECKS)/clipped
	$(BIN)/python experiments/checks/verdicts.py

odd-curves: $(READY)  ## suppositions about the paper's curves that are not reproduced, beside the published; two hours
	$(BIN)/python experiments/odd-curves/pauses.py
	$(BIN)/agn-bench sweep experiments/odd-curves/odd-curves.toml
	$(BIN)/python experiments/odd-curves/outcome.py

which-local-steps: $(READY)  ## advice on λ against the best λ that was trained, on five clusters; half a day of two cores
	$(BIN)/agn-bench sweep experiments/which-local-steps/which-local-steps.toml
	$(BIN)/python experiments/which-local-steps/outcome.py

growth-rates: $(READY)  ## where each optimizer is stable, from the clock alone; a minute
	$(BIN)/python experiments/growth-rates/maps.py

small-gradients: $(READY)  ## below which η λ h nothing need be divided: a quadratic, and a rate that falls to a tenth; 15 minutes
	$(BIN)/agn-bench sweep experiments/small-gradients/crossover.toml --out $(SMALL)/crossover
	$(BIN)/agn-bench sweep experiments/small-gradients/tuning.toml --out $(SMALL)/tuning
	$(BIN)/agn-bench sweep experiments/small-gradients/networks.toml --out $(SMALL)/networks
	$(BIN)/python experiments/small-gradients/curvature.py
	$(BIN)/python experiments/small-gradients/outcome.py

paper-cluster: $(READY)  ## fit the paper's cluster to its published times
	$(BIN)/agn-bench calibrate agn_bench/paper/published/grid.csv --seconds agn_time_s --held-out easgd_time_s --out $(CLUSTER)

bench: $(READY)  ## the program's own speed; the PyTorch loop too if the extra `peers` is installed
	$(BIN)/agn-bench bench timeline --out results/benchmarks
	for model in mlp-small mlp-paper; do $(BIN)/agn-bench bench training --model $$model --repetitions 11 --out results/benchmarks || exit; done
	for model in cnn transformer; do $(BIN)/agn-bench bench training --model $$model --local-optimizer sgd --repetitions 7 --out results/benchmarks || exit; done
	$(BIN)/agn-bench bench optimizers --out results/benchmarks
	$(BIN)/agn-bench bench runs --out results/benchmarks

report-picture: $(READY)  ## docs/report.png: the page of results/reduced, as Chromium shows it
	$(BIN)/python docs/report/picture.py

docs: $(READY)  ## docs/commands.md from the program's own help, what docs/optimizers.md has, the README's picture of advice
	$(BIN)/python -m typer agn_bench.cli utils docs --name agn-bench --output docs/commands.md
	$(BIN)/python docs/optimizers/write.py
	$(BIN)/agn-bench advise --delays paper-cluster --workers 10..40 --out build/advice
	cp build/advice/figures/advice.png docs/advice.png

site: $(READY)  ## the pages as a site with a search, in site/; offline, half a minute
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -c docs/site -d build/site . site

clean:
	rm -rf .venv .venv-lowest dist build site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "agn-bench needs Python 3.11 or newer, $(PYTHON) is " + sys.version.split()[0] + "; make PYTHON=python3.12 names another")'
	$(PYTHON) -m venv .venv
	$(INSTALL) --upgrade pip --constraint requirements.lock
	$(INSTALL) --requirement requirements.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@
