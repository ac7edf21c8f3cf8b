# Every command sets up what it needs; see CONTRIBUTING.md.
.PHONY: setup machine test

node_modules/.package-lock.json: package-lock.json
	npm ci
	@touch $@

setup: node_modules/.package-lock.json

# Real programs that the tests run against: installed where we may, else named.
machine:
	node tools/packages.js

test: setup machine
	npm run check:format && npm run check:lint && npm run check:types
	npm test
