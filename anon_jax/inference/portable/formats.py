"""The two formats: how a program becomes bytes, and how those are run again to be checked."""

import importlib.metadata
import importlib.util
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from anon_jax.inference.errors import InferenceError
from anon_jax.inference.portable.programs import BATCH, Program

Arrays = dict[str, np.ndarray]

# Where StableHLO programs may run; nothing of that has to be there to export them.
PLATFORMS = ('cpu', 'cuda', 'tpu')


class Format(NamedTuple):
  """A format of files.

  Attributes:
    ending: of file names.
    write: program -> bytes.
    run: bytes -> function from inputs by name to outputs by name.
    facts: versions and the like, for the manifest.
    note: how to use the files, for people.
  """

  ending: str
  write: Callable[[Program], bytes]
  run: Callable[[bytes], Callable[[Mapping[str, np.ndarray]], Arrays]]
  facts: Callable[[], dict[str, Any]]
  note: str


def _to_onnx(program: Program) -> bytes:
  import onnx

  from anon_jax.inference.portable import conversion

  batch = conversion.batch_axis()
  inputs = {name: array.spec(batch) for name, array in program.inputs.items()}
  model = conversion.to_onnx(program.function, inputs, program.name, program.about)
  onnx.checker.check_model(model, full_check=True)
  raw: bytes = model.SerializeToString()
  return raw


def _run_onnx(raw: bytes) -> Callable[[Mapping[str, np.ndarray]], Arrays]:
  import onnxruntime

  session = onnxruntime.InferenceSession(raw, providers=['CPUExecutionProvider'])
  names = [output.name for output in session.get_outputs()]
  return lambda inputs: dict(zip(names, session.run(names, dict(inputs)), strict=True))


def _onnx_facts() -> dict[str, Any]:
  from anon_jax.inference.portable import graph

  versions = {name: importlib.metadata.version(name) for name in ('onnx', 'onnxruntime')}
  return {'opset': graph.OPSET, 'ir_version': graph.IR_VERSION, **versions}


def _to_stablehlo(program: Program) -> bytes:
  (batch,) = jax.export.symbolic_shape(BATCH)
  inputs = [array.spec(batch) for array in program.inputs.values()]
  # `jax.jit` and not `compiling.jit`: compiler options are not part of an export
  exported = jax.export.export(jax.jit(program.function), platforms=PLATFORMS)(*inputs)
  return bytes(exported.serialize())


def _run_stablehlo(raw: bytes) -> Callable[[Mapping[str, np.ndarray]], Arrays]:
  exported = jax.export.deserialize(bytearray(raw))
  return lambda inputs: jax.device_get(exported.call(*inputs.values()))


def _stablehlo_facts() -> dict[str, Any]:
  return {
    'platforms': list(PLATFORMS),
    'calling_convention': jax.export.maximum_supported_calling_convention_version,
  }


_COMMON = """manifest.json says of each file what goes in and what comes out: names, shapes, dtypes
and ranges. The batch may have any size. Parameters are part of the files, as float32. They carry
the terms of the pictures that the networks were trained on: see "licences" in manifest.json.
"""
_CHECK = """The chain does not decide whether to trust a new face: where S finds none, `anonymized`
is the crop as it was. By "trust" in manifest.json, use `painted` inside `mask` only where
`foreground` is at least foreground_at_least, and `similarity` at most similarity_at_most (NaN is
neither). Where the similarity is too high draw another control identity, up to `draws` times in
all; where no draw will do, and where `foreground` is too small, fill the whole crop with grey.
"""
FORMATS = {
  'onnx': Format(
    '.onnx',
    _to_onnx,
    _run_onnx,
    _onnx_facts,
    f"""ONNX models, for onnxruntime and other runtimes.

  session = onnxruntime.InferenceSession('chain.onnx')
  painted, mask, foreground, similarity = session.run(
    ['painted', 'mask', 'foreground', 'similarity'], {{'crops': crops, 'controls': controls}}
  )

{_CHECK}
{_COMMON}""",
  ),
  'stablehlo': Format(
    '.stablehlo',
    _to_stablehlo,
    _run_stablehlo,
    _stablehlo_facts,
    f"""StableHLO programs, serialized by jax.export.

  program = jax.export.deserialize(bytearray(pathlib.Path('chain.stablehlo').read_bytes()))
  found = program.call(crops, controls)  # a dict; inputs in the order of manifest.json

{_CHECK}
`program.mlir_module()` is the program as text, `program.mlir_module_serialized` as StableHLO's
portable bytecode. Later versions of JAX read these files for at least half a year (see
jax.export). They run on {', '.join(PLATFORMS)}.

{_COMMON}""",
  ),
}


def require(name: str) -> Format:
  """Returns a format.

  Raises:
    InferenceError: a package that it needs is not installed.
  """
  if name == 'onnx' and importlib.util.find_spec('onnx') is None:
    raise InferenceError(
      "--format onnx needs the package onnx, which is not installed: pip install 'anon-jax[export]'"
    )
  return FORMATS[name]
