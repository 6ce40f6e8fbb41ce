// One client's session in each era, written down: what it was told of, in its order, without what differs from run to
// run. Two gateways that serve the same configuration must give the same record.
// usage: cluster-session.mjs URL RECORD.json
import { writeFileSync } from 'node:fs';
import { Legacy, Modern } from './mcp.mjs';

const [url, file] = process.argv.slice(2);
const SERVERS = ['one', 'two'];

// A result, or what was said instead of it.
const outcome = (promise) => promise.then((result) => ({ result }), (error) => ({ code: error.code, status: error.status, said: error.code === undefined ? error.message : undefined }));

// What a client says of its own progress, not what it is told of a start.
const progress = (notifications) =>
  notifications.filter((one) => one.method === 'notifications/progress' && !(one.params.progress < 0.001)).map((one) => one.params);

async function calls(client, record) {
  const call = (name, values = {}, more = {}) => outcome(client.request('tools/call', { name, arguments: values, ...more }));
  for (const server of SERVERS) {
    record[`${server} greets`] = await call(`${server}__greet`, { name: 'Zoë "of" <pods>' });
    record[`${server} fails`] = await call(`${server}__test_error_handling`);
    record[`${server} answers content`] = await call(`${server}__test_multiple_content_types`);
    client.notifications = [];
    record[`${server} tells progress`] = await call(`${server}__test_tool_with_progress`, {}, { _meta: { progressToken: server } });
    record[`${server} told`] = progress(client.notifications);
    record[`${server} has a prompt`] = await outcome(client.request('prompts/get', { name: `${server}__test_prompt_with_arguments`, arguments: { arg1: 'a', arg2: 'b' } }));
  }
  record['a tool of nobody'] = await call('nobody__greet');
  record['a tool that is none'] = await call('one__nothing');
}

async function lists(client, record) {
  for (const [method, key] of [['tools/list', 'tools'], ['prompts/list', 'prompts'], ['resources/list', 'resources'], ['resources/templates/list', 'resourceTemplates']]) {
    record[method] = await outcome(client.list(method, key));
  }
  const resources = record['resources/list'].result ?? [];
  for (const { uri } of resources) {
    record[`read ${uri}`] = await outcome(client.request('resources/read', { uri }));
  }
}

const record = {};
for (const era of ['legacy', 'modern']) {
  const client = era === 'legacy' ? await Legacy.connect(url) : new Modern(url);
  const here = (record[era] = {});
  await calls(client, here);
  await lists(client, here);
  await client.close();
  // By now it is known what the servers say of themselves.
  const again = era === 'legacy' ? await Legacy.connect(url) : new Modern(url);
  here.server = era === 'legacy' ? again.server : await outcome(again.request('server/discover', {}));
  await again.close();
}
writeFileSync(file, JSON.stringify(record, null, 2));
