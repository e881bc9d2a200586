"""From the workdirs of training runs to a folder of trained networks."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Mapping, Sequence

import jax

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
  for name, source in sources.items():
    try:
      raw = weights.pack(source.params, dtype)
      kept[name] = _describe(name, source, raw, dtype), raw
    except ValueError as error:
      raise WeightsError(f'{name} of {source.workdir}: {error}') from None
  _put(folder, kept)


def mean(first: pathlib.Path, second: pathlib.Path, folder: pathlib.Path) -> None:
  """Writes networks midway between those of two folders, number by number.

  Of use where the second went on training from the first: halfway between, much of what it learned
  is there, and much of what it lost (Wortsman et al. 2022, "Model soups"). Networks of two runs
  that began apart have no such middle.

  Args:
    first: exported networks.
    second: the same networks, trained further; what `folder` says of them is what this one says.
    folder: a new or empty one, or one that was exported before, whose other networks stay.

  Raises:
    InferenceError: the folders hold other networks, or networks that are built or used differently.
    WeightsError: a damaged folder.
  """
  here, there = (_kept(path.resolve()) for path in (first, second))
  if not here or here.keys() != there.keys():
    names = [', '.join(sorted(each)) or 'nothing' for each in (here, there)]
    raise InferenceError(
      f'{first} holds {names[0]}, {second} holds {names[1]}; give two folders of the same networks.'
    )
  for name, (old, _) in here.items():
    new = there[name][0]
    if (old.architecture, old.input) != (new.architecture, new.input):
      raise InferenceError(
        f'{name} of {first} and of {second} are built or used differently; give folders of which '
        'the second went on training from the first.'
      )
  loaded = [weights.load_networks(path.resolve()) for path in (first, second)]
  folder = folder.resolve()
  kept = _kept(folder)
  for name, (entry, _) in there.items():
    params = jax.tree.map(lambda a, b: (a + b) / 2, *(each[name].params for each in loaded))
    raw = weights.pack(params, entry.dtype)
    sha256 = hashlib.sha256(raw).hexdigest()
    kept[name] = dataclasses.replace(entry, sha256=sha256, bytes=len(raw)), raw
  _put(folder, kept)


def describe_anew(folder: pathlib.Path, changed: Mapping[str, Entry]) -> None:
  """Changes what a folder says of some of its networks; their files stay byte for byte.

  Raises:
    WeightsError: a damaged folder.
  """
  folder = folder.resolve()
  kept = _kept(folder)
  _put(folder, kept | {name: (entry, kept[name][1]) for name, entry in changed.items()})


def _put(folder: pathlib.Path, networks: Mapping[str, tuple[Entry, bytes]]) -> None:
  """Writes a folder of networks and what is said of them.

  Raises:
    InferenceError: some are of faces and some of bodies.
    WeightsError: the folder could not be loaded again.
  """
  bodies = {name: isinstance(entry.input, BodyInput) for name, (entry, _) in networks.items()}
  if len(set(bodies.values())) > 1:
    names = ' and '.join(name for name, of_bodies in bodies.items() if of_bodies)
    raise InferenceError(
      f'{names} would be of bodies and the other networks in {folder} of faces; export them into '
      'folders of their own.'
    )
  contents = {file_of(name): raw for name, (_, raw) in networks.items()}
  entries = {name: entry for name, (entry, _) in networks.items()}
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
