# Every command sets up what it needs; see CONTRIBUTING.md.
.PHONY: setup test

node_modules/.package-lock.json: package-lock.json
	npm ci
	@touch $@

setup: node_modules/.package-lock.json

test: setup
	npm run check:format && npm run check:lint && npm run check:types
	npm test
