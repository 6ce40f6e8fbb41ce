// The npm package @modelcontextprotocol/client, 2.x.
// usage: client2.mjs legacy|auto JOBS RESULTS
import { Client, StdioClientTransport, StreamableHTTPClientTransport, packages } from '../../npm.mjs';
import { ELICITED, ROOTS, SAMPLED, run } from './steps.mjs';

const mode = process.argv[2];

function transport(target) {
  if (target.command) {
    const [command, ...args] = target.command;
    return new StdioClientTransport({ command, args, env: { ...process.env, ...target.env }, stderr: 'ignore' });
  }
  const url = new URL(target.url);
  if (target.transport === 'sse') return new (packages('@modelcontextprotocol/client').SSEClientTransport)(url);
  return new StreamableHTTPClientTransport(url);
}

const LISTS = {
  tools: ['listTools', 'tools'],
  prompts: ['listPrompts', 'prompts'],
  resources: ['listResources', 'resources'],
  templates: ['listResourceTemplates', 'resourceTemplates'],
};
const CHANGES = { tools: 'toolsListChanged', prompts: 'promptsListChanged', resources: 'resourcesListChanged' };

// In the newer era each request asks for its log messages.
const LOG_LEVEL = 'io.modelcontextprotocol/logLevel';

async function connect(target) {
  const capabilities = { sampling: {}, elicitation: { form: {} }, roots: { listChanged: true } };
  const client = new Client({ name: 'matrix', version: '1.0.0' }, { capabilities, versionNegotiation: { mode } });
  const events = { logs: [], asked: [], changes: {}, updates: [] };
  const answer = (method, what) => client.setRequestHandler(method, ({ params }) => {
    events.asked.push({ method, params });
    return what;
  });
  answer('roots/list', ROOTS);
  answer('sampling/createMessage', SAMPLED);
  answer('elicitation/create', ELICITED);
  client.setNotificationHandler('notifications/message', ({ params }) => void events.logs.push(params));
  const changed = (of) => client.setNotificationHandler(`notifications/${of}/list_changed`, () => void (events.changes[of] = (events.changes[of] ?? 0) + 1));
  ['tools', 'prompts', 'resources'].forEach(changed);
  client.setNotificationHandler('notifications/resources/updated', ({ params }) => void events.updates.push(params.uri));

  const connection = transport(target);
  await client.connect(connection);
  const modern = client.getNegotiatedProtocolVersion?.() === '2026-07-28';
  let stream;
  let logLevel;
  return {
    events,
    initialized: async () => ({ serverInfo: client.getServerVersion(), capabilities: client.getServerCapabilities(), instructions: client.getInstructions() }),
    ping: async () => (modern ? {} : client.ping()),
    async level(level) {
      logLevel = level;
      return modern ? {} : client.setLoggingLevel(level);
    },
    async list(of, cursor) {
      const [method, key] = LISTS[of];
      const page = await client[method](cursor === undefined ? undefined : { cursor }, { cacheMode: 'refresh' });
      return { items: page[key], next: page.nextCursor };
    },
    call: (name, values, options) => client.callTool({ name, arguments: values, ...(modern && logLevel && { _meta: { [LOG_LEVEL]: logLevel } }) }, options),
    read: (uri) => client.readResource({ uri }, { cacheMode: 'refresh' }),
    prompt: (name, values) => client.getPrompt({ name, arguments: values }),
    complete: (ref, argument) => client.complete({ ref, argument }),
    async listen({ changes }) {
      if (modern) stream = await client.listen({ [CHANGES[changes]]: true });
    },
    async subscribe(uri) {
      if (modern) stream = await client.listen({ resourceSubscriptions: [uri] });
      else await client.subscribeResource({ uri });
    },
    unsubscribe: async (uri) => (modern ? stream.close() : client.unsubscribeResource({ uri })),
    async close() {
      if (!modern) await connection.terminateSession?.();
      await client.close();
    },
  };
}

await run(connect);
