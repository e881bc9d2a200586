"""model.json: written, and strictly read.

Reading takes exactly the fields of the records, each of its type and in its range, and refuses all
else. Nothing of it is code, a module to import or a path.
"""

import dataclasses
import hashlib
import json
import math
import typing
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from flax import linen as nn

from anon_jax.data import body_classes, joints, semantic
from anon_jax.inference.inputs import BodyInput, Input, PaintingInput, shown
from anon_jax.inference.records import BODY_KINDS, KINDS, Entry, Kind, fields_of, file_of
from anon_jax.nets.anonymization import AnonymizationNet
from anon_jax.nets.frozen import WeightsError

FORMAT, BODY_FORMAT = 7, 6
_WITHOUT_HAIR = 5
_SEAL = 'sha256'
_ZEROS = '0' * 64


class _Form(NamedTuple):
  """What a model.json of one format holds.

  Attributes:
    facts: fields that have one value.
    kinds: what may stand under `networks`.
  """

  facts: Mapping[str, Any]
  kinds: Mapping[str, Kind]


_OF_FACES = {'classes': semantic.CLASSES, 'foreground': semantic.FOREGROUND}
_FORMS = {
  FORMAT: _Form(_OF_FACES, KINDS),
  _WITHOUT_HAIR: _Form(_OF_FACES, KINDS | {'anonymization': Kind(AnonymizationNet, Input)}),
  BODY_FORMAT: _Form(
    {
      'view': 'body',
      'classes': body_classes.CLASSES,
      'foreground': body_classes.FOREGROUND,
      'joints': joints.NAMES,
    },
    BODY_KINDS,
  ),
}


def write(networks: Mapping[str, Entry], version: str) -> bytes:
  """Returns the bytes of model.json; the same arguments give the same bytes.

  Args:
    networks: by name, a key of `KINDS`; all of faces, or all of bodies.
    version: of anon_jax.
  """
  of_bodies = any(isinstance(entry.input, BodyInput) for entry in networks.values())
  number = BODY_FORMAT if of_bodies else FORMAT
  content = {
    'format': number,
    'anon_jax': version,
    **_FORMS[number].facts,
    'networks': {name: _encode(networks[name]) for name in KINDS if name in networks},
  }
  return seal(content)


def seal(content: Mapping[str, Any]) -> bytes:
  """Returns the bytes of a JSON object that ends in their own SHA-256.

  It is taken with zeros in its place. So a changed byte of model.json is refused as one of the
  other files is.
  """
  text = json.dumps({**content, _SEAL: _ZEROS}, indent=2, allow_nan=False) + '\n'
  return _sealed(text.encode(), _ZEROS, hashlib.sha256(text.encode()).hexdigest())


def _sealed(raw: bytes, old: str, new: str) -> bytes:
  start = raw.rfind(f'"{_SEAL}"'.encode())
  return raw[:start] + raw[start:].replace(old.encode(), new.encode(), 1)


def read(raw: bytes, where: str) -> dict[str, Entry]:
  """Returns the networks that the bytes of a model.json describe, by name.

  Args:
    raw: its bytes.
    where: its path, for messages.

  Raises:
    WeightsError: anything but what `write` writes; the message says which field.
  """
  try:
    content = json.loads(raw, object_pairs_hook=_without_repeats)
  except (ValueError, RecursionError) as error:
    reason = ' '.join(str(error).split())[:100]
    raise WeightsError(f'{where} cannot be read as JSON ({reason}); copy it again.') from None
  found = content.get('format') if isinstance(content, dict) else None
  if type(found) is not int or found not in _FORMS:
    raise WeightsError(
      f'{where} has format {shown(found)}, and this version of anon_jax reads '
      f'{", ".join(map(str, sorted(_FORMS)))}; update anon_jax, or export the networks again.'
    )
  given = content.pop(_SEAL, None)
  blank = _sealed(raw, given, _ZEROS) if isinstance(given, str) and len(given) == 64 else b''
  if hashlib.sha256(blank).hexdigest() != given:
    raise WeightsError(f'{where} was changed or damaged: it has not the hash in it; copy it again.')
  try:
    return _read_networks(content, _FORMS[found])
  except (ValueError, RecursionError) as error:
    raise WeightsError(f'{where}: {error}.') from None


def _read_networks(content: dict[str, Any], form: _Form) -> dict[str, Entry]:
  _require_keys(content, ('format', 'anon_jax', *form.facts, 'networks'), 'the file')
  _decode(str, content['anon_jax'], 'anon_jax')
  for name, wanted in form.facts.items():
    if content[name] != (list(wanted) if isinstance(wanted, tuple) else wanted):
      raise ValueError(f'{name} is {shown(content[name])}, and the networks here have {wanted}')
  networks = content['networks']
  if not isinstance(networks, dict) or not networks or not networks.keys() <= form.kinds.keys():
    raise ValueError(f'networks is {shown(networks)}; expected some of {", ".join(form.kinds)}')
  entries = {}
  for name, value in networks.items():
    entry = _decode(Entry, value, name, form.kinds[name])
    if type(entry.input) is Input and KINDS[name].input is PaintingInput:
      entry = dataclasses.replace(entry, input=PaintingInput(**vars(entry.input)))
    entries[name] = entry
    if entries[name].file != file_of(name):
      raise ValueError(f'{name}.file is {shown(entries[name].file)}; expected {file_of(name)!r}')
  return entries


def _decode(kind: Any, value: Any, where: str, own: Kind | None = None) -> Any:
  """Turns parsed JSON into a value of the type `kind`; ValueError where it is of another."""
  if own is not None and kind in (
    nn.Module,
    Input | BodyInput,
  ):  # what stands there depends on the network
    kind = own.module if kind is nn.Module else own.input
  if isinstance(kind, type) and dataclasses.is_dataclass(kind):
    fields = fields_of(kind)
    module = ('module',) if issubclass(kind, nn.Module) else ()
    _require_keys(value, (*module, *(name for name, _ in fields)), where)
    if module and value['module'] != kind.__name__:
      raise ValueError(f'{where}.module is {shown(value["module"])}; expected {kind.__name__!r}')
    given = {name: _decode(hint, value[name], f'{where}.{name}', own) for name, hint in fields}
    try:
      return kind(**given)
    except ValueError as error:
      raise ValueError(f'{where}.{error}') from None
  if typing.get_origin(kind) is tuple:
    items, hints = value if isinstance(value, list) else [], typing.get_args(kind)
    wanted = hints[:1] * len(items) if hints[-1] is Ellipsis else hints
    if not items or len(items) != len(wanted):
      raise ValueError(f'{where} is {shown(value)}; expected a list')
    return tuple(_decode(h, v, where, own) for h, v in zip(wanted, items, strict=True))
  if kind is float and type(value) is int and abs(value) < 2**53:
    value = float(value)
  if type(value) is not kind or (kind is float and not math.isfinite(value)):
    raise ValueError(f'{where} is {shown(value)}; expected {kind.__name__}')
  return value


def _encode(value: Any) -> Any:
  if isinstance(value, nn.Module):
    own = {name: _encode(getattr(value, name)) for name, _ in fields_of(type(value))}
    return {'module': type(value).__name__, **own}
  if dataclasses.is_dataclass(value):
    return {name: _encode(getattr(value, name)) for name, _ in fields_of(type(value))}
  return [_encode(item) for item in value] if isinstance(value, tuple) else value


def _without_repeats(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
  if len(dict(pairs)) < len(pairs):
    raise ValueError('a field is given twice')
  return dict(pairs)


def _require_keys(value: Any, wanted: Sequence[str], where: str) -> None:
  if not isinstance(value, dict):
    raise ValueError(f'{where} is {shown(value)}; expected the fields {", ".join(wanted)}')
  wrong = [f'lacks {name}' for name in wanted if name not in value]
  wrong += [f'has an unknown field {shown(name)}' for name in value if name not in wanted]
  if wrong:
    raise ValueError(f'{where} {wrong[0]}')
