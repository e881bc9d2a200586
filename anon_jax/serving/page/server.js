// What the page says to its program: every request carries the token of this start.

const TOKEN = document.querySelector('meta[name=token]').content;

/** An answer that says what is wrong, in one line. */
export class Refused extends Error {}

async function answered(response) {
  if (response.ok) return response;
  let text = `The program answered with code ${response.status}.`;
  try {
    text = (await response.json()).error || text;
  } catch { /* it is no JSON */ }
  throw new Refused(text);
}

async function request(path, options = {}) {
  const headers = { ...options.headers, 'X-Anon-Jax-Token': TOKEN };
  return answered(await fetch(path, { ...options, headers, cache: 'no-store', redirect: 'error' }));
}

export async function ask(path, id) {
  const query = id ? `?id=${encodeURIComponent(id)}` : '';
  return request(path + query);
}

export async function tell(path, body, options = {}) {
  const headers = { 'Content-Type': 'application/json' };
  const answer = await request(path, { ...options, method: 'POST', headers, body: JSON.stringify(body) });
  return answer.json();
}

/** Sends a file, and reports the share that has been sent; `control.abort()` breaks it off. */
export function upload(file, report, control) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    control.abort = () => sending.abort();
    sending.open('POST', '/upload');
    sending.setRequestHeader('X-Anon-Jax-Token', TOKEN);
    sending.setRequestHeader('X-Anon-Jax-Name', encodeURIComponent(file.name.toWellFormed?.() ?? file.name));
    sending.setRequestHeader('Content-Type', 'application/octet-stream');
    sending.responseType = 'json';
    sending.upload.onprogress = (event) => report(event.loaded / event.total);
    sending.onload = () => {
      if (sending.status === 201) resolve(sending.response);
      else reject(new Refused(sending.response?.error || `The program answered with code ${sending.status}.`));
    };
    sending.onabort = () => reject(new Refused('The upload was broken off.'));
    // the browser does not say which of both failed, the file or the program
    sending.onerror = () => file.slice(0, 1).arrayBuffer().then(
      () => reject(new TypeError('no answer')),
      () => reject(new Refused('The browser cannot read it: it is a folder, or was moved or changed meanwhile. Drop the file again.')),
    );
    sending.send(file);
  });
}

/** Fetches something of an item as the address of a blob. */
export async function fetched(path, id, kind) {
  const content = await (await ask(path, id)).blob();
  return URL.createObjectURL(kind ? new Blob([content], { type: kind }) : content);
}
