// What only the modern era has, with the plain client: routing headers, arguments that are headers, rounds with a
// state, logs that a request asks for, tasks. Runs against the fixture directly, and through the gateway, where the
// names have a prefix that must not reach the fixture.
// usage: wire-modern.mjs WHO URL [PREFIX]
import { Checks, expect, same, until } from './checks.mjs';
import { CAPABILITIES, Modern, argumentHeaders } from './mcp.mjs';

const [who, url, prefix = ''] = process.argv.slice(2);
const checks = new Checks(`plain client, modern, ${who}`);
const TASKS = { extensions: { 'io.modelcontextprotocol/tasks': {} } };
const client = new Modern(url, { ...CAPABILITIES, ...TASKS });
const accept = (content) => ({ action: 'accept', content });
const text = (result) => result.content?.[0]?.text;
const refusal = (asked) => asked.then(() => 'a result', ({ status, code }) => `${status} ${code}`);
let tools = [];

const tool = (name) => {
  const found = tools.find((one) => one.name === prefix + name);
  expect(found, `the tool ${prefix + name}`);
  return found;
};

await checks.check('lists the tools', async () => {
  tools = await client.list('tools/list', 'tools');
  tool('greet');
});
for (const value of ['plain', ' padded ', 'Grüße, 世界', 'line\nbreak', '']) {
  await checks.check(`mirrors the argument ${JSON.stringify(value)} as a header`, async () => {
    same(text(await client.call(tool('test_custom_header'), { value })), `Value: ${value}`, 'answer');
  });
}
await checks.check('refuses an argument that its header contradicts', async () => {
  const asked = client.request('tools/call', { name: tool('test_custom_header').name, arguments: { value: 'body' } }, argumentHeaders(tool('test_custom_header'), { value: 'header' }));
  same(await refusal(asked), '400 -32020', 'refusal');
});
await checks.check('refuses a name that its header contradicts', async () => {
  const asked = client.request('tools/call', { name: tool('greet').name, arguments: {} }, { 'mcp-name': 'another' });
  same(await refusal(asked), '400 -32020', 'refusal');
});
await checks.check('goes through three rounds with a state', async () => {
  const multi = tool('test_input_required_result_multi_round');
  const first = await client.call(multi, {});
  const second = await client.call(multi, {}, { inputResponses: { step1: accept({ name: 'Ada' }) }, requestState: first.requestState });
  const third = await client.call(multi, {}, { inputResponses: { step2: accept({ color: 'green' }) }, requestState: second.requestState });
  same(text(third), 'Ada likes green', 'answer');
});
await checks.check('a changed state is refused', async () => {
  const asking = tool('test_input_required_result_tampered_state');
  const { requestState } = await client.call(asking, {});
  const asked = client.call(asking, {}, { inputResponses: { confirm: accept({ ok: true }) }, requestState: `${requestState}x` });
  expect((await refusal(asked)) !== 'a result', 'an error');
});
await checks.check('is asked only for what it can', async () => {
  const other = new Modern(url, { sampling: {} });
  const { inputRequests } = await other.call(tool('test_input_required_result_capabilities'), {});
  same(Object.values(inputRequests).map((one) => one.method), ['sampling/createMessage'], 'requests');
});
await checks.check('is told which capability is missing', async () => {
  same(await refusal(new Modern(url, {}).call(tool('test_missing_capability'), {})), '400 -32021', 'refusal');
});
await checks.check('hears the log that it asked for, and none that it did not', async () => {
  const logs = async (more) => {
    client.notifications = [];
    await client.call(tool('test_tool_with_logging'), {}, more);
    return client.notifications.filter((one) => one.method === 'notifications/message').length;
  };
  const level = (name) => ({ _meta: { 'io.modelcontextprotocol/logLevel': name } });
  same([await logs(level('debug')), await logs(level('error')), await logs({})], [3, 0, 0], 'messages');
});
await checks.check('a task runs, and its end is fetched', async () => {
  const created = await client.call(tool('slow_compute'), { seconds: 0.2, label: 'the suite' });
  same(created.resultType, 'task', 'kind');
  const get = () => client.request('tasks/get', { taskId: created.taskId });
  await until(async () => (await get()).status === 'completed', 'the end of the task');
  same(text((await get()).result), 'Computed the suite in 200 ms', 'result');
});
await checks.check('a task asks, and is answered', async () => {
  const { taskId } = await client.call(tool('confirm_delete'), { filename: 'a.txt' });
  const get = () => client.request('tasks/get', { taskId });
  await until(async () => (await get()).status === 'input_required', 'a question');
  await client.request('tasks/update', { taskId, inputResponses: { confirm: accept({ confirm: true }) } });
  await until(async () => (await get()).status === 'completed', 'the end of the task');
  same(text((await get()).result), 'Deleted a.txt', 'result');
});
await checks.check('a task is cancelled', async () => {
  const { taskId } = await client.call(tool('slow_compute'), { seconds: 60, label: 'long' });
  await client.request('tasks/cancel', { taskId });
  await until(async () => (await client.request('tasks/get', { taskId })).status === 'cancelled', 'the cancellation');
});
await checks.check('a task of nobody is unknown', async () => {
  same(await refusal(client.request('tasks/get', { taskId: 'no-task-of-yours' })).then((said) => said.split(' ')[1]), '-32602', 'code');
});
checks.end();
