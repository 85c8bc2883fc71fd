// The document's JavaScript client, driven: its class as it stands, and sendCommand and getStatus called when the connection
// is open (the document's own lines call them before, where they only warn). Every frame is printed as it was heard.
'use strict';
const fs = require('fs');
const vm = require('vm');

const [file, url] = process.argv.slice(2);
global.WebSocket = require('ws');
const say = (...words) => process.stdout.write(words.map((w) => typeof w === 'string' ? w : JSON.stringify(w)).join(' ') + '\n');
for (const level of ['log', 'warn', 'error']) console[level] = say;
const [classText, usage] = fs.readFileSync(file, 'utf8').split('// Uso\n');
if (!usage) throw new Error(`${file}: where does its use begin?`);
const Client = vm.runInThisContext(classText + '\nCarouselWebSocketClient', file);

const client = new Client(url);
client.connect();
client.ws.addEventListener('open', () => {
  client.sendCommand('machine_1', 1, 25);
  client.getStatus('machine_1');
});
const awaited = new Set(['machine_status', 'command_completed']);
client.ws.addEventListener('message', (event) => {
  say('heard', event.data);
  if (!awaited.delete(JSON.parse(event.data).type) || awaited.size > 0) return;
  client.reconnectAttempts = client.maxReconnectAttempts;
  client.disconnect();
});
