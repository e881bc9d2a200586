"""The command `anon-jax anonymize`: what it does, and what it says when it is done."""

import argparse
import collections
import contextlib
import dataclasses
import functools
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from anon_jax.inference import flags
from anon_jax.inference.errors import InferenceError

_SHARED = 16  # faces that networks paint together
_REASONS = 3  # that a summary has room for
_MOST_KEY_BYTES = 4096


def add(commands: argparse._SubParsersAction) -> None:
  """Adds the command to the parser of `anon-jax`."""
  flags.add(commands, _run)


def _run(args: argparse.Namespace) -> int:
  flags.check_usage(args)
  from anon_jax.inference import listing, sources

  found_sources = [sources.parse(text, args.allow_network) for text in args.inputs]
  for source in found_sources:
    if source is not None:
      flags.check_live_usage(args)
      from anon_jax.inference import live_command

      args.output = os.path.expanduser(args.output)  # noqa: PTH111 - a final / has to stay
      return live_command.run(args, source, functools.partial(_anonymizer, args), _key(args))
  flags.check_file_usage(args)
  from anon_jax.inference.reading import Reader

  if args.output:
    args.output = os.path.expanduser(args.output)  # noqa: PTH111 - a final / has to stay
  plan = listing.plan(args.inputs, args.output, in_place=args.in_place)
  manifest = _manifest_path(args)
  if manifest:
    _set_apart(manifest, plan)
  with Reader() as reader:  # its process starts while jax is imported
    from anon_jax.inference import files, options

    anonymizer: Any = None
    masks, found = None, dict[str, Any]()
    if plan.jobs:  # to say that there is nothing to do needs no networks
      anonymizer, masks, found = _anonymizer(args)
    how = options.Options(
      keep_time=args.keep_metadata,
      keep_position=args.keep_position,
      allow_no_faces=args.allow_no_faces,
      settings=_settings(args) | found,
      key=_key(args),
      manifest=manifest,
      sound=args.keep_audio,
      codec=args.codec or flags.CODEC,
      crf=flags.CRF if args.crf is None else args.crf,
      batch_faces=_SHARED if args.method == 'synthesize' else 1,
      masks=masks,
    )
    report = files.anonymize_files(plan, anonymizer, reader, how)
  return _tell(report, manifest, bodies=masks is not None)


def _anonymizer(
  args: argparse.Namespace, parallel: Executor | None = None
) -> tuple[Any, Any, dict[str, Any]]:
  """Returns what anonymizes, the masks of bodies or None, and what outputs depend on by both.

  Args:
    args: the command line.
    parallel: threads for the parts of one search, see `CenterFace.beside`.
  """
  from anon_jax.inference import detection

  bodies = args.region == 'body'
  masks, found = None, dict[str, Any]()
  if bodies:  # before networks are loaded
    from anon_jax.inference import body_setup

    masks, found = body_setup.masks(args)
  folder = None
  if args.method == 'synthesize':
    folder = None if bodies else weights_folder(args.weights)
    keep_programs()
  if folder:
    found['weights'] = fingerprint_of(folder)
  given = args.detector_threshold
  detector = detection.load_detector(detection.THRESHOLD if given is None else given)
  if parallel:
    detector = dataclasses.replace(detector, beside=parallel)
  found |= {'detector': detector.sha256[:16], 'detector_threshold': detector.threshold}
  if bodies:
    anonymizer, folders = body_setup.anonymizer(args, detector, _key(args))
    networks = {name: fingerprint_of(folder) for name, folder in folders.items()}
    return anonymizer, masks, {'weights': ''} | found | networks
  from anon_jax.inference.anonymizer import Anonymizer
  from anon_jax.inference.decisions import Trust

  anonymizer = Anonymizer.from_pretrained(
    folder,
    detector=detector,
    method=args.method,
    trust=Trust(score=flags.TRUST if args.trust is None else args.trust),
    key=_key(args),
    identity=args.identity or '',
    block=args.block or flags.BLOCK,
    kernel=args.kernel or flags.KERNEL,
  )
  return anonymizer, masks, {'weights': ''} | found


def fingerprint_of(folder: pathlib.Path) -> str:
  """Returns what tells the networks of a folder from others; raises WeightsError."""
  # here and not above: it imports jax, which the covering methods need not wait for
  from anon_jax.inference.weights import read_description

  entries = read_description(folder)
  return ' '.join(f'{name} {entry.sha256[:16]}' for name, entry in entries.items())


def weights_folder(given: str | None) -> pathlib.Path:
  """Returns the folder of networks that was given, else the package's own.

  Raises:
    InferenceError: none was given, and the package has none.
  """
  if given:
    return pathlib.Path(os.path.expanduser(given))  # noqa: PTH111 - raises for no `~name`
  from anon_jax.inference.anonymizer import SHIPPED

  if (SHIPPED / 'model.json').is_file():
    return SHIPPED
  raise InferenceError(
    'this installation has no trained weights; give --weights FOLDER (written by `anon-jax weights '
    'export`), or --method fill, which needs none.'
  )


def keep_programs() -> None:
  """Keeps compiled programs on disk: compiling them anew would take most of a first run."""
  root = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')  # noqa: PTH111
  if not pathlib.Path(root).is_absolute():
    return  # as of a user without a home
  import jax

  jax.config.update('jax_compilation_cache_dir', str(pathlib.Path(root) / 'anon_jax' / 'compiled'))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
  jax.config.update('jax_persistent_cache_min_entry_size_bytes', 0)


def _key(args: argparse.Namespace) -> bytes | None:
  """Returns the key as given, or the content of its file without the end of its last line.

  Raises:
    InferenceError: the file cannot be read, or holds nothing or too much.
  """
  if not args.key_file:
    return args.key.encode('utf-8', 'surrogateescape') if args.key else None
  path = pathlib.Path(os.path.expanduser(args.key_file))  # noqa: PTH111 - raises for no `~name`
  try:
    with path.open('rb') as file:
      key = file.read(_MOST_KEY_BYTES + 1).removesuffix(b'\n').removesuffix(b'\r')
  except OSError as error:
    raise InferenceError(f'--key-file {path} cannot be read: {error.strerror}.') from None
  if not 0 < len(key) <= _MOST_KEY_BYTES:
    raise InferenceError(f'--key-file {path} should hold 1 to {_MOST_KEY_BYTES} bytes.')
  return key


def _manifest_path(args: argparse.Namespace) -> pathlib.Path | None:
  if args.manifest:
    return pathlib.Path(os.path.expanduser(args.manifest))  # noqa: PTH111 - raises for no `~name`
  if args.output and (len(args.inputs) > 1 or pathlib.Path(args.inputs[0]).is_dir()):
    return pathlib.Path(args.output) / flags.MANIFEST
  return None


def _set_apart(manifest: pathlib.Path, plan: Any) -> None:
  """Makes sure that the manifest is no picture, and that an earlier one is not taken for an input.

  Raises:
    InferenceError: it would be written over a picture, or a picture over it.
  """
  from anon_jax.inference.paths import folded, real_path, shown

  place = folded(real_path(manifest))
  for job in plan.jobs:
    if place in (folded(real_path(job.target)), folded(real_path(job.source))):
      raise InferenceError(
        f'{shown(manifest)} would be both the manifest and a picture; name another --manifest.'
      )
  for listed in (plan.refused, plan.ignored):
    for path, reason in list(listed):
      if folded(real_path(path)) == place:
        listed.remove((path, reason))
        plan.ignored.append((path, 'is the manifest'))


def _settings(args: argparse.Namespace) -> dict[str, Any]:
  """Returns what outputs depend on besides the networks; a key is looked at elsewhere."""
  return {
    'method': args.method,
    'identity': args.identity or '',
    'trust': flags.TRUST if args.trust is None else args.trust,
    'block': args.block or flags.BLOCK,
    'kernel': args.kernel or flags.KERNEL,
    'keep_audio': args.keep_audio,
    'codec': args.codec or flags.CODEC,
    'crf': flags.CRF if args.crf is None else args.crf,
    'keep_metadata': args.keep_metadata,
    'keep_position': args.keep_position,
  }


def _tell(report: Any, manifest: pathlib.Path | None, bodies: bool) -> int:
  """Prints a summary; returns the exit code."""
  from anon_jax.inference.paths import shown

  written = sum(entry.written for entry in report.entries)
  asked = len(report.entries) + len(report.refused)
  line = f'{written} of {asked} inputs written; faces: {_faces(report.faces())}'
  if bodies:
    line += f'; bodies: {_faces(report.bodies())}'
  if report.resumed:
    line += f'; {report.resumed} were there already'
  if manifest:
    line += f'; {shown(manifest)} tells of each'
  with contextlib.suppress(BrokenPipeError):  # nobody listens; the exit code still counts
    print(line, flush=True)
  if report.interrupted:
    print('anon-jax: interrupted; run the same command again to go on.', file=sys.stderr)
    return 130
  return 0 if report.complete else 1


def _faces(records: Sequence[Mapping[str, Any]]) -> str:
  """Says how many faces became what, and why some were filled though synthesis was asked for."""
  counts = collections.Counter(str(record.get('action')) for record in records)
  reasons = {str(record['reason']): None for record in records if record.get('reason')}
  why = '; '.join(list(reasons)[:_REASONS]) + ('; ...' if len(reasons) > _REASONS else '')
  parts = [f'{count} {action}' for action, count in sorted(counts.items(), reverse=True)]
  return (', '.join(parts) or 'none') + (f' ({why})' if why else '')
