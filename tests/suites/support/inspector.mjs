// The inspector's command line in one era, through the gateway: one process per request.
// usage: inspector.mjs URL legacy|modern PLAN HOME
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Checks, compareList, expect, same } from './checks.mjs';

const [url, era, planFile, home] = process.argv.slice(2);
const plan = JSON.parse(readFileSync(planFile, 'utf8'));
const program = join(process.env.MCPO_NPM, 'node_modules', '.bin', 'mcp-inspector');
const checks = new Checks(`inspector, ${era}`);
mkdirSync(home, { recursive: true });

async function inspect(method, ...more) {
  const arguments_ = [program, '--cli', '--server-url', url, '--transport', 'http', '--protocol-era', era, '--format', 'json', '-q', '--method', method, ...more];
  // It keeps its state in the home folder; the suite's own is not the user's.
  const options = { env: { ...process.env, HOME: home }, timeout: 40_000, maxBuffer: 64 << 20 };
  const { stdout, stderr } = await promisify(execFile)(process.execPath, arguments_, options).catch((error) => error);
  expect(stdout, `an answer, not ${stderr}`);
  return JSON.parse(stdout).result;
}

const pairs = (values) => Object.entries(values).map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
const text = (result) => result.content.map((block) => block.text ?? '').join('\n');

await checks.check('lists every tool', async () => compareList((await inspect('tools/list')).tools.map((tool) => tool.name), plan.always.tools, plan.sometimes.tools));
await checks.check('lists every prompt', async () => compareList((await inspect('prompts/list')).prompts.map((prompt) => prompt.name), plan.always.prompts, []));
await checks.check('lists every resource', async () => compareList((await inspect('resources/list')).resources.map((resource) => resource.uri), plan.always.resources, []));
await checks.check('lists every template', async () => compareList((await inspect('resources/templates/list')).resourceTemplates.map((template) => template.uriTemplate), plan.always.templates, []));
for (const one of plan.calls) {
  await checks.check(`calls ${one.tool}`, async () => {
    const values = pairs(one.arguments);
    const result = await inspect('tools/call', '--tool-name', one.tool, ...(values.length ? ['--tool-arg', ...values] : []));
    expect(text(result).includes(one.text), `'${one.text}' in '${text(result)}'`);
  });
}
for (const { uri, contents } of plan.resources) {
  await checks.check(`reads ${uri}`, async () => same((await inspect('resources/read', '--uri', uri)).contents, contents, 'contents'));
}
for (const { name, arguments: values, messages } of plan.prompts) {
  await checks.check(`gets ${name}`, async () => {
    const given = pairs(values ?? {});
    const result = await inspect('prompts/get', '--prompt-name', name, ...(given.length ? ['--prompt-args', ...given] : []));
    same(result.messages, messages, 'messages');
  });
}
checks.end();
