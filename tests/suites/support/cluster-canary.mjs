// Looks for secrets in objects of a cluster, also where they stand in base64 or packed. They may stand in the Secrets that
// are named, and in nothing else.
// usage: cluster-canary.mjs SECRETS SECRET-PATTERN < OBJECTS.json (kubectl get … -o json; SECRETS: a file with one a line)
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { forms, read } from './canary.mjs';

const [list, pattern] = process.argv.slice(2);
const wanted = read(list).flatMap(forms);
const objects = JSON.parse(readFileSync(0, 'utf8')).items;
const may = new RegExp(`^(${pattern})$`);

function holds(text, depth = 0) {
  if (wanted.some((one) => text.includes(one))) return true;
  if (depth === 3 || text.length < 8 || !/^[A-Za-z0-9+/=\s]+$/.test(text)) return false;
  let bytes = Buffer.from(text, 'base64');
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) bytes = gunzipSync(bytes);
  return holds(bytes.toString('utf8'), depth + 1) || holds(bytes.toString('latin1'), depth + 1);
}

const strings = (value) =>
  typeof value === 'string' ? [value] : value && typeof value === 'object' ? [...Object.keys(value), ...Object.values(value).flatMap(strings)] : [];
const found = objects.filter((one) => strings(one).some((text) => holds(text)));
const place = ({ kind, metadata }) => `${kind.toLowerCase()}/${metadata.name}`;
const wrong = found.map(place).filter((one) => !may.test(one));
const right = found.map(place).filter((one) => may.test(one));
const checks = [
  [`what is secret stands where it belongs (${right.length} Secrets)`, wanted.length > 0 && right.length > 0 ? [] : ['nowhere']],
  [`and in none of the other ${objects.length - right.length} objects`, wrong],
];
for (const [what, bad] of checks) console.log(bad.length === 0 ? `  ok    ${what}` : `  FAIL  ${what}: ${bad.join(', ')}`);
const failed = checks.filter(([, bad]) => bad.length > 0).length;
console.log(`${checks.length - failed} passed, ${failed} failed`);
