// The faces of one picture as somebody wants them: what was found, corrected, drawn or kept.

const ACTIONS = {
  synthesized: 'new face', filled: 'filled with grey', pixelated: 'pixelated', blurred: 'blurred',
  kept: 'kept by choice', 'left out': 'left out, no face',
};

function element(name, text, kind) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function button(text, label, act) {
  const made = element('button', text);
  made.type = 'button';
  made.setAttribute('aria-label', label);
  made.addEventListener('click', act);
  return made;
}

/** Turns what the program says of the faces of a picture into entries that can be changed. */
export function entriesOf(faces) {
  let found = 0;
  return faces.map((face) => ({
    found: face.by === 'drawn' ? null : found++,
    original: face.found_box || face.box,
    place: [...face.box],
    corrected: face.by === 'corrected',
    kept: face.action === 'kept',
    told: face,
  }));
}

export function drawnEntry(place) {
  return { found: null, original: place, place, corrected: false, kept: false, told: null };
}

/** What the program is asked for: every face that was found is among it. */
export function asked(entries) {
  const faces = entries.map((entry) => ({
    found: entry.found,
    box: entry.found !== null && !entry.corrected ? null : entry.place,
    kept: entry.kept,
  }));
  const consent = entries.flatMap((entry, number) => (entry.kept ? [number] : []));
  return { faces, consent };
}

/** Adds to each entry what the picture's boxes show of it. */
export function labelled(entries) {
  entries.forEach((entry, number) => {
    const told = entry.told;
    const score = told && entry.found !== null && !entry.corrected ? told.score.toFixed(2) : '';
    const hand = entry.found === null ? 'drawn' : entry.corrected ? 'corrected' : '';
    entry.kind = entry.kept ? 'kept' : hand ? 'hand' : told?.action === 'filled' && told.reason ? 'filled' : 'plain';
    entry.fixed = entry.kept;
    entry.label = `${number + 1}${score ? `  ${score}` : ''}${entry.kept ? '  kept' : ''}`;
    entry.described = `Face ${number + 1}${score ? `, score ${score}` : ''}${hand ? `, ${hand} by hand` : ''}${entry.kept ? ', kept as it is' : ''}`;
  });
  return entries;
}

function status(entry) {
  if (entry.kept) return 'kept as it is, by choice';
  const told = entry.told;
  const hand = entry.found === null ? 'drawn by hand' : entry.corrected ? 'corrected by hand' : '';
  const done = told && told.action !== 'kept' ? (ACTIONS[told.action] || told.action) + (told.reason ? `: ${told.reason}` : '') : '';
  return [hand, done].filter(Boolean).join('; ');
}

/** Shows entries as a list, with buttons for what can be done with each. */
export function list(parent, entries, on) {
  parent.replaceChildren(...entries.map((entry) => {
    const row = element('li', '', entry.kind);
    const name = `Face ${entries.indexOf(entry) + 1}`;
    const score = entry.told && entry.found !== null && !entry.corrected ? `, score ${entry.told.score.toFixed(2)}` : '';
    const title = element('span', `${name}${score}`);
    const buttons = element('div', '', 'buttons');
    row.append(title, element('span', status(entry), 'fine'), buttons);
    row.addEventListener('pointerenter', () => on.lit(entry));
    row.addEventListener('pointerleave', () => on.lit(null));
    if (entry.kept) buttons.append(button('Replace', `Replace ${name} after all`, () => on.replace(entry)));
    else if (entry.found === null) buttons.append(button('Remove', `Remove the box of ${name}`, () => on.remove(entry)));
    else {
      buttons.append(button('Keep…', `Keep ${name} as it is`, () => on.keep(entry)));
      if (entry.corrected) buttons.append(button('Reset', `Put the box of ${name} back`, () => on.reset(entry)));
    }
    return row;
  }));
}

/** Shows what became of the faces of a clip. */
export function listTracks(parent, tracks) {
  parent.replaceChildren(...tracks.map((track, number) => {
    const row = element('li', '', track.action === 'filled' && track.reason ? 'filled' : 'plain');
    const states = ['detected', 'bridged', 'held'].filter((state) => track.states[state]).map((state) => `${track.states[state]} ${state}`);
    row.append(
      element('span', `Face ${number + 1}, ${track.frames} frames from frame ${track.first_frame}`),
      element('span', `${ACTIONS[track.action] || track.action}${track.reason ? `: ${track.reason}` : ''} (${states.join(', ')})`, 'fine'),
    );
    return row;
  }));
}

/** Asks whether a person has agreed to be shown; resolves to true only by a deliberate act. */
export function consent(dialog, image, entry, size) {
  const agreed = dialog.querySelector('#agreed');
  const keep = dialog.querySelector('#keep');
  const canvas = dialog.querySelector('canvas');
  const [left, top, right, bottom] = entry.place;
  const side = 1.5 * Math.max(right - left, bottom - top);
  const scale = image.naturalWidth / size[0];
  const x = (left + right - side) / 2;
  const y = (top + bottom - side) / 2;
  const pen = canvas.getContext('2d');
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(image, x * scale, y * scale, side * scale, side * scale, 0, 0, canvas.width, canvas.height);
  agreed.checked = false;
  keep.disabled = true;
  agreed.onchange = () => { keep.disabled = !agreed.checked; };
  return new Promise((resolve) => {
    keep.onclick = () => { if (agreed.checked) dialog.close('keep'); };
    dialog.querySelector('#keep-not').onclick = () => dialog.close('');
    dialog.onclose = () => {
      pen.clearRect(0, 0, canvas.width, canvas.height);
      resolve(dialog.returnValue === 'keep');
    };
    dialog.returnValue = '';
    dialog.showModal();
  });
}
