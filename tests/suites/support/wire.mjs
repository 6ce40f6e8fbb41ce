// The plain client of this folder in one era, through the gateway: what public clients smooth over is looked at as
// it comes over the wire.
// usage: wire.mjs URL legacy|modern
import { Checks, compareList, expect, same } from './checks.mjs';
import { Legacy, Modern } from './mcp.mjs';

const [url, era] = process.argv.slice(2);
const checks = new Checks(`plain client, ${era}`);
const CONTINUED = { duration: 0.4, steps: 4 };

// What a server tells of its work; a call that had to wait for a start was told of that before, in tiny steps.
const steps = (notifications) =>
  notifications.filter((one) => one.method === 'notifications/progress' && !(one.params.progress < 0.001 && one.params.message));

const connect = () => (era === 'legacy' ? Legacy.connect(url) : new Modern(url));
let client;

await checks.check('connects', async () => {
  client = await connect();
  await client.list('tools/list', 'tools');
});
for (const token of ['suite-1', 1, 0, 'ü "quoted"']) {
  await checks.check(`progress is complete and in order under ${JSON.stringify(token)}`, async () => {
    client.notifications = [];
    const result = await client.request('tools/call', { name: 'everything__trigger-long-running-operation', arguments: CONTINUED, _meta: { progressToken: token } });
    expect(result.content[0].text.includes('completed'), 'the end of the operation');
    const told = steps(client.notifications).map(({ params }) => [params.progressToken, params.progress, params.total]);
    same(told, [1, 2, 3, 4].map((step) => [token, step, 4]), 'progress');
  });
}
await checks.check('progress of calls at once stays apart', async () => {
  const both = await Promise.all(['one', 'two', 'three'].map(async (token) => {
    const other = await connect();
    await other.request('tools/call', { name: 'everything-http__trigger-long-running-operation', arguments: CONTINUED, _meta: { progressToken: token } });
    const tokens = steps(other.notifications).map(({ params }) => params.progressToken);
    await other.close();
    return [token, tokens];
  }));
  for (const [token, tokens] of both) same(tokens, [token, token, token, token], 'tokens');
});
await checks.check('who asks for no progress hears none', async () => {
  client.notifications = [];
  await client.request('tools/call', { name: 'everything__trigger-long-running-operation', arguments: CONTINUED });
  same(client.notifications.filter((one) => one.method === 'notifications/progress'), [], 'no progress');
});
for (const [method, key] of [['tools/list', 'tools'], ['prompts/list', 'prompts'], ['resources/list', 'resources'], ['resources/templates/list', 'resourceTemplates']]) {
  await checks.check(`${method} is the same twice and has each item once`, async () => {
    const names = (items) => items.map((item) => item.uri ?? item.uriTemplate ?? item.name);
    const first = names(await client.list(method, key));
    compareList(first, first, []);
    same(names(await client.list(method, key)), first, 'list');
  });
  await checks.check(`${method} refuses a cursor that it did not give`, async () => {
    const answer = await client.request(method, { cursor: 'no-cursor-of-yours' }).then(() => 'a list', (error) => error.code);
    same(answer, -32602, 'code');
  });
}
await checks.check('a resource of nobody is not found', async () => {
  const answer = await client.request('resources/read', { uri: 'nobody://has/this' }).then(() => 'contents', (error) => error.code);
  expect(answer === -32602 || (era === 'legacy' && answer === -32002), `-32602 (or, to a legacy client, -32002), not ${answer}`);
});
await checks.check('closes', () => client.close());
checks.end();
