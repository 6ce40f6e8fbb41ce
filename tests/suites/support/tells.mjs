// Keeps what a gateway that runs tells of itself to who asks at its control socket, its metrics, and what every process of
// this machine was started with: for the search for secrets.
// usage: tells.mjs FOLDER NAME STATE_DIR GATEWAY TOOL PRINCIPAL...
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

function ask(socketPath, path, body) {
  const text = body && JSON.stringify(body);
  const options = { socketPath, path: `/v1/${path}`, method: text ? 'POST' : 'GET', headers: { host: 'localhost', 'content-type': 'application/json' }, timeout: 20_000 };
  return new Promise((resolve, reject) => {
    const sent = request(options, (response) => {
      let whole = '';
      response.setEncoding('utf8').on('data', (part) => { whole += part; }).on('end', () => resolve(whole));
    });
    sent.on('error', reject).on('timeout', () => sent.destroy(new Error(`no answer to ${path}`))).end(text);
  });
}

// What every process was started with.
function processes() {
  const lines = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
    } catch {
      return '';
    }
  });
  return lines.join('\n');
}

export async function tells(folder, name, stateDir, { gateway = 'default', tool, principals }) {
  mkdirSync(folder, { recursive: true });
  const keep = (what, text) => writeFileSync(join(folder, `${name}.${what}`), text);
  const pointer = join(stateDir, 'control.path');
  const socket = existsSync(pointer) ? readFileSync(pointer, 'utf8').trim() : join(stateDir, 'control.sock');
  const status = JSON.parse(await ask(socket, 'status'));
  keep('status', JSON.stringify(status));
  if (!status.metrics_listen) throw new Error(`${name} has no metrics`);
  keep('metrics', await (await fetch(`http://${status.metrics_listen}/metrics`)).text());
  const explained = await Promise.all(principals.map((principal) => ask(socket, 'explain', { gateway, principal, tool })));
  if (!explained.some((text) => text.includes('"steps"'))) throw new Error(`${name} explains nothing: ${explained}`);
  keep('explain', explained.join('\n'));
  const lists = await Promise.all(['instances', 'installations', 'catalog', 'tokens', 'conflicts'].map((list) => ask(socket, list)));
  const servers = [...new Set(JSON.parse(lists[0]).instances.map(({ server }) => server))];
  const more = await Promise.all(servers.flatMap((server) => [ask(socket, `describe/${server}`), ask(socket, `servers/${server}/logs`, { tail: 1000 })]));
  keep('lists', [...lists, ...more].join('\n'));
  keep('arguments', processes());
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [folder, name, stateDir, gateway, tool, ...principals] = process.argv.slice(2);
  await tells(folder, name, stateDir, { gateway, tool, principals });
}
