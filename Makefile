# Every command sets up what it needs; see CONTRIBUTING.md.
.PHONY: setup machine cosign helm osv-scanner demo demo-ci test test-sonar demo-targets kill fuzz bench

NODE_22 := node tools/node22.js
VITEST := node_modules/vitest/vitest.mjs

node_modules/.package-lock.json: package-lock.json
	npm ci
	@touch $@

setup: node_modules/.package-lock.json

# Real programs that the tests run against: installed where we may, else named.
machine:
	node tools/packages.js
	node tools/go-programs.js
	node tools/rust-programs.js

# Programs for the tests of what they read or write, which run where they are: some minutes of a processor each, so `make test` does not ask for them.
cosign: setup
	node tools/go-programs.js cosign

helm: setup
	node tools/go-programs.js helm

osv-scanner: setup
	node tools/go-programs.js osv-scanner

# The whole story on an example, from a branch to production. It needs Node and git; with a Docker Engine it uses containers.
STARTED := $(shell date +%s)
demo: setup
	@npm run --silent build
	@TOWPATH_DEMO_SINCE=$(STARTED) node bin/towpath.js demo

# The same without pauses: every step is asserted, and it ends.
demo-ci: setup
	@npm run --silent build
	@TOWPATH_DEMO_SINCE=$(STARTED) node bin/towpath.js demo --ci

# On the Node that is here with the embedded Postgres; then on Node 22, the other line that Towpath supports, with an external one, where
# that may differ: drivers speak neither SQL nor much of Node, git, containers and builders are other programs, the chaos test asks for
# both servers by itself, and of the stories in `src/flow` the kill suite passes every step, on Node 22 and both servers. The files share
# three processes, whose modules load once.
test: setup machine
	npm run check
	npm test
	TOWPATH_TEST_STORE=external $(NODE_22) $(VITEST) run src e2e/path.test.ts --exclude src/flow/engine/chaos.test.ts --exclude 'src/deploy/**' --exclude 'src/git/**' --exclude 'src/container/**' --exclude 'src/artifact/builders/**' --exclude 'src/check/kinds/**' --exclude 'src/config/**' --exclude 'src/flow/*.test.ts' --no-isolate
	$(NODE_22) $(VITEST) run --config vitest.kill.config.ts

# The kill suite alone; its last line is `N passed, N failed`.
kill: setup machine
	@$(NODE_22) $(VITEST) run --config vitest.kill.config.ts

# A real SonarQube and its scanner: 300 MB from Maven Central, two gigabytes of memory, some minutes. Nightly, not in `make test`.
test-sonar: setup
	node tools/packages.js sonar
	$(NODE_22) $(VITEST) run --config vitest.sonar.config.ts

# The demo on Compose, on Swarm, in a cluster and on manifests; `make test` plays it on processes and on containers.
demo-targets: setup machine
	npx vitest run --config vitest.targets.config.ts

# Each property with a hundred times its cases, or as many as TOWPATH_FUZZ says, and a seed of its own.
fuzz: setup machine
	TOWPATH_FUZZ=$${TOWPATH_FUZZ:-100} npx vitest run --config vitest.fuzz.config.ts

# Every figure of speed and size, or one: `npm run bench -- retag`.
bench: setup machine
	npm run bench
