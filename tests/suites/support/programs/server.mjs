#!/usr/bin/env node
// An MCP server without dependencies, for what is to be seen from inside of a pod: whether somewhere can be connected to,
// whether a name is found, and the hash of the secret that it was given.
import { createHash } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

const PATIENCE = 2500;
const tool = (name, ...needed) => ({
  name,
  inputSchema: { type: 'object', properties: Object.fromEntries(needed.map((one) => [one, {}])), required: needed },
});
const TOOLS = [tool('connect', 'host', 'port'), tool('find', 'name'), tool('hash')];

const within = (promise) =>
  Promise.race([promise, new Promise((resolve) => setTimeout(resolve, PATIENCE, 'no answer').unref())]);

const call = {
  connect: ({ host, port }) =>
    within(new Promise((resolve) => {
      const socket = connect({ host, port });
      socket.once('connect', () => (socket.destroy(), resolve('connected')));
      socket.once('error', (error) => resolve(error.code === 'ECONNREFUSED' ? 'refused' : error.code));
    })),
  find: ({ name }) => within(lookup(name).then(() => 'found', (error) => error.code)),
  hash: () => createHash('sha256').update(process.env.TOKEN ?? '').digest('hex'),
};

async function answer({ method, params }) {
  if (method === 'initialize') {
    return { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'programs', version: '1.0.0' } };
  }
  if (method === 'ping') return {};
  if (method === 'tools/list') return { tools: TOOLS };
  if (method === 'tools/call' && params.name in call) {
    return { content: [{ type: 'text', text: String(await call[params.name](params.arguments ?? {})) }] };
  }
  throw Object.assign(new Error(`no ${method}`), { code: -32601 });
}

createInterface({ input: process.stdin }).on('line', async (line) => {
  const message = line.trim() === '' ? {} : JSON.parse(line);
  if (message.id === undefined || message.method === undefined) return;
  const said = await answer(message).then((result) => ({ result }), ({ code = -32603, message: text }) => ({ error: { code, message: text } }));
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id: message.id, ...said })}\n`);
});
