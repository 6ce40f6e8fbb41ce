// Asks every server directly, without the gateway, and writes down what a client must see through it: the merged
// lists with the gateway's names, what resources, prompts and completions answer, and which calls are made.
// usage: plan.mjs CONFIG PLACES PLAN
import { readFileSync, writeFileSync } from 'node:fs';
import { Client, StdioClientTransport, StreamableHTTPClientTransport } from './npm.mjs';

const [configFile, placesFile, planFile] = process.argv.slice(2);
const { servers } = JSON.parse(readFileSync(configFile, 'utf8'));
const places = JSON.parse(readFileSync(placesFile, 'utf8'));

const RESOURCES = ['demo://resource/static/document/features.md', 'memory://knowledge-graph', 'test://static-text', 'test://static-binary'];
const PROMPTS = [
  { server: 'everything', name: 'simple-prompt' },
  { server: 'everything', name: 'args-prompt', arguments: { city: 'Paris', state: 'Texas' } },
  { server: 'fixture', name: 'test_prompt_with_arguments', arguments: { arg1: 'one', arg2: 'two' } },
];
const COMPLETIONS = [
  { server: 'everything', ref: { type: 'ref/prompt', name: 'completable-prompt' }, argument: { name: 'department', value: 'E' } },
  { server: 'fixture', ref: { type: 'ref/resource', uri: 'test://template/{id}/data' }, argument: { name: 'id', value: 'par' } },
];
const CALLS = [
  { tool: 'everything__echo', arguments: { message: 'from the suite' }, text: 'Echo: from the suite' },
  { tool: 'everything__get-structured-content', arguments: { location: 'New York' }, text: 'temperature' },
  { tool: 'everything-http__get-sum', arguments: { a: 2, b: 3 }, text: 'The sum of 2 and 3 is 5' },
  { tool: 'files__read_text_file', arguments: { path: places.file }, text: places.content },
  { tool: 'memory__search_nodes', arguments: { query: places.remembered }, text: places.remembered },
  { tool: 'git__git_log', arguments: { repo_path: places.repository, max_count: 1 }, text: places.commit },
  { tool: 'time__convert_time', arguments: { source_timezone: 'UTC', time: '12:00', target_timezone: 'Asia/Tokyo' }, text: 'T21:00:00' },
  { tool: 'fixture__greet', arguments: { name: 'suite' }, text: 'Hello, suite!' },
  { tool: 'fixture-http__greet', arguments: { name: 'remote' }, text: 'Hello, remote!' },
  { tool: 'fixture__test_error_handling', arguments: {}, text: 'intentionally', error: true },
];
const EVERYTHING_A_CLIENT_CAN = { sampling: {}, elicitation: { form: {}, url: {} }, roots: { listChanged: true } };

async function connect({ command, env, url }, capabilities) {
  const client = new Client({ name: 'plan', version: '1.0.0' }, { capabilities });
  if (capabilities.roots) client.setRequestHandler('roots/list', () => ({ roots: [] }));
  const transport = url ? new StreamableHTTPClientTransport(new URL(url)) : new StdioClientTransport({ command: command[0], args: command.slice(1), env: { ...process.env, ...env }, stderr: 'ignore' });
  await client.connect(transport);
  return client;
}

async function pages(client, method, key) {
  const items = [];
  let cursor;
  do {
    const page = await client[method](cursor === undefined ? undefined : { cursor });
    items.push(...page[key].filter((item) => !items.some((known) => (known.uri ?? known.uriTemplate ?? known.name) === (item.uri ?? item.uriTemplate ?? item.name))));
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return items;
}

async function lists(client) {
  const can = client.getServerCapabilities();
  return {
    tools: can.tools ? (await pages(client, 'listTools', 'tools')).map((tool) => tool.name) : [],
    prompts: can.prompts ? (await pages(client, 'listPrompts', 'prompts')).map((prompt) => prompt.name) : [],
    resources: can.resources ? (await pages(client, 'listResources', 'resources')).map((resource) => resource.uri) : [],
    templates: can.resources ? (await pages(client, 'listResourceTemplates', 'resourceTemplates')).map((template) => template.uriTemplate) : [],
  };
}

const plan = { always: { tools: [], prompts: [], resources: [], templates: [] }, sometimes: { tools: [] }, calls: CALLS, resources: [], prompts: [], completions: [] };
const add = (list, items) => list.push(...items.filter((item) => !list.includes(item)));

for (const [name, server] of Object.entries(servers)) {
  const client = await connect(server, {});
  const listed = await lists(client);
  const prefixed = (items) => items.map((item) => `${name}__${item}`);
  add(plan.always.tools, prefixed(listed.tools));
  add(plan.always.prompts, prefixed(listed.prompts));
  add(plan.always.resources, listed.resources);
  add(plan.always.templates, listed.templates);
  for (const uri of RESOURCES) {
    if (listed.resources.includes(uri) && !plan.resources.some((known) => known.uri === uri)) {
      plan.resources.push({ uri, contents: (await client.readResource({ uri })).contents });
    }
  }
  for (const { server: owner, ...prompt } of PROMPTS.filter((one) => one.server === name)) {
    plan.prompts.push({ ...prompt, name: `${owner}__${prompt.name}`, messages: (await client.getPrompt(prompt)).messages });
  }
  for (const { server: owner, ref, argument } of COMPLETIONS.filter((one) => one.server === name)) {
    const { values } = (await client.complete({ ref, argument })).completion;
    plan.completions.push({ ref: ref.name ? { ...ref, name: `${owner}__${ref.name}` } : ref, argument, values });
  }
  await client.close();
  const able = await connect(server, EVERYTHING_A_CLIENT_CAN);
  add(plan.sometimes.tools, prefixed((await lists(able)).tools).filter((tool) => !plan.always.tools.includes(tool)));
  await able.close();
}
writeFileSync(planFile, JSON.stringify(plan, null, 2));
const { tools, prompts, resources, templates } = plan.always;
console.log(`  directly: ${tools.length} tools (${plan.sometimes.tools.length} more for able clients), ${prompts.length} prompts, ${resources.length} resources, ${templates.length} templates`);
