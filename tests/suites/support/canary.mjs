// Looks for the secrets of a run in what that run has left: plain, in hex, in base64 at any place of a text, in an address
// or as JSON writes it. A kind of place that is not there, or empty, fails: nothing was looked at then.
// usage: canary.mjs SECRETS WHAT=PATH... (SECRETS: a file with one a line; PATH: a file or a folder)
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

// The characters of base64 that depend on the secret alone, wherever in the encoded text it begins.
function inBase64(secret) {
  const bytes = Buffer.from(secret);
  return [0, 1, 2].map((before) => {
    const whole = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64');
    return whole.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6));
  });
}

// All forms of a secret that are looked for.
export function forms(secret) {
  const encoded = inBase64(secret);
  const url = encoded.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'));
  const json = JSON.stringify(secret).slice(1, -1);
  return [...new Set([secret, json, encodeURIComponent(secret), Buffer.from(secret).toString('hex'), ...encoded, ...url])];
}

export const read = (file) => [...new Set(readFileSync(file, 'utf8').split('\n').filter((line) => line.length >= 8))];

const files = (path) => (statSync(path).isDirectory() ? readdirSync(path).flatMap((name) => files(join(path, name)))
  : statSync(path).isFile() ? [path] : []);

function main([list, ...places]) {
  const secrets = read(list);
  const wanted = secrets.flatMap(forms).map((text) => Buffer.from(text));
  const found = (bytes) => wanted.some((text) => bytes.includes(text));
  let [passed, failed] = [0, 0];
  const judge = (what, wrong) => {
    if (wrong) failed += 1;
    else passed += 1;
    console.log(wrong ? `  FAIL  ${what}: ${wrong}` : `  ok    ${what}`);
  };
  judge(`${secrets.length} secrets are looked for`, secrets.length > 0 && found(readFileSync(list)) ? '' : 'there is none');
  for (const place of places) {
    const [what, path] = [place.slice(0, place.indexOf('=')), place.slice(place.indexOf('=') + 1)];
    const all = existsSync(path) ? files(path).filter((file) => file !== list) : [];
    const read = all.map((file) => [file, readFileSync(file)]);
    const size = read.reduce((sum, [, bytes]) => sum + bytes.length, 0);
    const wrong = read.filter(([, bytes]) => found(bytes)).map(([file]) => `one stands in ${file}`);
    judge(`none stands in ${what} (${all.length} files, ${size} bytes)`, size === 0 ? `there is nothing at ${path}` : wrong.join(', '));
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) main(process.argv.slice(2));
