// The client that `conformance client` runs, one scenario at a time: it starts the gateway with the given URL as its
// only server and calls through it, so that what the scenario sees is the gateway's upstream leg.
// usage: upstream-leg.mjs URL, with MCPO_GATEWAY_PROGRAM and MCPO_WORK from the suite and MCP_CONFORMANCE_* from the runner
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startGateway } from './gateway.mjs';
import { Legacy, Modern } from './mcp.mjs';
import { authConfig, authScenario } from './upstream-auth.mjs';

const { MCP_CONFORMANCE_SCENARIO: scenario, MCP_CONFORMANCE_PROTOCOL_VERSION: version, MCP_CONFORMANCE_CONTEXT: context } = process.env;

function expect(holds, what) {
  if (!holds) throw new Error(`expected ${what}`);
}

async function tools(client) {
  const listed = await client.list('tools/list', 'tools');
  return (name) => {
    const tool = listed.find((one) => one.name === name);
    expect(tool, `the tool ${name} among ${listed.map((one) => one.name).join(', ') || 'none'}`);
    return tool;
  };
}

// The scenario's server has no tools/list, so the gateway has none either.
async function noTools(client) {
  const refused = await client.list('tools/list', 'tools').catch((error) => error);
  expect(String(refused.message).includes('-32601'), `method not found, not ${refused.message ?? JSON.stringify(refused)}`);
}

const text = (result) => result.content?.[0]?.text;

async function everyKind(client) {
  const tool = await tools(client);
  await client.call(tool('test_headers'), {});
  await client.call(tool('my-hyphenated-tool'), {});
  for (const { uri } of await client.list('resources/list', 'resources')) await client.request('resources/read', { uri });
  for (const { name } of await client.list('prompts/list', 'prompts')) await client.request('prompts/get', { name });
}

async function invalidTools(client) {
  const listed = await client.list('tools/list', 'tools');
  // All that the gateway lists is called: what it should have left out fails the scenario.
  for (const tool of listed) await client.request('tools/call', { name: tool.name, arguments: { region: 'north' } }, { 'mcp-param-region': 'north' });
  expect(listed.map((tool) => tool.name).join() === 'valid_tool', `valid_tool alone, not ${listed.map((tool) => tool.name).join(', ')}`);
}

async function rounds(client) {
  const tool = await tools(client);
  const answers = { confirm: { action: 'accept', content: { confirmed: true } } };
  const first = await client.call(tool('test_mrtr_echo_state'), {});
  expect(first.resultType === 'input_required' && first.requestState !== undefined, 'a question with a state');
  expect(text(await client.call(tool('test_mrtr_unrelated'), {})) === 'unrelated-ok', 'the other tool in between');
  const second = await client.call(tool('test_mrtr_echo_state'), {}, { inputResponses: answers, requestState: first.requestState });
  expect(text(second) === 'echo-state-ok', 'the end of the first tool');
  const stateless = await client.call(tool('test_mrtr_no_state'), {});
  expect(stateless.resultType === 'input_required' && stateless.requestState === undefined, 'a question without a state');
  const ended = await client.call(tool('test_mrtr_no_state'), {}, { inputResponses: answers });
  expect(text(ended) === 'no-state-ok', 'the end of the second tool');
  const untyped = await client.call(tool('test_mrtr_no_result_type'), {});
  expect((untyped.resultType ?? 'complete') === 'complete', 'a complete result');
}

async function customHeaders(client) {
  const tool = await tools(client);
  for (const { name, arguments: values } of JSON.parse(context).toolCalls) await client.call(tool(name), values);
}

async function echoSchema(client) {
  const tool = await tools(client);
  const schema = tool('json_schema_2020_12_tool').inputSchema;
  expect(text(await client.call(tool('json_schema_echo'), { schema })) === 'echoed', 'the echo');
}

const SCENARIOS = {
  initialize: noTools,
  tools_call: async (client) => {
    const result = await client.call((await tools(client))('add_numbers'), { a: 5, b: 3 });
    expect(text(result) === 'The sum of 5 and 3 is 8', 'the sum');
  },
  'sse-retry': async (client) => {
    const result = await client.call((await tools(client))('test_reconnection'), {});
    expect(text(result) === 'Reconnection test completed successfully', 'the answer from the second stream');
  },
  'request-metadata': noTools,
  'http-standard-headers': everyKind,
  'http-custom-headers': customHeaders,
  'http-invalid-tool-headers': invalidTools,
  'sep-2322-client-request-state': rounds,
  'json-schema-ref-no-deref': async (client) => (await tools(client))('lookup_user'),
  'json-schema-2020-12-preservation': echoSchema,
};

const auth = scenario.startsWith('auth/') ? scenario.slice('auth/'.length) : undefined;
const run = auth ? authScenario(auth) : SCENARIOS[scenario];
expect(run, `a scenario that is known here, not ${scenario}`);
mkdirSync(process.env.MCPO_WORK, { recursive: true });
const name = scenario.replaceAll('/', '-');
const folder = mkdtempSync(join(process.env.MCPO_WORK, `${name}-`));
const config = auth ? await authConfig(auth, process.argv[2]) : { servers: { upstream: { url: process.argv[2] } } };
const gateway = await startGateway(process.env.MCPO_GATEWAY_PROGRAM, folder, config);
try {
  const client = version >= '2026' ? new Modern(gateway.url) : await Legacy.connect(gateway.url, version);
  await run(client, join(folder, 'state'));
  await client.close();
  writeFileSync(join(process.env.MCPO_WORK, `${name}-${version}.done`), '');
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await gateway.stop();
}
