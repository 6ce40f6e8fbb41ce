// A real browser, driven by the WebDriver protocol (W3C) over plain HTTP: what a person sees and does at a page.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf';

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

async function ask(method, url, body) {
  const response = await fetch(url, { method, body: body && JSON.stringify(body) });
  const { value } = await response.json();
  if (!response.ok) throw new Error(`${method} ${url}: ${value?.message ?? response.status}`);
  return value;
}

// One driver for all browsers of a suite.
export async function driver() {
  const port = await freePort();
  const child = spawn('chromedriver', [`--port=${port}`], { stdio: 'ignore' });
  const base = `http://127.0.0.1:${port}`;
  for (let tries = 0; ; tries += 1) {
    try {
      if ((await ask('GET', `${base}/status`)).ready) break;
    } catch (error) {
      if (tries > 100) throw error;
    }
    await new Promise((done) => setTimeout(done, 50));
  }
  return { open: (name) => Browser.open(base, name), end: () => child.kill() };
}

// Somebody's browser, with cookies of its own.
export class Browser {
  static async open(base, name) {
    const profile = mkdtempSync(join(tmpdir(), 'mcpo-browser-'));
    const args = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', `--user-data-dir=${profile}`];
    const options = { 'goog:chromeOptions': { args }, unhandledPromptBehavior: 'ignore', acceptInsecureCerts: true };
    const { sessionId } = await ask('POST', `${base}/session`, { capabilities: { alwaysMatch: options } });
    return new Browser(`${base}/session/${sessionId}`, name, profile);
  }

  constructor(session, name, profile) {
    Object.assign(this, { session, name, profile });
  }

  async end() {
    await ask('DELETE', this.session);
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }

  go(url) {
    return ask('POST', `${this.session}/url`, { url });
  }

  at() {
    return ask('GET', `${this.session}/url`);
  }

  run(script, ...args) {
    return ask('POST', `${this.session}/execute/sync`, { script, args });
  }

  text() {
    return this.run('return document.body.innerText');
  }

  async find(css) {
    return (await ask('POST', `${this.session}/element`, { using: 'css selector', value: css }))[ELEMENT];
  }

  // What this comes to; a page may be on its way still.
  async soon(look) {
    for (let tries = 0; ; tries += 1) {
      const found = await look().catch(() => undefined);
      if (found || tries === 300) return found;
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  // Types into a field that is found by its label, as a person does.
  async type(label, text) {
    const script = 'return [...document.querySelectorAll("label")].find((l) => l.innerText.startsWith(arguments[0]))?.htmlFor';
    const id = await this.soon(() => this.run(script, label));
    if (!id) throw new Error(`${this.name} sees no field ${label} on ${await this.at()}: ${await this.text()}`);
    const field = await this.find(`#${id}`);
    await ask('POST', `${this.session}/element/${field}/clear`, {});
    await ask('POST', `${this.session}/element/${field}/value`, { text });
  }

  async choose(label, value) {
    const id = await this.run('return [...document.querySelectorAll("label")].find((l) => l.innerText.startsWith(arguments[0]))?.htmlFor', label);
    const at = await this.run('return [...document.getElementById(arguments[0]).options].findIndex((o) => o.value === arguments[1])', id, value);
    const option = await this.find(`#${id} option:nth-child(${at + 1})`);
    await ask('POST', `${this.session}/element/${option}/click`, {});
  }

  // Presses a button, or follows a link, that says this, and waits for the page after it.
  async press(says) {
    const one = await this.soon(() => this.that(says));
    if (!one) throw new Error(`${this.name} sees no ${says} on ${await this.at()}: ${await this.text()}`);
    // Only the page that is left has the mark.
    await this.run('window.left = true');
    await ask('POST', `${this.session}/element/${one}/click`, {});
    await this.soon(() => this.run('return !window.left && document.readyState === "complete"'));
  }

  // The button or link that says this.
  async that(says) {
    for (const place of ['button', 'a']) {
      for (const one of await ask('POST', `${this.session}/elements`, { using: 'css selector', value: place })) {
        const text = await ask('GET', `${this.session}/element/${one[ELEMENT]}/text`);
        if (text.trim() === says) return one[ELEMENT];
      }
    }
    return undefined;
  }

  // Presses a key where the focus is.
  key(value) {
    const actions = [{ type: 'keyDown', value }, { type: 'keyUp', value }];
    return ask('POST', `${this.session}/actions`, { actions: [{ type: 'key', id: 'keyboard', actions }] });
  }

  // Whether a script of a page said something.
  async alerted() {
    try {
      return await ask('GET', `${this.session}/alert/text`);
    } catch {
      return undefined;
    }
  }

  async picture(folder, name, width) {
    await ask('POST', `${this.session}/window/rect`, { width, height: 900 });
    const data = await ask('GET', `${this.session}/screenshot`);
    const file = join(folder, `${name}-${width}.png`);
    writeFileSync(file, Buffer.from(data, 'base64'));
    return this.run('return document.documentElement.scrollWidth <= innerWidth');
  }
}
