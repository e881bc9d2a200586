// The page: files come in one after another, are done one after another, and are shown as they stand.

import { ask, fetched, Refused, tell, upload } from './server.js';
import { Stage } from './stage.js';
import { Settings } from './settings.js';

const EVERY = 300; // milliseconds between two questions how far something is
const $ = (id) => document.getElementById(id);
const files = []; // {file, name, state, ...}: one for each file that was dropped
let current = null;
let about = null;
let arriving = null;
let asking = false;

const settings = new Settings($('settings'), () => stage.render());
const stage = new Stage(settings, { run, forget, trouble });

function trouble(error) {
  const gone = !(error instanceof Refused);
  $('trouble').textContent = gone ? 'The program behind this page does not answer; start `anon-jax serve` again, and open its address.' : error.message;
  $('trouble').hidden = false;
}

function show(entry) {
  current = entry;
  stage.show(entry);
  $('drop').classList.toggle('small', files.length > 0);
  $('drop-title').textContent = files.length ? 'Drop more' : 'Drop photographs or a clip here';
  strip();
}

function strip() {
  $('strip').hidden = files.length < 2;
  const rows = files.map(rowOf);
  // a button that is replaced while somebody clicks on it, or has it focused, is lost to them
  if (rows.length !== $('strip').children.length || rows.some((row, at) => row !== $('strip').children[at])) $('strip').replaceChildren(...rows);
}

/** The row of a file in the strip: always the same elements, as they stand now. */
function rowOf(entry) {
  entry.row ||= newRow(entry);
  const button = entry.row.firstChild;
  button.setAttribute('aria-current', String(entry === current));
  const address = entry.after || entry.before;
  if (address && button.firstChild.src !== address) {
    const picture = document.createElement('img');
    Object.assign(picture, { className: 'thumb', src: address, alt: '' });
    button.firstChild.replaceWith(picture);
  }
  const state = stage.stateOf(entry);
  if (button.lastChild.textContent !== state) button.lastChild.textContent = state;
  return entry.row;
}

function newRow(entry) {
  const row = document.createElement('li');
  const button = document.createElement('button');
  button.type = 'button';
  const parts = ['thumb', '', 'fine'].map((kind) => Object.assign(document.createElement('span'), { className: kind }));
  parts[1].textContent = entry.name;
  button.append(...parts);
  button.addEventListener('click', () => show(entry));
  row.append(button);
  return row;
}

function add(list) {
  $('trouble').hidden = true;
  for (const file of list) {
    const entry = { file, name: file.name, state: 'queued', share: 0, faces: [], control: {}, message: '' };
    if (files.length >= about.limits.files) {
      trouble(new Refused(`At most ${about.limits.files} files are held at a time; remove some first.`));
      break;
    }
    if (file.size > about.limits.file_bytes) {
      entry.state = 'failed';
      entry.message = `The file has more than ${about.limits.file_bytes >> 20} MiB; make it smaller.`;
    }
    files.push(entry);
    if (!current || list.length === 1) show(entry);
  }
  strip();
  next();
}

/** Sends the next file; its program does one after another, too. */
async function next() {
  if (arriving) return;
  const entry = arriving = files.find((each) => each.state === 'queued') || null;
  if (!entry) return;
  entry.state = 'arriving';
  try {
    const told = await upload(entry.file, (share) => { entry.share = share; refresh(entry); }, entry.control);
    entry.id = told.id;
    entry.state = told.state;
    await run(entry);
  } catch (error) {
    failed(entry, error);
  }
  arriving = null;
  next();
}

function failed(entry, error) {
  if (!files.includes(entry)) return;
  if (!(error instanceof Refused)) trouble(error);
  entry.state = 'failed';
  entry.message = error instanceof Refused ? error.message : 'The program does not answer.';
  refresh(entry);
}

/** Has a file done by the settings of the page; `more` has its faces and what is confirmed. */
async function run(entry, more = {}) {
  const chosen = settings.chosen();
  if (entry.state !== 'held') $('trouble').hidden = true; // somebody asks for it anew
  try {
    Object.assign(entry, await tell('/anonymize', { id: entry.id, ...chosen, ...more }));
    entry.applied = chosen;
    refresh(entry);
    watch();
  } catch (error) {
    if (entry.state === 'held') failed(entry, error);
    else trouble(error);
  }
}

async function forget(entry) {
  entry.control.abort?.();
  const at = files.indexOf(entry);
  if (at >= 0) files.splice(at, 1);
  for (const address of [entry.before, entry.after, entry.clip, entry.source]) if (address) URL.revokeObjectURL(address);
  show(files[Math.min(at, files.length - 1)] || null);
  $('trouble').hidden = true;
  if (entry.id) await tell('/forget', { id: entry.id }).catch((error) => { if (!(error instanceof Refused)) trouble(error); });
}

/** Asks how far things are, as long as anything is being done. */
async function watch() {
  if (asking) return;
  asking = true;
  for (;;) {
    const busy = files.filter((entry) => entry.id && ['waiting', 'working'].includes(entry.state));
    if (!busy.length) break;
    for (const entry of busy) {
      try {
        await learn(entry);
      } catch (error) {
        failed(entry, error);
      }
    }
    await new Promise((resolve) => { setTimeout(resolve, EVERY); });
  }
  asking = false;
}

async function learn(entry) {
  const told = await (await ask('/state', entry.id)).json();
  if (told.has_before && !entry.before) entry.before = await fetched('/before', entry.id, 'image/jpeg');
  if (told.state === 'done') {
    for (const address of [entry.after, entry.clip]) if (address) URL.revokeObjectURL(address);
    entry.after = entry.clip = null;
    if (told.kind === 'clip') entry.clip = await fetched('/result', entry.id, 'video/mp4');
    else entry.after = await fetched('/after', entry.id, 'image/jpeg');
  }
  Object.assign(entry, told);
  if (told.state === 'done' || told.state === 'no face') stage.learn(entry);
  refresh(entry);
}

function refresh(entry) {
  if (entry === current) stage.render();
  strip();
}

function dropping() {
  const drop = $('drop');
  let depth = 0;
  const holds = (event) => event.dataTransfer?.types.includes('Files');
  window.addEventListener('dragenter', (event) => { if (holds(event)) { depth += 1; drop.classList.add('over'); } });
  window.addEventListener('dragleave', (event) => { if (holds(event) && --depth <= 0) drop.classList.remove('over'); });
  window.addEventListener('dragover', (event) => event.preventDefault());
  window.addEventListener('drop', (event) => {
    event.preventDefault();
    depth = 0;
    drop.classList.remove('over');
    if (event.dataTransfer.files.length) add([...event.dataTransfer.files]);
  });
  $('files').addEventListener('change', () => { add([...$('files').files]); $('files').value = ''; });
}

/** Nobody can ask for these files any more once the page is left: they would only take up room. */
function leaving() {
  window.addEventListener('beforeunload', (event) => { if (files.length) event.preventDefault(); });
  window.addEventListener('pagehide', () => {
    for (const entry of files) {
      entry.control.abort?.();
      if (entry.id) tell('/forget', { id: entry.id }, { keepalive: true }).catch(() => {});
    }
  });
  window.addEventListener('pageshow', (event) => { if (event.persisted) window.location.reload(); });
}

async function begin() {
  try {
    about = await (await ask('/about')).json();
  } catch (error) {
    trouble(error);
    return;
  }
  settings.offer(about);
  const { file_bytes: bytes, picture_pixels: pixels, clip_frames: frames } = about.limits;
  $('taken').textContent = `JPEG, PNG, WebP, TIFF, BMP and GIF up to ${pixels / 1e6} megapixels; MP4, MOV, WebM, MKV and AVI up to ${frames.toLocaleString('en')} frames; ${bytes >> 20} MiB a file.`;
  dropping();
  leaving();
  document.body.dataset.ready = 'yes';
}

begin();
