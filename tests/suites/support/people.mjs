// What the suite of pages asks of a gateway besides its pages: calls, and tokens.
import { createHash } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { request } from 'node:http';

let passed = 0;
let failed = 0;

export function check(what, holds, saw = '') {
  if (holds) passed += 1;
  else failed += 1;
  console.log(holds ? `  ok    ${what}` : `  FAIL  ${what}: ${String(saw).slice(0, 600)}`);
}

export function finish() {
  console.log(`${passed} passed, ${failed} failed`);
}

export const sha = (text) => createHash('sha256').update(text).digest('hex');

// A modern call of a tool: its result.
export async function call(url, tool, token) {
  const meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'suite', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  const headers = {
    'content-type': 'application/json', accept: 'application/json, text/event-stream',
    'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': tool,
  };
  if (token) headers.authorization = `Bearer ${token}`;
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: tool, arguments: {}, _meta: meta } });
  const answer = await (await fetch(url, { method: 'POST', headers, body })).json();
  if (!answer.result) throw new Error(JSON.stringify(answer));
  return answer.result;
}

// The link that a call without a credential answers.
export async function link(url, tool, token) {
  const result = await call(url, tool, token);
  const facts = result.structuredContent ?? result._meta?.['mcp-orchestrator.dev/auth'];
  if (!facts?.url) throw new Error(`no link: ${JSON.stringify(result)}`);
  return facts.url;
}

// A secret of this run, which is looked for at its end.
function known(token) {
  if (process.env.MCPO_SECRETS) appendFileSync(process.env.MCPO_SECRETS, `${token}\n`);
  return token;
}

// Makes a token at the local control endpoint.
export function makeToken(state, subject) {
  return new Promise((done, broken) => {
    const options = { socketPath: `${state}/control.sock`, path: '/v1/tokens', method: 'POST', headers: { 'content-type': 'application/json' } };
    const asked = request(options, (response) => {
      let text = '';
      response.on('data', (part) => { text += part; });
      response.on('end', () => (response.statusCode === 200 ? done(known(JSON.parse(text).token)) : broken(new Error(text))));
    });
    asked.on('error', broken);
    asked.end(JSON.stringify({ subject, admin: false }));
  });
}
