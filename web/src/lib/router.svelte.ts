// Addresses are kept behind the #: the server needs to know nothing of them and a one-time link's token never reaches
// its log.

export interface Place {
  /** Decoded parts: #/twins/compressor-1 is ['twins', 'compressor-1']. */
  parts: string[];
  query: URLSearchParams;
}

export function parse(hash: string): Place {
  const [path = '', query = ''] = hash.replace(/^#?\/?/, '').split('?', 2);
  const parts = path.split('/').filter(Boolean).map((part) => {
    try { return decodeURIComponent(part); } catch { return part; }
  });
  return { parts, query: new URLSearchParams(query) };
}

let place = $state.raw(parse(location.hash));
addEventListener('hashchange', () => { place = parse(location.hash); });

export const router = {
  get place() { return place; },
  /** Where to go from sign-in: where one wanted to be. */
  wanted: '',
};

/** An address: href('twins', 'a/b') is '#/twins/a%2Fb'. */
export function href(...parts: string[]): string {
  return '#/' + parts.map(encodeURIComponent).join('/');
}

export function go(address: string, replace = false) {
  if (replace) {
    history.replaceState(null, '', address);
    place = parse(location.hash);
  } else {
    location.hash = address;
  }
}

/** Changes ?query of this page without a new entry in the history. Null or '' takes a member out. */
export function setQuery(change: Record<string, string | null>) {
  const query = new URLSearchParams(place.query);
  for (const [name, value] of Object.entries(change))
    if (value) query.set(name, value); else query.delete(name);
  const text = query.toString();
  go(href(...place.parts) + (text ? '?' + text : ''), true);
}
