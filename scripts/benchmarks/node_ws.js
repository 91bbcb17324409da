// The least that a relay made of node and `ws` is: what comes on /pub/NAME goes to everybody on /sub/NAME.
const { createServer } = process.env.CERT ? require('https') : require('http');
const { readFileSync } = require('fs');
const { WebSocketServer } = require('ws');

const tls = process.env.CERT ? { cert: readFileSync(process.env.CERT), key: readFileSync(process.env.KEY) } : {};
const rooms = new Map();
const server = createServer(tls);
new WebSocketServer({ server, perMessageDeflate: false }).on('connection', (socket, request) => {
  const [, role, name] = request.url.split('/');
  if (role === 'sub') {
    if (!rooms.has(name)) rooms.set(name, new Set());
    rooms.get(name).add(socket);
    socket.on('close', () => rooms.get(name).delete(socket));
  } else {
    socket.on('message', (data) => { for (const peer of rooms.get(name) || []) peer.send(data, { binary: true }); });
  }
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
