// Starts a public HTTP server that cannot take a free port by itself: {port} in its arguments becomes one, and once
// it accepts connections standard output says where, as our own programs do. It ends with us.
// usage: listen.mjs PATH COMMAND..
import { spawn } from 'node:child_process';
import { connect, createServer } from 'node:net';

const [path, command, ...given] = process.argv.slice(2);
const port = await new Promise((resolve) => {
  const free = createServer().listen(0, '127.0.0.1', () => {
    const { port } = free.address();
    free.close(() => resolve(port));
  });
});
const args = given.map((one) => one.replace('{port}', port));
const child = spawn(command, args, { stdio: ['ignore', process.stderr, process.stderr] });
child.on('exit', (code) => process.exit(code ?? 1));
child.on('error', () => process.exit(1));
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    child.kill(signal);
    setTimeout(() => child.kill('SIGKILL'), 3000).unref();
  });
}
const open = () => new Promise((resolve) => {
  const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
  socket.on('connect', () => socket.destroy());
});
while (!(await open())) await new Promise((resolve) => setTimeout(resolve, 50));
console.log(`listening on http://127.0.0.1:${port}${path}`);
