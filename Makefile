# The few commands people need. Everything runs in the active virtual environment, else in .venv.
BIN := $(or $(VIRTUAL_ENV),.venv)/bin

.PHONY: help demo test test-crash test-rollouts test-traffic test-newer test-faults test-long test-soak test-mutants lint schemas \
	images clean

help: ## Show these lines
	@sed --quiet 's/^\([a-z-]*\): .*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand --tabs=16

demo: ## See a Git repository become running containers, change, drift and heal
	@.ci/prepare --engine --images --gateway
	@RECONCILER_GATEWAY_IMAGE=$(or $(RECONCILER_GATEWAY_IMAGE),local/haproxy:3) $(BIN)/reconciler demo

test: ## Run every check and every test, engine tests included
	@.ci/prepare --engine --neighbours --images --gateways
	@$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest -n 3 --dist loadgroup

test-crash: ## Kill us, and docker compose beside us, at each call to the engine that changes something
	@.ci/prepare --engine --images --gateways
	@PYTHONPATH=tests/engine:tests/drivers $(BIN)/python tests/crash $(ARGS)
	@$(if $(ARGS),,PYTHONPATH=tests/engine:tests/drivers $(BIN)/python tests/crash/handing_over.py)

test-traffic: ## Count what clients lose while what is behind the gateway changes; a few cases, shortened, unless ARGS say more
	@.ci/prepare --engine --images --gateways
	@PYTHONPATH=.:tests/engine:tests/drivers $(BIN)/python -m benchmarks.traffic $(or $(ARGS),--requests 600 "rolling update" \
	  "canary to 100 %" "gateway's image" "reconciler killed" "state lost" "a replica crashes")

test-rollouts: ## Kill us at every change behind a gateway in memory, in every way, and play many random rollouts
	@.ci/prepare
	RECONCILER_CRASH_POINTS=all RECONCILER_HISTORIES=10000 $(BIN)/python -m pytest $(or $(ARGS),tests/properties/test_traffic_*.py)

test-newer: ## Run the tests that need an engine on a newer one, which is started beside the machine's own
	@.ci/prepare --neighbours
	tests/tools/with-newer-engine sh -c '.ci/images busybox && $(BIN)/python -m pytest -m engine $(ARGS)'

test-faults: ## Try every fault in every variant, also those that take long
	@.ci/prepare --engine --neighbours --images
	RECONCILER_FAULTS=all $(BIN)/python -m pytest tests/faults $(ARGS)

test-long: ## Live 10,000 turns of random faults in memory, and print what the process gained
	@.ci/prepare
	RECONCILER_TURNS=10000 $(BIN)/python -m pytest tests/faults/test_long_run.py $(ARGS)

test-soak: ## Trouble a resident on an engine of its own for half an hour, and print what the process gained
	@.ci/prepare --neighbours
	$(BIN)/python tests/faults/soak.py $(ARGS)

test-mutants: ## Make small mistakes in the planner and the loader, and see whether a test fails
	@.ci/prepare
	$(if $(ARGS),,$(BIN)/python tests/mutation/trial.py load)
	$(BIN)/python tests/mutation/trial.py $(or $(ARGS),plan)

lint: ## Run the checks that need no engine: style, format, types, import directions
	@.ci/prepare
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

schemas: ## Write schemas/ again from the models
	@.ci/prepare
	$(BIN)/reconciler schema --write schemas

images: ## Provide the images that the demo and the tests run
	@.ci/prepare --engine --images --gateways

clean: ## Remove what the commands above left in this directory, the virtual environment too
	rm -rf .venv .cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist ./*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
