// An MCP server on standard streams that has an account for each token that begins with `good-`, and none for others: it
// ends, as servers do that ask their upstream at start. `whoami` answers the SHA-256 of the token.
import { createHash } from 'node:crypto';
import { createInterface } from 'node:readline';

const token = process.env.TOKEN ?? '';
if (!token.startsWith('good-')) {
  console.error(`the tracker has no account for this token: ${token}`);
  process.exit(1);
}
const result = (method, params) => {
  if (method === 'initialize') {
    return { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'tracker', version: '1' } };
  }
  if (method === 'tools/list') return { tools: [{ name: 'whoami', inputSchema: { type: 'object' } }] };
  if (method === 'tools/call' && params.name === 'whoami') {
    return { content: [{ type: 'text', text: createHash('sha256').update(token).digest('hex') }] };
  }
  return method === 'ping' ? {} : undefined;
};
for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) continue;
  const answer = result(method, params);
  const rest = answer ? { result: answer } : { error: { code: -32601, message: `unknown method ${method}` } };
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id, ...rest })}\n`);
}
