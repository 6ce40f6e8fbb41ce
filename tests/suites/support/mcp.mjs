// A plain MCP client of either era over HTTP that hides nothing: one method sends a request and answers what came
// back, with no retries, no caches and no checks of its own.

const DEADLINE = 25_000;
// Who calls, where a gateway wants to know.
const SHOWN = process.env.MCPO_TOKEN ? { authorization: `Bearer ${process.env.MCPO_TOKEN}` } : {};
const META = 'io.modelcontextprotocol/';
const NAMED = { 'tools/call': 'name', 'prompts/get': 'name', 'resources/read': 'uri', 'tasks/get': 'taskId', 'tasks/update': 'taskId', 'tasks/cancel': 'taskId' };
const INFO = { name: 'suite', version: '1.0.0' };
export const CAPABILITIES = { elicitation: {}, sampling: {}, roots: { listChanged: true } };

export class RpcError extends Error {
  constructor(status, error) {
    super(`HTTP ${status}: ${JSON.stringify(error)}`);
    this.status = status;
    this.code = error?.code;
    this.data = error?.data;
  }
}

// A header value as the routing headers carry it: plain where it can stand plain, else in base64.
export function headerValue(value) {
  const text = String(value);
  const plain = /^[\x20-\x7e]*$/.test(text) && text === text.trim() && !/^=\?base64\?.*\?=$/.test(text);
  return plain ? text : `=?base64?${Buffer.from(text, 'utf8').toString('base64')}?=`;
}

// The headers that mirror arguments which the tool's schema designates.
export function argumentHeaders(tool, values) {
  const headers = {};
  for (const [name, schema] of Object.entries(tool?.inputSchema?.properties ?? {})) {
    const value = values?.[name];
    if (schema['x-mcp-header'] && value !== undefined && value !== null) {
      headers[`Mcp-Param-${schema['x-mcp-header']}`] = headerValue(value);
    }
  }
  return headers;
}

// The messages of a response, whether it came as JSON or as a stream of events.
async function messages(response) {
  const text = await response.text();
  if (!response.headers.get('content-type')?.includes('text/event-stream')) {
    return text ? [JSON.parse(text)] : [];
  }
  return text
    .split(/\r?\n\r?\n/)
    .map((event) => event.split(/\r?\n/).filter((line) => line.startsWith('data:')).map((line) => line.slice(5).trim()).join('\n'))
    .filter((data) => data !== '')
    .map((data) => JSON.parse(data));
}

class Client {
  constructor(url) {
    this.url = url;
    this.lastId = 0;
    this.notifications = [];
  }

  async post(message, headers) {
    const response = await fetch(this.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...SHOWN, ...headers },
      body: JSON.stringify(message),
      signal: AbortSignal.timeout(DEADLINE),
    });
    let all;
    try {
      all = await messages(response);
    } catch (error) {
      throw new Error(`HTTP ${response.status}: unreadable answer to ${message.method}: ${error.message}`);
    }
    this.notifications.push(...all.filter((one) => one.method !== undefined && one.id === undefined));
    return { response, answer: all.find((one) => one.id === message.id && one.method === undefined) };
  }

  async ask(method, params, headers) {
    this.lastId += 1;
    const { response, answer } = await this.post({ jsonrpc: '2.0', id: this.lastId, method, params }, headers);
    if (answer?.result === undefined) throw new RpcError(response.status, answer?.error ?? 'no answer');
    return { response, result: answer.result };
  }

  // Every page of a list.
  async list(method, key) {
    const items = [];
    let cursor;
    do {
      const page = await this.request(method, cursor === undefined ? {} : { cursor });
      items.push(...page[key]);
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    return items;
  }
}

export class Modern extends Client {
  constructor(url, capabilities = CAPABILITIES, version = '2026-07-28') {
    super(url);
    this.capabilities = capabilities;
    this.version = version;
  }

  async request(method, params = {}, headers = {}) {
    const meta = { [`${META}protocolVersion`]: this.version, [`${META}clientInfo`]: INFO, [`${META}clientCapabilities`]: this.capabilities, ...params._meta };
    const named = params[NAMED[method]];
    const routing = { 'mcp-protocol-version': this.version, 'mcp-method': method };
    if (named !== undefined) routing['mcp-name'] = headerValue(named);
    const { result } = await this.ask(method, { ...params, _meta: meta }, { ...routing, ...headers });
    return result;
  }

  // Calls a tool as its schema wants it.
  call(tool, values, more = {}) {
    return this.request('tools/call', { name: tool.name, arguments: values, ...more }, argumentHeaders(tool, values));
  }

  async close() {}
}

export class Legacy extends Client {
  static async connect(url, version = '2025-11-25', capabilities = CAPABILITIES) {
    const client = new Legacy(url);
    const { response, result } = await client.ask('initialize', { protocolVersion: version, capabilities, clientInfo: INFO }, {});
    client.headers = { 'mcp-protocol-version': result.protocolVersion };
    const session = response.headers.get('mcp-session-id');
    if (session) client.headers['mcp-session-id'] = session;
    client.server = result;
    await client.post({ jsonrpc: '2.0', method: 'notifications/initialized' }, client.headers);
    return client;
  }

  async request(method, params = {}) {
    return (await this.ask(method, params, this.headers)).result;
  }

  call(tool, values) {
    return this.request('tools/call', { name: tool.name, arguments: values });
  }

  async close() {
    await fetch(this.url, { method: 'DELETE', headers: { ...SHOWN, ...this.headers }, signal: AbortSignal.timeout(DEADLINE) });
  }
}
