// The boxes of faces over a picture: shown, drawn, moved and resized, by pointer and by keys.

const NS = 'http://www.w3.org/2000/svg';
const LEAST = 8; // pixels of the picture that a box has at least
const CORNERS = ['lt', 'rt', 'lb', 'rb'];

function made(name, attributes, parent) {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent.append(element);
  return element;
}

export class Boxes {
  /** @param svg where they are drawn. @param on changed(entry), drawn(box), lit(entry or null), removed(entry). */
  constructor(svg, on) {
    this.svg = svg;
    this.on = on;
    this.entries = [];
    this.size = [1, 1];
    this.drag = null;
    svg.addEventListener('pointerdown', (event) => this.#down(event));
    svg.addEventListener('pointermove', (event) => this.#move(event));
    svg.addEventListener('pointerup', (event) => this.#up(event));
    svg.addEventListener('pointercancel', () => { this.drag = null; this.draw(); });
    svg.addEventListener('keydown', (event) => this.#key(event));
    svg.addEventListener('focusin', (event) => this.on.lit(this.#entryOf(event.target)));
    svg.addEventListener('focusout', () => this.on.lit(null));
    new ResizeObserver(() => this.draw()).observe(svg);
  }

  /** Shows entries {place: [left, top, right, bottom], label, kind, described} of a picture. */
  show(entries, size) {
    this.entries = entries;
    this.size = size;
    this.draw();
  }

  focus(entry) {
    this.svg.querySelector(`g[data-number="${this.entries.indexOf(entry)}"]`)?.focus();
  }

  light(entry) {
    for (const group of this.svg.querySelectorAll('g')) {
      group.classList.toggle('lit', this.entries[group.dataset.number] === entry);
    }
  }

  get #scale() {
    return this.size[0] / Math.max(1, this.svg.clientWidth);
  }

  draw() {
    const [width, height] = this.size;
    const focused = this.svg.contains(document.activeElement) ? document.activeElement.dataset.number : null;
    this.svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    this.svg.replaceChildren();
    const scale = this.#scale;
    this.entries.forEach((entry, number) => this.#drawOne(entry, number, scale));
    if (this.drag?.fresh) {
      const group = made('g', { class: 'hand fresh' }, this.svg);
      this.#rect('frame', this.drag.fresh, group);
    }
    if (focused !== null && focused !== undefined) this.svg.querySelector(`g[data-number="${focused}"]`)?.focus();
  }

  #rect(name, [left, top, right, bottom], parent) {
    return made('rect', { class: name, x: left, y: top, width: right - left, height: bottom - top }, parent);
  }

  #drawOne(entry, number, scale) {
    const group = made('g', {
      class: entry.kind, tabindex: 0, role: 'button', 'data-number': number, 'aria-label':
      `${entry.described}. Arrow keys move the box, with Shift they change its size.`,
    }, this.svg);
    this.#rect('shade', entry.place, group);
    this.#rect('frame', entry.place, group);
    const [left, top, right, bottom] = entry.place;
    const size = 14 * scale;
    const text = made('text', {
      x: Math.max(left, 2 * scale), y: top > 1.6 * size ? top - .45 * size : Math.min(bottom + 1.2 * size, this.size[1] - .3 * size),
      'font-size': size, 'stroke-width': .25 * size,
    }, group);
    text.textContent = entry.label;
    if (entry.fixed) return;
    // large enough for a finger, and never so large that the box itself cannot be taken
    const side = Math.min(14 * scale, (right - left) / 3, (bottom - top) / 3);
    for (const corner of CORNERS) {
      const x = corner[0] === 'l' ? left : right;
      const y = corner[1] === 't' ? top : bottom;
      made('rect', { class: `grip ${corner}`, x: x - side / 2, y: y - side / 2, width: side, height: side, 'data-corner': corner }, group);
    }
  }

  #entryOf(target) {
    const group = target.closest?.('g[data-number]');
    return group ? this.entries[group.dataset.number] : null;
  }

  #at(event) {
    const bounds = this.svg.getBoundingClientRect();
    const [width, height] = this.size;
    return [
      Math.min(Math.max((event.clientX - bounds.left) / bounds.width * width, 0), width),
      Math.min(Math.max((event.clientY - bounds.top) / bounds.height * height, 0), height),
    ];
  }

  #down(event) {
    if (event.button) return;
    const entry = this.#entryOf(event.target);
    const start = this.#at(event);
    this.svg.setPointerCapture(event.pointerId);
    if (entry && !entry.fixed) {
      this.drag = { entry, start, corner: event.target.dataset.corner, place: [...entry.place], moved: false };
      this.focus(entry);
    } else {
      this.drag = { start, fresh: [...start, ...start] };
    }
    event.preventDefault();
  }

  #move(event) {
    if (!this.drag) return;
    const at = this.#at(event);
    const { start, entry, corner, place } = this.drag;
    if (this.drag.fresh) {
      this.drag.fresh = [Math.min(start[0], at[0]), Math.min(start[1], at[1]), Math.max(start[0], at[0]), Math.max(start[1], at[1])];
    } else {
      const by = [at[0] - start[0], at[1] - start[1]];
      if (!this.drag.moved && Math.hypot(...by) < 3 * this.#scale) return;
      this.drag.moved = true;
      entry.place = corner ? this.#resized(place, by, corner) : this.#moved(place, by);
    }
    this.draw();
  }

  #up() {
    const drag = this.drag;
    this.drag = null;
    if (!drag) return;
    if (drag.fresh) {
      const [left, top, right, bottom] = drag.fresh;
      const enough = Math.max(LEAST, 6 * this.#scale);
      if (right - left >= enough && bottom - top >= enough) this.on.drawn(drag.fresh);
      else this.draw();
    } else if (drag.moved) this.on.changed(drag.entry);
  }

  #moved([left, top, right, bottom], [x, y]) {
    const [width, height] = this.size;
    const across = Math.min(Math.max(x, -left), width - right);
    const down = Math.min(Math.max(y, -top), height - bottom);
    return [left + across, top + down, right + across, bottom + down];
  }

  #resized([left, top, right, bottom], [x, y], corner) {
    const [width, height] = this.size;
    if (corner[0] === 'l') left = Math.max(0, Math.min(left + x, right - LEAST));
    else right = Math.min(width, Math.max(right + x, left + LEAST));
    if (corner[1] === 't') top = Math.max(0, Math.min(top + y, bottom - LEAST));
    else bottom = Math.min(height, Math.max(bottom + y, top + LEAST));
    return [left, top, right, bottom];
  }

  #key(event) {
    const entry = this.#entryOf(event.target);
    if (!entry || entry.fixed) return;
    const step = Math.max(1, Math.round(Math.max(...this.size) / 200));
    const by = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (by) {
      entry.place = event.shiftKey ? this.#resized(entry.place, by, 'rb') : this.#moved(entry.place, by);
      this.draw();
      this.on.changed(entry);
    } else if (event.key === 'Delete' || event.key === 'Backspace') {
      this.on.removed(entry);
    } else return;
    event.preventDefault();
  }
}
