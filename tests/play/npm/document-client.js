// Runs a client of the documents as it stands, where a browser would: with WebSocket in the global scope. What it prints
// of a status is an object, which node would cut short; it is printed as JSON instead.
'use strict';
const fs = require('fs');
const vm = require('vm');

global.WebSocket = require('ws');
const say = (...words) => process.stdout.write(words.map((w) => typeof w === 'string' ? w : JSON.stringify(w)).join(' ') + '\n');
for (const level of ['log', 'warn', 'error']) console[level] = say;
vm.runInThisContext(fs.readFileSync(process.argv[2], 'utf8'), process.argv[2]);
