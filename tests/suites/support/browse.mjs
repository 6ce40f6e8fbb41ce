// What a browser does with an authorization address: follows redirects with cookies, up to the one that leaves for the
// client's own address. Prints that address.
//
// usage: browse.mjs URL REDIRECT
import { pathToFileURL } from 'node:url';

export async function browse(start, redirect) {
  const cookies = new Map();
  let url = start;
  for (let step = 0; step < 20; step += 1) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(url, { redirect: 'manual', headers: cookie ? { cookie } : {} });
    for (const set of answer.headers.getSetCookie()) {
      const [pair] = set.split(';');
      const at = pair.indexOf('=');
      cookies.set(pair.slice(0, at), pair.slice(at + 1));
    }
    const location = answer.headers.get('location');
    if (!location) throw new Error(`${answer.status} from ${url}: ${(await answer.text()).slice(0, 400)}`);
    url = new URL(location, url).href;
    if (url.startsWith(redirect)) return url;
  }
  throw new Error('too many redirects');
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  console.log(await browse(process.argv[2], process.argv[3]));
}
