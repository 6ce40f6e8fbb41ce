// What a browser does with an authorization address: follows redirects with cookies, up to the one that leaves for the
// client's own address. Prints that address. Where a page asks who it is (BROWSE_USER, BROWSE_PASSWORD) or whether it agrees,
// it answers.
//
// usage: browse.mjs URL REDIRECT
import { pathToFileURL } from 'node:url';

const plain = (text) => text.replaceAll('&amp;', '&').replaceAll('&quot;', '"').replaceAll('&#x2F;', '/');
const attributes = (tag) => Object.fromEntries([...tag.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, name, value]) => [name, plain(value)]));

// The form of a page, filled in: where it goes, and with what.
function fill(page, url) {
  const found = /<form\b[^>]*method="post"[^>]*>[\s\S]*?<\/form>/i.exec(page)?.[0];
  if (!found) return undefined;
  const said = new URLSearchParams();
  for (const [tag] of found.matchAll(/<(?:input|button)\b[^>]*>/gi)) {
    const { name, type = 'text', value = '' } = attributes(tag);
    if (name === 'username') said.set(name, process.env.BROWSE_USER ?? '');
    else if (name === 'password') said.set(name, process.env.BROWSE_PASSWORD ?? '');
    else if (name && (type === 'hidden' || name === 'accept')) said.set(name, value);
  }
  return { url: new URL(attributes(/<form\b[^>]*>/i.exec(found)[0]).action, url).href, said };
}

export async function browse(start, redirect) {
  const cookies = new Map();
  let [url, said] = [start, undefined];
  for (let step = 0; step < 20; step += 1) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(url, { redirect: 'manual', headers: cookie ? { cookie } : {}, ...(said && { method: 'POST', body: said }) });
    said = undefined;
    for (const set of answer.headers.getSetCookie()) {
      const [pair] = set.split(';');
      const at = pair.indexOf('=');
      cookies.set(pair.slice(0, at), pair.slice(at + 1));
    }
    const location = answer.headers.get('location');
    if (!location) {
      const page = await answer.text();
      const form = answer.ok && fill(page, url);
      if (!form) throw new Error(`${answer.status} from ${url}: ${page.slice(0, 400)}`);
      ({ url, said } = form);
      continue;
    }
    url = new URL(location, url).href;
    if (url.startsWith(redirect)) return url;
  }
  throw new Error('too many redirects');
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  console.log(await browse(process.argv[2], process.argv[3]));
}
