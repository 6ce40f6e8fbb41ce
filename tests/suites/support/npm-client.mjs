// The npm client in one era, through the gateway.
// usage: npm-client.mjs URL legacy|modern PLAN
import { readFileSync } from 'node:fs';
import { Checks, compareList, expect, same, until } from './checks.mjs';
import { Client, StreamableHTTPClientTransport } from './npm.mjs';

const [url, era, planFile] = process.argv.slice(2);
const plan = JSON.parse(readFileSync(planFile, 'utf8'));
const legacy = era === 'legacy';
const checks = new Checks(`npm client, ${era}`);
const seen = { logs: [], toolChanges: 0, updates: [], elicited: 0, sampled: 0 };

function newClient() {
  const capabilities = { sampling: {}, elicitation: { form: {} }, roots: { listChanged: true } };
  const mode = legacy ? 'legacy' : { pin: '2026-07-28' };
  const client = new Client({ name: 'suite', version: '1.0.0' }, { capabilities, versionNegotiation: { mode } });
  client.setRequestHandler('roots/list', () => ({ roots: [{ uri: 'file:///suite', name: 'suite' }] }));
  client.setRequestHandler('sampling/createMessage', ({ params }) => {
    seen.sampled += 1;
    return { role: 'assistant', model: 'suite', content: { type: 'text', text: `sampled: ${JSON.stringify(params.messages)}` } };
  });
  client.setRequestHandler('elicitation/create', () => {
    seen.elicited += 1;
    return { action: 'accept', content: { name: 'Elicited Person', integer: 7, check: true } };
  });
  client.setNotificationHandler('notifications/message', ({ params }) => void seen.logs.push(params));
  client.setNotificationHandler('notifications/tools/list_changed', () => void (seen.toolChanges += 1));
  client.setNotificationHandler('notifications/resources/updated', ({ params }) => void seen.updates.push(params.uri));
  return client;
}

const client = newClient();
const text = (result) => result.content.map((block) => block.text ?? '').join('\n');
const call = (name, values = {}, options = {}) => client.callTool({ name, arguments: values }, options);

await checks.check('connects', () => client.connect(new StreamableHTTPClientTransport(new URL(url))));
await checks.check('lists every tool', async () => compareList((await client.listTools()).tools.map((tool) => tool.name), plan.always.tools, plan.sometimes.tools));
await checks.check('lists every prompt', async () => compareList((await client.listPrompts()).prompts.map((prompt) => prompt.name), plan.always.prompts, []));
await checks.check('lists every resource', async () => compareList((await client.listResources()).resources.map((resource) => resource.uri), plan.always.resources, []));
await checks.check('lists every template', async () => compareList((await client.listResourceTemplates()).resourceTemplates.map((template) => template.uriTemplate), plan.always.templates, []));

for (const one of plan.calls) {
  await checks.check(`calls ${one.tool}`, async () => {
    const result = await call(one.tool, one.arguments);
    expect(text(result).includes(one.text), `'${one.text}' in '${text(result)}'`);
    expect(Boolean(result.isError) === Boolean(one.error), `isError ${Boolean(one.error)}`);
  });
}
for (const { uri, contents } of plan.resources) {
  await checks.check(`reads ${uri}`, async () => same((await client.readResource({ uri })).contents, contents, 'contents'));
}
await checks.check('reads from a template', async () => {
  const { contents } = await client.readResource({ uri: 'demo://resource/dynamic/text/1' });
  expect(contents[0].text.includes('Resource 1'), `the first resource, not ${contents[0].text}`);
});
for (const { name, arguments: values, messages } of plan.prompts) {
  await checks.check(`gets ${name}`, async () => same((await client.getPrompt({ name, arguments: values })).messages, messages, 'messages'));
}
for (const { ref, argument, values } of plan.completions) {
  await checks.check(`completes ${ref.name ?? ref.uri}`, async () => same((await client.complete({ ref, argument })).completion.values, values, 'values'));
}
await checks.check('an unknown tool is refused', async () => {
  const answer = await call('fixture__no_such_tool').then((result) => result, (error) => error);
  expect(answer instanceof Error || answer.isError, 'an error');
});
await checks.check('hears progress', async () => {
  const heard = [];
  const result = await call('everything__trigger-long-running-operation', { duration: 1, steps: 4 }, { onprogress: ({ progress, total }) => heard.push([progress, total]) });
  expect(text(result).includes('completed'), 'the end of the operation');
  // The client forgets the call as soon as the result is there, and with it progress of the same moment: the last
  // one may be missing here, and is looked at by the plain client.
  same(heard.slice(0, 3), [[1, 4], [2, 4], [3, 4]], 'progress');
});
await checks.check('a cancelled call is cancelled in the server', async () => {
  const cancelled = async () => Number(text(await call('fixture__test_cancel_count')));
  const before = await cancelled();
  const abort = new AbortController();
  const ended = await call('fixture__test_wait_for_cancel', {}, { signal: abort.signal, onprogress: () => abort.abort() }).then(() => 'answered', () => 'aborted');
  expect(ended === 'aborted', `an abort, not ${ended}`);
  await until(async () => (await cancelled()) > before, 'that the server hears of it');
});
await checks.check('hears that the list of tools changed', async () => {
  const stream = legacy ? undefined : await client.listen({ toolsListChanged: true });
  const has = async () => (await client.listTools(undefined, { cacheMode: 'refresh' })).tools.some((tool) => tool.name === 'fixture__test_dynamic_tool');
  const before = await has();
  await call('fixture__test_trigger_tool_change');
  await until(() => seen.toolChanges > 0, 'notifications/tools/list_changed');
  await until(async () => (await has()) !== before, 'the changed list');
  await call('fixture__test_trigger_tool_change');
  await until(async () => (await has()) === before, 'the list as it was');
  await stream?.close();
});
await checks.check('hears that a resource was updated', async () => {
  const uri = 'test://watched-resource';
  const stream = legacy ? await client.subscribeResource({ uri }) : await client.listen({ resourceSubscriptions: [uri] });
  await call('fixture__test_trigger_resource_update');
  await until(() => seen.updates.includes(uri), 'notifications/resources/updated');
  if (legacy) await client.unsubscribeResource({ uri });
  else await stream.close();
});

if (legacy) {
  await checks.check('hears logs of a session of its own', async () => {
    await client.setLoggingLevel('debug');
    await call('everything__toggle-simulated-logging');
    await until(() => seen.logs.length > 0, 'notifications/message');
    await call('everything__toggle-simulated-logging');
  });
  await checks.check('hears no log below its level', async () => {
    await client.setLoggingLevel('error');
    const before = seen.logs.length;
    await call('fixture__test_tool_with_logging');
    expect(seen.logs.length === before, 'silence');
  });
  for (const server of ['everything', 'everything-http']) {
    await checks.check(`answers an elicitation of ${server}`, async () => {
      const result = await call(`${server}__trigger-elicitation-request`);
      expect(text(result).includes('Elicited Person') && seen.elicited > 0, `the answer in ${text(result)}`);
    });
    await checks.check(`answers a sampling request of ${server}`, async () => {
      const result = await call(`${server}__trigger-sampling-request`, { prompt: 'a word', maxTokens: 10 });
      expect(text(result).includes('sampled: ') && seen.sampled > 0, `the answer in ${text(result)}`);
    });
    await checks.check(`tells ${server} its roots`, async () => {
      const result = await call(`${server}__get-roots-list`);
      expect(text(result).includes('file:///suite'), `the root in ${text(result)}`);
    });
  }
  await checks.check('pings', () => client.ping());
}
if (!legacy) {
  await checks.check('answers a question in a second round', async () => {
    const result = await call('fixture-http__test_input_required_result_elicitation');
    expect(text(result).includes('Elicited Person'), `the answer in ${text(result)}`);
  });
}
await checks.check('closes', () => client.close());
checks.end();
