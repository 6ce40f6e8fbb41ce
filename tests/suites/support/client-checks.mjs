// Judges one client scenario by its checks: none fails or warns, and at least one succeeds.
// usage: client-checks.mjs FOLDER
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const files = globSync(join(process.argv[2], '**', 'checks.json'));
const checks = files.flatMap((file) => JSON.parse(readFileSync(file, 'utf8')));
const bad = checks.filter((check) => check.status === 'FAILURE' || check.status === 'WARNING');
const good = checks.filter((check) => check.status === 'SUCCESS');
const skipped = checks.filter((check) => check.status === 'SKIPPED');
console.log(`${good.length} checks succeed, ${bad.length} do not${skipped.length ? `, ${skipped.length} do not apply` : ''}`);
for (const check of bad) console.log(`          ${check.id} ${check.name}: ${check.status} ${check.errorMessage ?? check.details?.message ?? ''}`);
for (const check of skipped) console.log(`          does not apply: ${check.id} ${check.name}`);
process.exitCode = bad.length === 0 && good.length > 0 ? 0 : 1;
