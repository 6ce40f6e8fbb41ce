// Judges the audit log of a cluster: what an account did must be what its Roles allow, no more and no less. Discovery and
// questions about one's own rights need no Role.
// usage: cluster-audit.mjs AUDIT.log ACCOUNT [RIGHT-THAT-MAY-STAY-UNUSED]... < ROLES.json (kubectl get roles -o json)
import { createReadStream, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const [log, account, ...spare] = process.argv.slice(2);
const roles = JSON.parse(readFileSync(0, 'utf8')).items;
const OWN_RIGHTS = 'authorization.k8s.io/selfsubjectaccessreviews';

const allowed = new Set();
for (const { rules } of roles) {
  for (const { apiGroups, resources, verbs } of rules) {
    for (const group of apiGroups) for (const resource of resources) for (const verb of verbs) allowed.add(`${verb} ${group}/${resource}`);
  }
}

// What one request was allowed by. A patch that made its object needed `create` too, and so does a request that opens a
// stream: both are asked of the Role by the API server, under the one verb that it logs.
function used({ verb, objectRef: of, responseStatus: status }) {
  const resource = `${of.apiGroup ?? ''}/${of.resource}${of.subresource ? `/${of.subresource}` : ''}`;
  const opens = verb === 'get' && status?.code === 101;
  const creates = verb === 'patch' && status?.code === 201;
  return [`${verb} ${resource}`, ...(opens || creates ? [`create ${resource}`] : [])];
}

const seen = new Set();
const refused = new Set();
let requests = 0;
for await (const line of createInterface({ input: createReadStream(log) })) {
  if (!line.includes(account)) continue;
  const event = JSON.parse(line);
  const resource = event.objectRef && `${event.objectRef.apiGroup ?? ''}/${event.objectRef.resource}`;
  if (event.user?.username !== account || !event.objectRef?.resource || resource === OWN_RIGHTS) continue;
  requests += 1;
  const into = event.responseStatus?.code === 403 && event.annotations?.['authorization.k8s.io/decision'] === 'forbid' ? refused : seen;
  used(event).forEach((one) => into.add(one));
}

const unused = [...allowed].filter((one) => !seen.has(one) && !spare.includes(one));
const beyond = [...seen].filter((one) => !allowed.has(one));
let failed = 0;
const judge = (what, wrong) => {
  failed += wrong.length > 0 ? 1 : 0;
  console.log(wrong.length === 0 ? `  ok    ${account}: ${what}` : `  FAIL  ${account}: ${what}: ${wrong.sort().join(', ')}`);
};
judge(`its ${requests} requests are in the log`, requests > 0 ? [] : ['none is']);
judge(`uses ${allowed.size - spare.length} of its ${allowed.size} rights`, [...unused, ...spare.filter((one) => seen.has(one)).map((one) => `${one} after all`)]);
judge('uses nothing beyond its rights', beyond);
judge('was refused nothing', [...refused]);
console.log(`${4 - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
