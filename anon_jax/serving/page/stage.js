// The file that is looked at: its picture or clip, its faces, and what can be done with it.

import { Boxes } from './boxes.js';
import { asked, consent, drawnEntry, entriesOf, labelled, list, listTracks } from './faces.js';
import { fetched } from './server.js';

const $ = (id) => document.getElementById(id);
const BUSY = ['queued', 'arriving', 'held', 'waiting', 'working'];
const STATES = {
  queued: 'waiting', arriving: 'being read', held: 'waiting', waiting: 'waiting', working: 'working',
  done: 'done', 'no face': 'no face found', failed: 'cannot be done',
};
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const timeLeft = (seconds) => (seconds < 100 ? `about ${Math.ceil(seconds)} s left` : `about ${Math.ceil(seconds / 60)} minutes left`);

export class Stage {
  /** @param settings of the page. @param on run(entry, more), forget(entry) and trouble(error). */
  constructor(settings, on) {
    this.settings = settings;
    this.on = on;
    this.entry = null;
    this.boxes = new Boxes($('boxes'), {
      changed: (face) => { face.corrected = face.found !== null; this.render(); },
      drawn: (place) => this.#add(place),
      lit: (face) => this.#lightRow(face),
      removed: (face) => { if (face.found === null) this.#remove(face); },
    });
    $('to-compare').addEventListener('click', () => this.#view('compare'));
    $('to-faces').addEventListener('click', () => this.#view('faces'));
    $('slider').addEventListener('input', () => this.#slide());
    $('looked').addEventListener('change', () => { $('give-out').disabled = !$('looked').checked; });
    $('give-out').addEventListener('click', () => on.run(this.entry, { no_face: true, ...this.#faces() }));
    $('apply').addEventListener('click', () => this.#apply());
    $('again').addEventListener('click', () => this.#apply());
    $('add').addEventListener('click', () => this.#addInTheMiddle());
    $('download').addEventListener('click', () => this.#save('/result', `_anonymized${this.entry.suffix}`, this.entry.clip));
    $('manifest').addEventListener('click', () => this.#save('/manifest', '_manifest.json'));
    for (const id of ['remove', 'stop']) $(id).addEventListener('click', () => on.forget(this.entry));
  }

  stateOf(entry) {
    if (entry.state === 'working' && entry.expected) return `${Math.min(99, Math.floor(100 * entry.done / entry.expected))} %`;
    return STATES[entry.state] || entry.state;
  }

  /** Takes what became of an entry's faces: what was changed by hand starts anew from there. */
  learn(entry) {
    entry.edit = entry.kind === 'picture' ? entriesOf(entry.faces) : [];
    entry.start = asked(entry.edit);
    entry.view ||= entry.state === 'done' ? 'compare' : 'faces';
    if (entry.state !== 'done' && entry.kind === 'picture') entry.view = 'faces';
    if (entry.state === 'done' && entry.wanted) { entry.view = 'compare'; entry.wanted = false; }
    if (entry === this.entry) $('looked').checked = false;
  }

  show(entry) {
    this.entry = entry;
    $('view').hidden = !entry;
    $('looked').checked = false;
    this.#slide(50);
    this.render();
  }

  render() {
    const entry = this.entry;
    const settled = entry && !BUSY.includes(entry.state);
    $('actions').hidden = !settled;
    if (!entry) { $('faces').hidden = true; return; }
    $('faces').hidden = !settled || entry.state === 'failed' || (entry.kind === 'clip' ? !entry.faces.length : !entry.edit);
    $('title').textContent = entry.name;
    this.#facts();
    this.#progress();
    this.#notice();
    this.#pictures();
    this.#list();
    this.#actions();
  }

  get #changed() {
    return Boolean(this.entry.edit) && !same(asked(this.entry.edit), this.entry.start);
  }

  #faces() {
    return this.entry.kind === 'picture' && this.entry.edit ? asked(this.entry.edit) : {};
  }

  #facts() {
    const { size, kind, faces, state } = this.entry;
    const parts = [size ? `${size[0]} × ${size[1]} pixels` : ''];
    if (state === 'done') parts.push(`${faces.length} ${faces.length === 1 ? 'face' : 'faces'}${kind === 'clip' ? ' followed' : ''}`);
    $('facts').textContent = parts.filter(Boolean).join(', ');
  }

  #progress() {
    const { state, stage, share, done, expected, seconds } = this.entry;
    $('busy').hidden = !BUSY.includes(state);
    const bar = $('progress');
    let text = STATES[state];
    bar.removeAttribute('value');
    if (state === 'arriving') {
      bar.value = share;
      text = `Being handed to the program on this computer: ${Math.floor(100 * share)} %`;
    } else if (state === 'working') {
      text = stage ? `${stage[0].toUpperCase()}${stage.slice(1)}` : 'Working';
      if (done) {
        const rate = done / Math.max(seconds, .1);
        text += `: ${done}${expected >= done ? ` of ${expected}` : ''} frames, ${rate.toFixed(1)} a second`;
        if (expected >= done) {
          bar.value = done / expected;
          text += `, ${timeLeft((expected - done) / rate)}`;
        }
      }
    }
    if ($('stage').textContent !== text) $('stage').textContent = text;
  }

  #notice() {
    const { state, message } = this.entry;
    const none = state === 'no face';
    const all = this.entry.edit || [];
    $('notice').hidden = !none && state !== 'failed';
    $('notice').className = `notice ${none ? 'warn' : 'bad'}`;
    if ($('notice-text').textContent !== message) $('notice-text').textContent = message;
    $('no-face').hidden = !none || all.length > 0;
    $('give-out').disabled = !$('looked').checked;
  }

  #pictures() {
    const { before, after, clip, size, view, state, kind } = this.entry;
    const isClip = kind === 'clip' && Boolean(clip) && state === 'done';
    $('canvas').hidden = !before || isClip;
    $('video').hidden = !isClip;
    const choice = (kind === 'picture' && state === 'done') || isClip;
    $('views').hidden = !choice;
    $('to-compare').textContent = isClip ? 'Result' : 'Compare';
    $('to-faces').textContent = isClip ? 'Original' : 'Faces';
    if (isClip) this.#clip();
    else if ($('video').src) { $('video').removeAttribute('src'); $('video').load(); }
    const compares = state === 'done' && view !== 'faces' && Boolean(after);
    const edits = kind === 'picture' && (state === 'done' || state === 'no face') && !compares;
    $('to-compare').setAttribute('aria-pressed', String(isClip ? view !== 'faces' : compares));
    $('to-faces').setAttribute('aria-pressed', String(isClip ? view === 'faces' : edits));
    if (before && size) {
      const ratio = size[0] / size[1];
      $('canvas').style.aspectRatio = String(ratio);
      $('canvas').style.maxWidth = `calc(64vh * ${ratio})`;
    }
    $('canvas').classList.toggle('waiting', BUSY.includes(state));
    if (before && $('before').src !== before) $('before').src = before;
    if (after && $('after').src !== after) $('after').src = after;
    for (const id of ['after', 'slider', 'divider', 'tag-before', 'tag-after']) $(id).hidden = !compares;
    $('boxes').toggleAttribute('hidden', !edits);
    if (edits) this.boxes.show(labelled(this.entry.edit), size);
    $('hint').textContent = compares ? 'Drag across the picture, or use the arrow keys, to compare.'
      : edits ? 'Drag on the picture to draw a box around a face that was missed; drag a box or its corners to correct it.' : '';
  }

  #clip() {
    const entry = this.entry;
    const video = $('video');
    entry.source ||= URL.createObjectURL(entry.file);
    const wanted = entry.view === 'faces' ? entry.source : entry.clip;
    if (video.src === wanted) return;
    const at = video.currentTime || 0;
    video.src = wanted;
    video.onloadedmetadata = () => { video.currentTime = at; };
  }

  #list() {
    const { kind, edit, faces } = this.entry;
    $('add').hidden = kind === 'clip';
    if (kind === 'clip') listTracks($('list'), faces);
    else if (edit) {
      list($('list'), labelled(edit), {
        lit: (face) => this.boxes.light(face),
        keep: (face) => this.#keep(face),
        replace: (face) => { face.kept = false; this.render(); },
        remove: (face) => this.#remove(face),
        reset: (face) => { face.place = [...face.original]; face.corrected = false; this.render(); },
      });
    }
  }

  #actions() {
    const { state, applied, edit } = this.entry;
    const done = state === 'done';
    const other = done && !same(applied, this.settings.chosen());
    const stale = done && (other || this.#changed);
    const drawn = state === 'no face' && Boolean(edit?.length);
    $('apply').hidden = !(stale || drawn || (state === 'failed' && this.entry.id));
    $('apply').textContent = state === 'failed' ? 'Try it again' : 'Apply';
    $('again').hidden = !done || stale || !this.settings.draws || !this.entry.faces.length;
    for (const id of ['download', 'manifest']) {
      $(id).hidden = !done;
      $(id).disabled = stale;
    }
    const text = stale ? 'The result does not show what you have changed. Apply it, then download.' : '';
    if ($('stale').textContent !== text) $('stale').textContent = text;
  }

  #view(name) {
    this.entry.view = name;
    this.render();
  }

  #slide(to) {
    if (to !== undefined) $('slider').value = to;
    const share = `${$('slider').value}%`;
    $('divider').style.left = share;
    $('after').style.clipPath = `inset(0 0 0 ${share})`;
  }

  #apply() {
    this.entry.wanted = true;
    this.on.run(this.entry, this.entry.state === 'failed' ? {} : this.#confirmed());
  }

  /** Nothing is confirmed anew by applying: a picture without faces was given out before. */
  #confirmed() {
    const faces = this.#faces();
    const none = !this.entry.faces.length && !faces.faces?.length;
    return this.entry.state === 'done' && none ? { ...faces, no_face: true } : faces;
  }

  #add(place) {
    const face = drawnEntry(place);
    this.entry.edit.push(face);
    this.render();
    this.boxes.focus(face);
  }

  #addInTheMiddle() {
    const [width, height] = this.entry.size;
    const half = Math.min(width, height) / 8;
    this.entry.view = 'faces';
    this.#add([width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half]);
  }

  #remove(face) {
    this.entry.edit = this.entry.edit.filter((each) => each !== face);
    this.render();
  }

  async #keep(face) {
    this.entry.view = 'faces';
    this.render();
    if (await consent($('consent'), $('before'), face, this.entry.size)) {
      face.place = [...face.original];
      face.corrected = false;
      face.kept = true;
    }
    this.render();
  }

  #lightRow(face) {
    const at = face ? this.entry.edit.indexOf(face) : -1;
    [...$('list').children].forEach((row, number) => row.classList.toggle('lit', number === at));
  }

  async #save(path, suffix, address) {
    const link = document.createElement('a');
    const name = this.entry.name.replace(/\.[^.]*$/, '') + suffix;
    try {
      link.href = address || await fetched(path, this.entry.id, 'application/octet-stream');
    } catch (error) {
      this.on.trouble(error);
      return;
    }
    link.download = name;
    link.click();
    if (!address) setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }
}
