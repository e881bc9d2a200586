"""Writes a folder of exported programs, with a manifest; it appears whole or not at all."""

import dataclasses
import hashlib
import json
import pathlib
import sys
from typing import Any

import jax
from tqdm import tqdm

import anon_jax
from anon_jax.data import semantic
from anon_jax.inference import folders, ladder, synthesis, weights
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.portable import formats, parity
from anon_jax.inference.portable.programs import Array, Program, programs

MANIFEST, NOTE = 'manifest.json', 'README.txt'
_VERSION = 1


def export(source: pathlib.Path, folder: pathlib.Path, form: str) -> list[str]:
  """Exports S, A, H, I and the chain of a folder of trained networks.

  Each program is run once beside JAX before anything gets its final name.

  Args:
    source: written by `anon-jax weights export`.
    folder: a new or empty one.
    form: 'onnx' or 'stablehlo'.

  Returns:
    A line about each file.

  Raises:
    WeightsError: the source cannot be loaded.
    InferenceError: a network or a package is missing, the folder holds something, or an exported
      program computes something else.
  """
  wanted = formats.require(form)
  folder = folder.resolve()
  if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
    what = 'holds something already' if folder.is_dir() else 'is a file'
    raise InferenceError(f'{folder} {what}; give a new folder, or move that away.')
  loaded = weights.load_weights(source)
  networks = synthesis.chosen(loaded)
  contents: dict[str, bytes] = {}
  described, lines = {}, []
  with tqdm(programs(loaded), unit=' programs', file=sys.stderr, disable=None) as bar:
    for program in bar:
      bar.set_description(program.name)
      raw = wanted.write(program)
      apart = parity.check(program, networks, wanted.run(raw))
      file = program.name + wanted.ending
      contents[file] = raw
      described[program.name] = _program(program, file, raw, apart)
      lines.append(
        f'{file}: {program.about}; {len(raw)} bytes, sha256 {described[program.name]["sha256"]}, '
        f'differs from JAX by {apart.difference:.1e} at most'
      )
  manifest = _manifest(source, networks, form, wanted.facts()) | {'programs': described}
  contents[MANIFEST] = (json.dumps(manifest, indent=2) + '\n').encode()
  contents[NOTE] = wanted.note.encode()
  try:
    folders.put(folder, contents)
  except OSError as error:
    raise InferenceError(
      f'{folder} cannot be written ({error.strerror or error}); make room there, or give another '
      'place.'
    ) from None
  return lines


def _manifest(source: pathlib.Path, networks: Any, form: str, facts: Any) -> dict[str, Any]:
  """Returns all that the manifest says beside the programs."""
  description = (source / weights.DESCRIPTION).read_bytes()
  return {
    'format': _VERSION,
    'kind': form,
    'versions': {'anon_jax': anon_jax.__version__, 'jax': jax.__version__, **facts},
    'classes': list(semantic.CLASSES),
    'foreground': list(semantic.FOREGROUND),
    'source': {
      'model_json_sha256': hashlib.sha256(description).hexdigest(),
      'networks': {
        name: {
          'sha256': net.entry.sha256,
          'dtype': net.entry.dtype,
          # of use to whoever runs the networks one by one
          'input': dataclasses.asdict(net.input),
        }
        for name, net in networks.items()
      },
    },
    'parameters': 'float32',
    'licences': {name: net.entry.data_licence for name, net in networks.items()},
    # what `anon-jax anonymize` asks of a new face; below it draws again, or fills
    'trust': {
      'foreground_at_least': ladder.LEAST_FOREGROUND,
      'similarity_at_most': networks['identity'].input.threshold,
      'draws': ladder.DRAWS,
    },
  }


def _program(program: Program, file: str, raw: bytes, apart: parity.Parity) -> dict[str, Any]:
  return {
    'file': file,
    'sha256': hashlib.sha256(raw).hexdigest(),
    'bytes': len(raw),
    'about': program.about,
    'inputs': {name: _array(array) for name, array in program.inputs.items()},
    'outputs': {name: _array(array) for name, array in program.outputs.items()},
    'parity': {
      'batches': list(parity.BATCHES),
      'largest_difference': apart.difference,
      'other_classes': apart.other_classes,
    },
  }


def _array(array: Array) -> dict[str, Any]:
  return {
    'dtype': array.dtype,
    'shape': list(array.shape),
    'range': None if array.range is None else list(array.range),
    'meaning': array.meaning,
  }
