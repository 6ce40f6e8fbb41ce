// Starts the gateway for one Node script and ends it with the script.
import { spawn } from 'node:child_process';
import { mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const PATIENCE = 20_000;

const within = (promise, what) =>
  Promise.race([promise, new Promise((_, reject) => setTimeout(() => reject(new Error(`${what} took too long`)), PATIENCE).unref())]);

// The gateway with this config: where its default endpoint is, and how it is ended.
export async function startGateway(program, folder, config) {
  mkdirSync(join(folder, 'state'), { recursive: true });
  const file = join(folder, 'config.json');
  writeFileSync(file, JSON.stringify(config, null, 2));
  const log = openSync(join(folder, 'gateway.log'), 'w');
  const child = spawn(program, ['--config', file, '--listen', '127.0.0.1:0', '--state-dir', join(folder, 'state')], { stdio: ['ignore', 'pipe', log] });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const stop = async () => {
    child.kill('SIGTERM');
    await within(exited, 'the end of the gateway').catch(() => child.kill('SIGKILL'));
  };
  const line = new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('error', reject);
    exited.then((code) => reject(new Error(`the gateway ended with ${code} before it listened`)));
  });
  try {
    const said = await within(line, 'the start of the gateway');
    const address = /^listening on (http:\/\/\S+)$/.exec(said)?.[1];
    if (!address) throw new Error(`the gateway said '${said}'`);
    return { url: `${address}/mcp`, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
