// What becomes of a face, and which new face it is.

const METHODS = {
  synthesize: ['A new face', 'somebody who does not exist; grey where that cannot be trusted'],
  fill: ['Grey', 'the safest'],
  pixelate: ['Blocks', 'people can be recognised'],
  blur: ['Blur', 'people can be recognised'],
};
const $ = (id) => document.getElementById(id);

export class Settings {
  /** @param form of the page. @param changed is called whenever something else is chosen. */
  constructor(form, changed) {
    this.form = form;
    this.identities = 0;
    form.addEventListener('submit', (event) => event.preventDefault());
    form.addEventListener('input', () => { this.#fit(); changed(); });
  }

  /** Offers what the program can do. */
  offer({ methods, identities }) {
    this.identities = identities;
    const box = $('methods');
    Object.entries(METHODS).forEach(([method, [title, more]]) => {
      const label = document.createElement('label');
      label.className = 'check';
      const input = document.createElement('input');
      Object.assign(input, { type: 'radio', name: 'method', value: method, checked: method === methods[0], disabled: !methods.includes(method) });
      const text = document.createElement('span');
      text.textContent = title;
      const small = document.createElement('small');
      small.textContent = input.disabled ? 'this installation has no weights for it' : more;
      text.append(small);
      label.append(input, text);
      box.append(label);
    });
    if (identities) $('number').max = identities - 1;
    this.#fit();
  }

  #fit() {
    const synthesizes = this.form.elements.method?.value === 'synthesize';
    $('identity').hidden = !synthesizes;
    $('number').disabled = !$('one').checked;
  }

  /** The method, and the control identity ('' for a fresh draw). */
  chosen() {
    const method = this.form.elements.method.value;
    const one = method === 'synthesize' && $('one').checked;
    const number = Math.min(Math.max(Math.trunc(Number($('number').value)) || 0, 0), Math.max(this.identities - 1, 0));
    return { method, identity: one ? String(number) : '' };
  }

  get draws() {
    const { method, identity } = this.chosen();
    return method === 'synthesize' && !identity;
  }
}
