// The npm package @modelcontextprotocol/sdk, 1.x, perhaps through mcp-remote.
// usage: sdk.mjs PACKAGE [remote-http|remote-sse] JOBS RESULTS
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { ELICITED, ROOTS, SAMPLED, run } from './steps.mjs';

const [alias, through] = process.argv.slice(2, -2);
const packages = createRequire(join(process.env.MCPO_MATRIX_NPM, 'package.json'));
const { Client } = packages(`${alias}/client/index.js`);
const { StdioClientTransport } = packages(`${alias}/client/stdio.js`);
const { StreamableHTTPClientTransport } = packages(`${alias}/client/streamableHttp.js`);
const { SSEClientTransport } = packages(`${alias}/client/sse.js`);
const types = packages(`${alias}/types.js`);

function bridge(url) {
  const program = join(process.env.MCPO_MATRIX_NPM, 'node_modules/mcp-remote/dist/proxy.js');
  return { command: [process.execPath, program, url, '--allow-http', '--transport', `${through.replace('remote-', '')}-only`], env: { MCP_REMOTE_CONFIG_DIR: process.env.MCPO_MATRIX_HOME } };
}

function transport(target) {
  if (target.url && through) return transport(bridge(target.url));
  if (target.command) {
    const [command, ...args] = target.command;
    return new StdioClientTransport({ command, args, env: { ...process.env, ...target.env }, stderr: 'ignore' });
  }
  const url = new URL(target.url);
  return target.transport === 'sse' ? new SSEClientTransport(url) : new StreamableHTTPClientTransport(url);
}

const LISTS = {
  tools: ['listTools', 'tools'],
  prompts: ['listPrompts', 'prompts'],
  resources: ['listResources', 'resources'],
  templates: ['listResourceTemplates', 'resourceTemplates'],
};

async function connect(target) {
  const capabilities = { sampling: {}, roots: { listChanged: true }, ...(types.ElicitRequestSchema && { elicitation: {} }) };
  const client = new Client({ name: 'matrix', version: '1.0.0' }, { capabilities });
  const events = { logs: [], asked: [], changes: {}, updates: [] };
  const answer = (schema, what) => schema && client.setRequestHandler(schema, ({ method, params }) => {
    events.asked.push({ method, params });
    return what;
  });
  answer(types.ListRootsRequestSchema, ROOTS);
  answer(types.CreateMessageRequestSchema, SAMPLED);
  answer(types.ElicitRequestSchema, ELICITED);
  client.setNotificationHandler(types.LoggingMessageNotificationSchema, ({ params }) => void events.logs.push(params));
  const changed = (schema, of) => client.setNotificationHandler(schema, () => void (events.changes[of] = (events.changes[of] ?? 0) + 1));
  changed(types.ToolListChangedNotificationSchema, 'tools');
  changed(types.PromptListChangedNotificationSchema, 'prompts');
  changed(types.ResourceListChangedNotificationSchema, 'resources');
  client.setNotificationHandler(types.ResourceUpdatedNotificationSchema, ({ params }) => void events.updates.push(params.uri));

  const connection = transport(target);
  await client.connect(connection);
  return {
    events,
    initialized: async () => ({ serverInfo: client.getServerVersion(), capabilities: client.getServerCapabilities(), instructions: client.getInstructions() }),
    ping: () => client.ping(),
    level: (level) => client.setLoggingLevel(level),
    async list(of, cursor) {
      const [method, key] = LISTS[of];
      const page = await client[method](cursor === undefined ? undefined : { cursor });
      return { items: page[key], next: page.nextCursor };
    },
    call: (name, values, options) => client.callTool({ name, arguments: values }, undefined, options),
    read: (uri) => client.readResource({ uri }),
    prompt: (name, values) => client.getPrompt({ name, arguments: values }),
    complete: (ref, argument) => client.complete({ ref, argument }),
    subscribe: (uri) => client.subscribeResource({ uri }),
    unsubscribe: (uri) => client.unsubscribeResource({ uri }),
    async close() {
      await connection.terminateSession?.();
      await client.close();
    },
  };
}

await run(connect);
