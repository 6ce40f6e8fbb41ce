// Preloaded into a public HTTP server that would listen on every interface: it gets loopback and a free port
// instead, and standard output says which, as our own programs do. What it prints itself goes to standard error.
import { Server } from 'node:net';

const listen = Server.prototype.listen;
console.log = console.error;

Server.prototype.listen = function (...given) {
  const done = given.findLast((one) => typeof one === 'function');
  this.once('listening', () => process.stdout.write(`listening on http://127.0.0.1:${this.address().port}/mcp\n`));
  return listen.call(this, { host: '127.0.0.1', port: 0 }, done);
};
