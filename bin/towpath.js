#!/usr/bin/env node
// Whoever syncs a file holds one of Node's threads for files until the disk has it, and all others wait for a thread: four, as
// Node has it, are too few for a registry. Their number is read once, at their first use, and to load an ECMAScript module is
// one: so this file is none. What a user has set stays, and no program that is started inherits ours.
const given = process.env.UV_THREADPOOL_SIZE;
process.env.UV_THREADPOOL_SIZE = given ?? '16';
require('node:fs').stat(__filename, () => {});
if (given === undefined) delete process.env.UV_THREADPOOL_SIZE;

void import('../dist/main.js');
