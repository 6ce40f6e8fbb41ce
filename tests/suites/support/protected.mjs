// A protected MCP server (RFC 9728): it takes access tokens of its issuer for itself, and `whoami` answers whom they name.
//
// usage: protected.mjs ISSUER
import { createPublicKey, verify } from 'node:crypto';
import { createServer } from 'node:http';

const issuer = process.argv[2];
const server = createServer((request, response) => handle(request, response).catch(() => response.writeHead(500).end()));
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const base = `http://127.0.0.1:${server.address().port}`;
const resource = `${base}/mcp`;
const metadata = '/.well-known/oauth-protected-resource/mcp';

// Whom a token names; undefined for one that does not hold.
async function user(header) {
  const token = /^Bearer (.+)$/.exec(header ?? '')?.[1];
  if (!token || token.split('.').length !== 3) return undefined;
  const [head, body, signature] = token.split('.');
  const read = (part) => JSON.parse(Buffer.from(part, 'base64url'));
  const { keys } = await (await fetch(`${issuer}/jwks`)).json();
  const key = createPublicKey({ key: keys.find((one) => one.kid === read(head).kid), format: 'jwk' });
  const holds = verify('RSA-SHA256', Buffer.from(`${head}.${body}`), key, Buffer.from(signature, 'base64url'));
  const { aud, iss, exp, sub } = read(body);
  return holds && aud === resource && iss === issuer && exp > Date.now() / 1000 ? sub : undefined;
}

function result(method, params, name) {
  if (method === 'initialize') {
    return { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo: { name: 'protected', version: '1' } };
  }
  if (method === 'tools/list') return { tools: [{ name: 'whoami', inputSchema: { type: 'object' } }] };
  if (method === 'tools/call' && params.name === 'whoami') return { content: [{ type: 'text', text: `you are ${name}` }] };
  return method === 'ping' ? {} : undefined;
}

async function handle(request, response) {
  if (request.url === metadata) {
    response.setHeader('content-type', 'application/json');
    return response.end(JSON.stringify({ resource, authorization_servers: [issuer], scopes_supported: ['mcp'] }));
  }
  const name = await user(request.headers.authorization);
  if (!name) {
    return response.writeHead(401, { 'www-authenticate': `Bearer resource_metadata="${base}${metadata}", scope="mcp"` }).end();
  }
  if (request.method !== 'POST') return response.writeHead(405).end();
  let body = '';
  for await (const part of request) body += part;
  const { id, method, params } = JSON.parse(body);
  if (id === undefined) return response.writeHead(202).end();
  const answer = result(method, params, name);
  const rest = answer ? { result: answer } : { error: { code: -32601, message: `unknown method ${method}` } };
  response.setHeader('content-type', 'application/json');
  return response.end(JSON.stringify({ jsonrpc: '2.0', id, ...rest }));
}

console.log(`listening on ${base}`);
