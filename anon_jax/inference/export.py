"""From the workdirs of training runs to a folder of trained networks."""

import hashlib
import pathlib
from collections.abc import Mapping, Sequence

import anon_jax
from anon_jax.inference import folders, model_json, weights
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.inputs import BodyInput
from anon_jax.inference.records import DTYPES, KINDS, Entry, file_of
from anon_jax.inference.runs import KNOWN_FOLDERS, Source, read_run
from anon_jax.nets.frozen import WeightsError


def export(
  workdirs: Sequence[str | pathlib.Path],
  folder: str | pathlib.Path,
  *,
  dtype: str = 'float16',
  face_folder: str | None = None,
  best: bool = False,
) -> None:
  """Writes the averaged parameters of the newest checkpoint of each run into a folder.

  The folder appears, or changes, as a whole and after it has been loaded once. Networks that it
  has and that are not given stay as they are.

  Args:
    workdirs: folders of runs of the stages segment, identity, harmonize, harmonize_video,
      anonymize, joint and single_stage. I is taken from an identity run where there is one.
    folder: a new or empty one, or one that was exported before.
    dtype: of the numbers in the files, 'float16' or 'float32'.
    face_folder: which of `KNOWN_FOLDERS` the data set `face_folder` of the runs is; None: none.
    best: takes of each run whose config has a `best_scalar` the checkpoint that is the best by it.

  Raises:
    ValueError: unknown `dtype` or `face_folder`.
    InferenceError: a run that cannot be used, two sources of one network, or a folder that holds
      something else.
    WeightsError: parameters that cannot be written in that type, or a damaged folder.
  """
  if dtype not in DTYPES or face_folder not in (None, *KNOWN_FOLDERS):
    raise ValueError(
      f'dtype={dtype!r} and face_folder={face_folder!r}; choose of {DTYPES}, and of '
      f'{(None, *KNOWN_FOLDERS)}.'
    )
  sources: dict[str, Source] = {}
  for workdir in map(pathlib.Path, workdirs):
    for name, source in read_run(workdir, face_folder, best=best):
      other = sources.get(name)
      if other is None or _is_judge(source, other):
        sources[name] = source
      elif not _is_judge(other, source):
        raise InferenceError(f'{name} is in {other.workdir} and in {workdir}; give one of them.')
  named = {part.dataset for source in sources.values() for part in source.training.data}
  if face_folder is not None and face_folder not in named:
    raise InferenceError(
      f'no run was trained on a face_folder that could be {face_folder!r}; leave that out.'
    )
  write_folder(pathlib.Path(folder), sources, dtype)


def _is_judge(source: Source, other: Source) -> bool:
  """Tells whether a source is I as an identity run left it, and the other I as a painter's partner.

  Inference asks I whether a painted face looks like the original. One that was fine-tuned together
  with A has learned to agree with it.
  """
  return source.training.stage == 'identity' != other.training.stage


def write_folder(folder: pathlib.Path, sources: Mapping[str, Source], dtype: str) -> None:
  """Writes networks into a folder, beside those that it has under other names; as `export` does.

  Args:
    folder: a new or empty one, or one that was written before.
    sources: by name, a key of `records.KINDS`.
    dtype: of the numbers in the files, 'float16' or 'float32'.

  Raises:
    InferenceError: the folder holds something else, or would hold faces and bodies.
    WeightsError: parameters that cannot be written in that type, or a damaged folder.
  """
  folder = folder.resolve()
  kept = _kept(folder)
  contents = {file_of(name): raw for name, (_, raw) in kept.items() if name not in sources}
  entries = {name: entry for name, (entry, _) in kept.items()}
  for name, source in sources.items():
    try:
      raw = contents[file_of(name)] = weights.pack(source.params, dtype)
      entries[name] = _describe(name, source, raw, dtype)
    except ValueError as error:
      raise WeightsError(f'{name} of {source.workdir}: {error}') from None
  bodies = {name: isinstance(entry.input, BodyInput) for name, entry in entries.items()}
  if len(set(bodies.values())) > 1:
    names = ' and '.join(name for name, of_bodies in bodies.items() if of_bodies)
    raise InferenceError(
      f'{names} would be of bodies and the other networks in {folder} of faces; export them into '
      'folders of their own.'
    )
  contents[weights.DESCRIPTION] = model_json.write(entries, anon_jax.__version__)
  folders.put(folder, contents, weights.load_networks)


def describe_anew(folder: pathlib.Path, changed: Mapping[str, Entry]) -> None:
  """Changes what a folder says of some of its networks; their files stay byte for byte.

  Raises:
    WeightsError: a damaged folder.
  """
  folder = folder.resolve()
  kept = _kept(folder)
  contents = {file_of(name): raw for name, (_, raw) in kept.items()}
  entries = {name: entry for name, (entry, _) in kept.items()} | dict(changed)
  contents[weights.DESCRIPTION] = model_json.write(entries, anon_jax.__version__)
  folders.put(folder, contents, weights.load_networks)


def _kept(folder: pathlib.Path) -> dict[str, tuple[Entry, bytes]]:
  """Reads what a folder holds already; refuses one that is no weights folder."""
  if not folder.exists():
    return {}
  if not folder.is_dir():
    raise InferenceError(f'{folder} is a file; give a folder, which may be a new one.')
  there = {path.name for path in folder.iterdir()}
  ours = {weights.DESCRIPTION, *map(file_of, KINDS)}
  if there - ours or (there and weights.DESCRIPTION not in there):
    other = min(there - ours, default=min(there))
    raise InferenceError(
      f'{folder} holds {other!r}, which no export wrote; give a new folder, or move that away.'
    )
  if not there:
    return {}
  weights.load_networks(folder)
  found = weights.read_description(folder)
  return {name: (entry, weights.read_file(folder, entry)) for name, entry in found.items()}


def _describe(name: str, source: Source, raw: bytes, dtype: str) -> Entry:
  return Entry(
    file=file_of(name),
    sha256=hashlib.sha256(raw).hexdigest(),
    bytes=len(raw),
    dtype=dtype,
    parameters=sum(leaf.size for leaf in weights.dotted(source.params).values()),
    architecture=source.module,
    input=source.input,
    training=source.training,
    data_licence=source.licence,
  )
