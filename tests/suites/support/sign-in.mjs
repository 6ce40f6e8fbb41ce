// Installs a server's credential by signing in, as the command line does: over the control socket, with a browser that
// follows redirects. Nothing listens where it comes back to: the browser stops there.
import { existsSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { browse } from './browse.mjs';

const REDIRECT = 'http://127.0.0.1:9/callback';

export class Refused extends Error {}

function control(stateDir, path, body) {
  const pointer = join(stateDir, 'control.path');
  const socketPath = existsSync(pointer) ? readFileSync(pointer, 'utf8').trim() : join(stateDir, 'control.sock');
  const text = JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), host: 'localhost' };
    const sent = request({ socketPath, path, method: 'POST', headers }, (response) => {
      let whole = '';
      response.setEncoding('utf8').on('data', (part) => { whole += part; }).on('end', () => {
        const answer = JSON.parse(whole);
        if (response.statusCode === 200) resolve(answer);
        else reject(new Refused(answer.message ?? whole));
      });
    });
    sent.on('error', reject).end(text);
  });
}

// Begins, lets the browser run, finishes. Answers what is installed; throws Refused where the gateway says no.
export async function signIn(stateDir, server, owner = 'me') {
  const { url, state } = await control(stateDir, '/v1/sign-ins', { server, owner, redirect_uri: REDIRECT });
  const back = new URL(await browse(url, REDIRECT)).searchParams;
  const answer = { state: back.get('state'), code: back.get('code'), iss: back.get('iss'), error: back.get('error') };
  if (answer.state !== state) throw new Error('the browser brought back another state');
  return control(stateDir, '/v1/sign-ins/finish', answer);
}
