// The inspector's command line (npm), one process per request. It lists, calls, reads and gets prompts.
// usage: inspector.mjs legacy|modern JOBS RESULTS
import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { run } from './steps.mjs';

const era = process.argv[2];
const program = join(process.env.MCPO_NPM, 'node_modules', '.bin', 'mcp-inspector');
// It keeps its state in the home folder; the suite's own is not the user's.
const home = join(process.env.MCPO_MATRIX_HOME, `inspector-${era}`);
mkdirSync(home, { recursive: true });

const place = ({ url, transport, command, env }) => url
  ? ['--server-url', url, '--transport', transport ?? 'http']
  : ['--transport', 'stdio', ...Object.entries(env ?? {}).flatMap(([name, value]) => ['-e', `${name}=${value}`]), '--', ...command];

async function inspect(target, method, ...more) {
  const options = ['--cli', '--protocol-era', era, '--format', 'json', '-q', '--method', method, ...more, ...place(target)];
  const running = promisify(execFile)(process.execPath, [program, ...options], { env: { ...process.env, HOME: home }, timeout: 60_000, maxBuffer: 64 << 20 });
  const { stdout, stderr } = await running.catch((error) => error);
  let said;
  try {
    said = JSON.parse(stdout);
  } catch {
    // It prints an error for people; the gateway may word it with the server's name in front.
    throw new Error(String(stderr ?? '').trim().split('\n').at(-1) || 'no answer');
  }
  if (said.result === undefined) throw Object.assign(new Error(said.error?.message ?? JSON.stringify(said)), { code: said.error?.code });
  return said.result;
}

const LISTS = {
  tools: ['tools/list', 'tools'],
  prompts: ['prompts/list', 'prompts'],
  resources: ['resources/list', 'resources'],
  templates: ['resources/templates/list', 'resourceTemplates'],
};
const pairs = (option, values) => {
  const all = Object.entries(values ?? {}).map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  return all.length ? [option, ...all] : [];
};

async function connect(target) {
  return {
    events: { logs: [], asked: [], changes: {}, updates: [] },
    async list(of) {
      const [method, key] = LISTS[of];
      return { items: (await inspect(target, method))[key] };
    },
    call: (name, values) => inspect(target, 'tools/call', '--tool-name', name, ...pairs('--tool-arg', values)),
    read: (uri) => inspect(target, 'resources/read', '--uri', uri),
    prompt: (name, values) => inspect(target, 'prompts/get', '--prompt-name', name, ...pairs('--prompt-args', values)),
    close: async () => {},
  };
}

await run(connect, ['list', 'call', 'read', 'prompt']);
