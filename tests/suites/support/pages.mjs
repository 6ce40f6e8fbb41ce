// What people do at the gateway's pages, in a real browser.
//
// usage: pages.mjs FOLDER LOCAL TOKENS PROVIDER
import { createServer } from 'node:http';
import { join } from 'node:path';
import { driver } from './browser.mjs';
import { Client, StreamableHTTPClientTransport } from './npm.mjs';
import { call, check, finish, link, makeToken, sha } from './people.mjs';

const [folder, local, tokens, provider] = process.argv.slice(2);
const browsers = await driver();
const evil = '<script>alert(1)</script>';

// Nothing that a page shows is taken for a part of it.
async function harmless(browser, what) {
  const scripts = await browser.run('return document.querySelectorAll("script").length');
  check(`${what}: no script`, scripts === 0 && (await browser.alerted()) === undefined, scripts);
}

async function locally() {
  const browser = await browsers.open('the local user');
  const url = await link(local, 'tracker__whoami');
  await browser.go(url);
  check('local: the page tells the server and what is stored', /tracker[\s\S]*token/.test(await browser.text()), await browser.text());
  check('local: wide enough on a phone', await browser.picture(folder, 'link', 390), 'it is wider than the window');
  await browser.picture(folder, 'link', 1200);
  const field = await browser.run('const f = document.querySelector("input[type=password]"); return [f.autocomplete, f.required]');
  check('local: a secret is typed unseen', field[0] === 'off' && field[1] === true, field);
  await browser.type('token', 'bad-token-of-mine');
  await browser.choose('site', 'a "quoted" <b>site</b>');
  await browser.press('Test and save');
  await until(browser, 'nothing was saved');
  const text = await browser.text();
  check('local: what does not work is told', text.includes('exit status 1') && text.includes('nothing was saved'), text);
  check('local: the value is not', !text.includes('bad-token-of-mine'), text);
  await browser.picture(folder, 'wrong', 390);
  await browser.picture(folder, 'wrong', 1200);
  // By keyboard alone.
  await browser.run('document.querySelector("input[type=password]").focus()');
  for (const letter of 'good-local') await browser.key(letter);
  await browser.key('\uE007');
  check('local: it works', await until(browser, 'tracker works'), await browser.text());
  await browser.picture(folder, 'done', 390);
  const result = await call(local, 'tracker__whoami');
  check('local: the same call works', result.content[0].text === sha('good-local'), JSON.stringify(result));
  await browser.go(url);
  check('local: a second use is refused', await until(browser, 'has expired or was already used'), await browser.text());
  await browser.go(new URL('/servers', local).href);
  await harmless(browser, 'the catalog');
  check('local: the list fits a phone', await browser.picture(folder, 'servers', 390), 'it is wider than the window');
  await browser.picture(folder, 'servers', 1200);
  await browser.press('Test');
  check('local: what is installed is tried', await until(browser, 'lists 1 tools'), await browser.text());
  await browser.press('Remove');
  await browser.picture(folder, 'remove', 390);
  await browser.press('Remove');
  check('local: it is removed', await until(browser, 'is removed'), await browser.text());
  await browser.end();
}

async function signIn(browser, url, token) {
  await browser.go(url);
  await browser.type('Your token', token);
  await browser.press('Sign in');
}

async function byTokens() {
  const state = join(folder, 'tokens.state');
  const [ann, eve] = [await makeToken(state, `user/${evil}`), await makeToken(state, 'user/eve')];
  const url = await link(tokens, 'tracker__whoami', ann);
  const [annsBrowser, evesBrowser] = [await browsers.open('ann'), await browsers.open('eve')];
  await evesBrowser.go(url);
  await evesBrowser.picture(folder, 'sign-in', 390);
  check('tokens: who is not known is told nothing', !(await evesBrowser.text()).includes('tracker'), await evesBrowser.text());
  await signIn(evesBrowser, url, 'mcpo_wrong');
  check('tokens: a wrong token is refused', await until(evesBrowser, 'Invalid, expired or revoked token'), await evesBrowser.text());
  await signIn(evesBrowser, url, eve);
  check('tokens: somebody else is refused', await until(evesBrowser, 'for somebody else'), await evesBrowser.text());
  await evesBrowser.picture(folder, 'refused', 390);
  await signIn(annsBrowser, url, ann);
  await harmless(annsBrowser, 'the link');
  check('tokens: every field is shown as it is', await until(annsBrowser, evil), await annsBrowser.text());
  await annsBrowser.picture(folder, 'ann', 1200);
  await forged(annsBrowser, url);
  await annsBrowser.go(url);
  await annsBrowser.type('token', 'good-ann');
  await annsBrowser.press('Test and save');
  check('tokens: it works', await until(annsBrowser, 'tracker works'), await annsBrowser.text());
  const result = await call(tokens, 'tracker__whoami', ann);
  check('tokens: the same call works', result.content[0].text === sha('good-ann'), JSON.stringify(result));
  await harmless(annsBrowser, 'the end');
  await waits(evesBrowser, eve);
  await Promise.all([annsBrowser.end(), evesBrowser.end()]);
}

async function atProvider(browser, url, name) {
  await browser.go(url);
  await browser.press(await browser.run('return document.querySelector("a.button").innerText'));
  await browser.type('Your name', name);
  await browser.press('Sign in there');
}

async function byProvider() {
  const state = join(folder, 'provider.state');
  const ann = await makeToken(state, 'user/ann');
  const url = await link(provider, 'tracker__whoami', ann);
  const [annsBrowser, evesBrowser] = [await browsers.open('ann'), await browsers.open('eve')];
  await annsBrowser.go(url);
  await annsBrowser.picture(folder, 'provider', 390);
  await atProvider(evesBrowser, url, 'eve');
  check('provider: somebody else is refused', await until(evesBrowser, 'for somebody else'), await evesBrowser.text());
  await atProvider(annsBrowser, url, 'ann');
  check('provider: one signs in and is back at the link', (await annsBrowser.at()) === url, await annsBrowser.at());
  await annsBrowser.type('token', 'good-by-provider');
  await annsBrowser.press('Test and save');
  check('provider: it works', await until(annsBrowser, 'tracker works'), await annsBrowser.text());
  const result = await call(provider, 'tracker__whoami', ann);
  check('provider: the same call works', result.content[0].text === sha('good-by-provider'), JSON.stringify(result));
  await byOAuth(annsBrowser, evesBrowser, ann);
  // The answer to a sign-in of one browser is of no use in another.
  await evesBrowser.go(new URL('/signin/callback?code=x&state=y', provider).href);
  check('provider: an answer that nobody waits for is refused', await until(evesBrowser, 'Nobody is signed in'), await evesBrowser.text());
  await annsBrowser.go(new URL('/servers', provider).href);
  await annsBrowser.press('Sign out');
  check('provider: one signs out', await until(annsBrowser, 'Sign in'), await annsBrowser.text());
  await Promise.all([annsBrowser.end(), evesBrowser.end()]);
}

// What a page comes to say by itself.
async function until(browser, words) {
  for (let tries = 0; tries < 200; tries += 1) {
    const text = await browser.text().catch(() => '');
    if (text.includes(words)) return true;
    await new Promise((done) => setTimeout(done, 50));
  }
  return false;
}

// A server whose token its own provider gives.
async function byOAuth(browser, other, token) {
  const url = await link(provider, 'drive__whoami', token);
  await browser.go(url);
  check('oauth: there is no token to type in', (await browser.run('return document.querySelectorAll("input[type=password]").length')) === 0);
  await browser.picture(folder, 'oauth', 390);
  await browser.press('Sign in');
  check('oauth: one signs in and it works', await until(browser, 'drive works'), await browser.text());
  check('oauth: nothing of it is left in the address', !(await browser.run('return document.body.innerHTML')).includes('code='));
  const result = await call(provider, 'drive__whoami', token);
  check('oauth: the same call works', result.content?.[0]?.text === 'you are ann', JSON.stringify(result));
  const back = await browser.at();
  await browser.go(url);
  check('oauth: a second use is refused', await until(browser, 'has expired or was already used'), await browser.text());
  await other.go(back);
  check("oauth: somebody else's coming back is refused", await until(other, 'Nothing was stored'), await other.text());
  await browser.go(new URL('/servers', provider).href);
  check('oauth: the list tells that it is renewed', await until(browser, 'renews automatically'), await browser.text());
}

// A page of somebody else sends the form of the link from a browser that is signed in.
async function forged(browser, url) {
  const page = `<form method=post action="${url}"><input name="slot.token" value="good-evil"><button>Win</button></form>`;
  const server = createServer((_, response) => response.setHeader('content-type', 'text/html').end(page));
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  await browser.go(`http://127.0.0.1:${server.address().port}/`);
  await browser.press('Win');
  check('tokens: a forged form is refused', await until(browser, 'not made by a page'), await browser.text());
  server.close();
}

// The npm client is asked to open an address; its call waits, and goes on by itself.
async function waits(browser, token) {
  const requestInit = { headers: { authorization: `Bearer ${token}` } };
  const client = new Client({ name: 'suite', version: '1' }, { capabilities: { elicitation: { url: {} } } });
  let opened;
  client.setRequestHandler('elicitation/create', async ({ params }) => {
    opened = params;
    await browser.go(params.url);
    await browser.type('token', 'good-eve');
    // The answer says that the address is opened; what happens there comes after it.
    setTimeout(() => browser.press('Test and save'), 0);
    return { action: 'accept' };
  });
  await client.connect(new StreamableHTTPClientTransport(new URL(tokens), { requestInit }));
  const result = await client.callTool({ name: 'tracker__whoami', arguments: {} });
  check('npm client: it is asked to open the address', opened?.mode === 'url', JSON.stringify(opened));
  check('npm client: its call goes on by itself', result.content?.[0]?.text === sha('good-eve'), JSON.stringify(result));
  await client.close();
}

try {
  await locally();
  await byTokens();
  await byProvider();
} catch (error) {
  check('to the end', false, error.stack);
} finally {
  browsers.end();
}
finish();
