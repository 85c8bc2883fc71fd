// Subscribes to everything with npm's ws and prints each frame on a line of its own; then pings, as the protocol does.
'use strict';
const WebSocket = require('ws');

const socket = new WebSocket(process.argv[2], {perMessageDeflate: true});
socket.on('open', () => socket.send(JSON.stringify({type: 'subscribe', subscription_type: 'all_events'})));
socket.on('message', (data, binary) => {
  console.log(binary ? 'binary frame' : data.toString());
  if (JSON.parse(data).type === 'command_completed') socket.ping('are you there');
});
socket.on('pong', (data) => console.log(`pong: frames are answered (${data})`));
socket.on('error', (error) => console.log(`error: ${error}`));
socket.on('close', (code) => console.log(`closed: ${code}`));
