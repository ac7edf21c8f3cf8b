# Every command sets up what it needs; see CONTRIBUTING.md.
.PHONY: setup machine cosign demo demo-ci test kill fuzz bench

node_modules/.package-lock.json: package-lock.json
	npm ci
	@touch $@

setup: node_modules/.package-lock.json

# Real programs that the tests run against: installed where we may, else named.
machine:
	node tools/packages.js
	node tools/go-programs.js
	node tools/rust-programs.js

# cosign, for its test against the embedded registry: five minutes of a processor, so `make test` does not ask for it.
cosign: setup
	node tools/go-programs.js cosign

# The whole story on an example, from a branch to production. It needs Node and git; with a Docker Engine it uses containers.
STARTED := $(shell date +%s)
demo: setup
	@npm run --silent build
	@TOWPATH_DEMO_SINCE=$(STARTED) node bin/towpath.js demo

# The same without pauses: every step is asserted, and it ends.
demo-ci: setup
	@npm run --silent build
	@TOWPATH_DEMO_SINCE=$(STARTED) node bin/towpath.js demo --ci

# Twice: with the embedded Postgres on the Node that is here, and with an external one on Node 22, the other line that Towpath supports
# (the chaos test asks for both servers by itself; drivers speak neither SQL nor much of Node). Then servers are killed.
test: setup machine
	npm run check
	npm test
	TOWPATH_TEST_STORE=external node tools/node22.js node_modules/vitest/vitest.mjs run src e2e/path.test.ts --exclude src/flow/engine/chaos.test.ts --exclude 'src/deploy/**'
	npx vitest run --config vitest.kill.config.ts

# The kill suite alone; its last line is `N passed, N failed`.
kill: setup machine
	@npx vitest run --config vitest.kill.config.ts

# Each property with a hundred times its cases, or as many as TOWPATH_FUZZ says, and a seed of its own.
fuzz: setup machine
	TOWPATH_FUZZ=$${TOWPATH_FUZZ:-100} npx vitest run --config vitest.fuzz.config.ts

# Every figure of speed and size, or one: `npm run bench -- retag`.
bench: setup machine
	npm run bench
