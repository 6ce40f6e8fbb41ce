// What runs against a protected server have in common: what is checked, what the issuer counts and is told, and calls by
// several clients at once.
import { Legacy } from './mcp.mjs';

export class Run {
  constructor(issuer) {
    this.issuer = issuer;
    this.passed = 0;
    this.failed = 0;
  }

  check(what, holds, seen) {
    if (holds) this.passed += 1;
    else this.failed += 1;
    console.log(holds ? `  ok    ${what}` : `  FAIL  ${what}: ${JSON.stringify(seen)}`);
  }

  finish() {
    console.log(`${this.passed} passed, ${this.failed} failed`);
  }

  // What the issuer counted, and what it is told to do.
  async idp(path) {
    return (await fetch(`${this.issuer}/control/${path}`, { method: 'POST' })).json();
  }

  async refreshes() {
    return (await this.idp('seen')).refreshes;
  }

  async ended() {
    const { expires } = await this.idp('seen');
    // A token is over a second after its end at the latest: both clocks are this machine's.
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, expires * 1000 - Date.now()) + 1000));
  }

  // This many calls at once, by ten clients, which go to these gateways in turn.
  async calls(number, ...urls) {
    const clients = await Promise.all(Array.from({ length: Math.min(10, number) }, (_, n) => Legacy.connect(urls[n % urls.length], '2025-11-25')));
    const all = Array.from({ length: number }, (_, n) => clients[n % clients.length].call({ name: 'whoami', inputSchema: {} }, {}));
    const results = await Promise.all(all);
    return results.map((result) => ({ text: result.content[0].text, auth: result._meta?.['mcp-orchestrator.dev/auth']?.error }));
  }

  // At a token's end: as many calls, all answered by one new token, with one refresh.
  async renewal(number, before, ...urls) {
    await this.ended();
    const earlier = await this.refreshes();
    const many = await this.calls(number, ...urls);
    const after = await this.refreshes();
    this.check(`${number} calls at its end are answered`, many.every(({ text }) => text.startsWith('ann ')), many.filter(({ text }) => !text.startsWith('ann '))[0]);
    this.check('by one token, another than before', new Set(many.map(({ text }) => text)).size === 1 && many[0].text !== before.text, many.map(({ text }) => text));
    this.check('with one refresh', after - earlier === 1, { earlier, after });
    return many[0];
  }
}
