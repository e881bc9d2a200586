"""The command `anon-jax anonymize`: its flags, and what it says when it is done."""

import argparse
import collections
import contextlib
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from anon_jax.inference.errors import InferenceError

_METHODS = ('synthesize', 'fill', 'pixelate', 'blur')
_SHIPPED = pathlib.Path(__file__).parent.parent / 'weights'
_MANIFEST = 'manifest.json'
_BLOCK, _KERNEL, _TRUST = 16, 17, 0.4
_SHARED = 16  # faces that networks paint together
_REASONS = 3  # that a summary has room for
_FACE = 128  # pixels of a face crop in which blocks and kernels are counted


def add(commands: argparse._SubParsersAction) -> None:
  """Adds the command to the parser of `anon-jax`."""
  parser = commands.add_parser(
    'anonymize',
    help='replace the faces of pictures by faces of people who do not exist',
    description='Replaces every face that is found. Faces for which no new one can be trusted are '
    'filled with grey. Pictures in which no face is found are not written. docs/anonymize.md tells '
    'what is covered and what is not.',
    epilog='Exit codes: 0 every input was written; 1 some were not, each named on standard error; '
    '2 wrong usage; 130 broken off by Ctrl-C. Run the same command again to go on.',
  )
  parser.add_argument('inputs', nargs='+', metavar='INPUT', help='pictures and folders of pictures')
  parser.add_argument('-o', '--output', metavar='OUT', help='file or folder')
  parser.add_argument('--in-place', action='store_true', help='replace the inputs themselves')
  parser.add_argument(
    '--method', choices=_METHODS, default='synthesize', help='what becomes of a face (synthesize)'
  )
  parser.add_argument(
    '--weights', metavar='FOLDER', help='trained networks (those of the package, if it has any)'
  )
  parser.add_argument(
    '--key', metavar='TEXT', help='draw control identities so that whoever knows TEXT can repeat it'
  )
  parser.add_argument(
    '--identity', metavar='N', help='one control identity for all faces, or a mixture 7:0.5,12:0.5'
  )
  parser.add_argument(
    '--detector-threshold',
    type=_share,
    metavar='SCORE',
    help='least score of a face that counts, between 0 and 1 (0.15)',
  )
  parser.add_argument(
    '--trust', type=_share, metavar='SCORE', help=f'less sure faces are filled ({_TRUST})'
  )
  parser.add_argument(
    '--block', type=_block, metavar='N', help=f'of pixelate, at 128 px a face crop ({_BLOCK})'
  )
  parser.add_argument(
    '--kernel', type=_kernel, metavar='N', help=f'of blur, at 128 px a face crop, odd ({_KERNEL})'
  )
  parser.add_argument('--keep-metadata', action='store_true', help='keep the capture time')
  parser.add_argument('--keep-position', action='store_true', help='keep the GPS position')
  parser.add_argument(
    '--allow-no-faces', action='store_true', help='write pictures without any face found, too'
  )
  parser.add_argument(
    '--manifest',
    metavar='FILE',
    help=f'JSON record of every face (OUT/{_MANIFEST} for several pictures or a folder)',
  )
  parser.set_defaults(run=_run, usage_error=parser.error)


def _share(text: str) -> float:
  with contextlib.suppress(ValueError):
    if 0 < (value := float(text)) < 1:
      return value
  raise argparse.ArgumentTypeError(f'{text!r} is not between 0 and 1')


def _whole(text: str) -> int:
  if text.isdecimal() and len(text) <= 4:
    return int(text)
  raise argparse.ArgumentTypeError(f'{text!r} is not a whole number up to 9999')


def _block(text: str) -> int:
  value = _whole(text)
  if not 2 <= value <= _FACE:
    raise argparse.ArgumentTypeError(f'{text} is not between 2 and {_FACE}')
  return value


def _kernel(text: str) -> int:
  value = _whole(text)
  if not 3 <= value < _FACE or value % 2 == 0:
    raise argparse.ArgumentTypeError(f'{text} is not odd and between 3 and {_FACE}')
  return value


def _check_usage(args: argparse.Namespace) -> None:
  """Ends the process with code 2 where flags do not make sense together."""
  if '' in args.inputs:
    # it would be the current folder, and is mostly a variable that is not set
    args.usage_error('an INPUT is empty; name a picture or a folder (. is the current one)')
  for flag in ('output', 'weights', 'key', 'identity', 'manifest'):
    if getattr(args, flag) == '':
      args.usage_error(f'--{flag} is empty; give it something, or leave it out')
  if args.output is None and not args.in_place:
    args.usage_error('give -o OUT, or --in-place')
  if args.identity and args.key:
    args.usage_error('--identity leaves nothing to draw; give --key or --identity, not both')
  # who gives one of them expects another picture than would come out
  for flag, method in (('identity', 'synthesize'), ('block', 'pixelate'), ('kernel', 'blur')):
    if getattr(args, flag) is not None and args.method != method:
      args.usage_error(f'--{flag} is for --method {method}, and this is --method {args.method}')


def _run(args: argparse.Namespace) -> int:
  _check_usage(args)
  from anon_jax.inference import listing
  from anon_jax.inference.reading import Reader

  if args.output:
    args.output = os.path.expanduser(args.output)  # noqa: PTH111 - a final / has to stay
  plan = listing.plan(args.inputs, args.output, in_place=args.in_place)
  manifest = _manifest_path(args)
  if manifest:
    _set_apart(manifest, plan)
  with Reader() as reader:  # its process starts while jax is imported
    from anon_jax.inference import files

    anonymizer: Any = None
    found: dict[str, Any] = {}
    if plan.jobs:  # to say that there is nothing to do needs no networks
      anonymizer, found = _anonymizer(args)
    options = files.Options(
      keep_time=args.keep_metadata,
      keep_position=args.keep_position,
      allow_no_faces=args.allow_no_faces,
      settings=_settings(args) | found,
      key=_key(args),
      manifest=manifest,
      batch_faces=_SHARED if args.method == 'synthesize' else 1,
    )
    report = files.anonymize_files(plan, anonymizer, reader, options)
  return _tell(report, manifest)


def _anonymizer(args: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
  """Returns what anonymizes, and what tells its networks from others."""
  from anon_jax.inference import detection

  folder, fingerprint = None, ''
  if args.method == 'synthesize':
    folder = _weights_folder(args)
    _keep_programs()
    # here and not above: it imports jax, which the other methods need not wait for
    from anon_jax.inference.weights import read_description

    entries = read_description(folder)
    fingerprint = ' '.join(f'{name} {entry.sha256[:16]}' for name, entry in entries.items())
  given = args.detector_threshold
  detector = detection.load_detector(detection.THRESHOLD if given is None else given)
  from anon_jax.inference.anonymizer import Anonymizer
  from anon_jax.inference.decisions import Trust

  anonymizer = Anonymizer.from_pretrained(
    folder,
    detector=detector,
    method=args.method,
    trust=Trust(score=_TRUST if args.trust is None else args.trust),
    key=_key(args),
    identity=args.identity or '',
    block=args.block or _BLOCK,
    kernel=args.kernel or _KERNEL,
  )
  return anonymizer, {
    'detector': detector.sha256[:16],
    'detector_threshold': detector.threshold,
    'weights': fingerprint,
  }


def _weights_folder(args: argparse.Namespace) -> pathlib.Path:
  if args.weights:
    return pathlib.Path(os.path.expanduser(args.weights))  # noqa: PTH111 - raises for no `~name`
  if (_SHIPPED / 'model.json').is_file():
    return _SHIPPED
  raise InferenceError(
    'this installation has no trained weights; give --weights FOLDER (written by `anon-jax weights '
    'export`), or --method fill, which needs none.'
  )


def _keep_programs() -> None:
  """Keeps compiled programs on disk: compiling them anew would take most of a first run."""
  root = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')  # noqa: PTH111
  if not pathlib.Path(root).is_absolute():
    return  # as of a user without a home
  import jax

  jax.config.update('jax_compilation_cache_dir', str(pathlib.Path(root) / 'anon_jax' / 'compiled'))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
  jax.config.update('jax_persistent_cache_min_entry_size_bytes', 0)


def _key(args: argparse.Namespace) -> bytes | None:
  return args.key.encode('utf-8', 'surrogateescape') if args.key else None


def _manifest_path(args: argparse.Namespace) -> pathlib.Path | None:
  if args.manifest:
    return pathlib.Path(os.path.expanduser(args.manifest))  # noqa: PTH111 - raises for no `~name`
  if args.output and (len(args.inputs) > 1 or pathlib.Path(args.inputs[0]).is_dir()):
    return pathlib.Path(args.output) / _MANIFEST
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
  for path, reason in list(plan.refused):
    if folded(real_path(path)) == place:
      plan.refused.remove((path, reason))
      plan.ignored.append((path, 'is the manifest'))


def _settings(args: argparse.Namespace) -> dict[str, Any]:
  """Returns what outputs depend on besides the networks; a key is looked at elsewhere."""
  return {
    'method': args.method,
    'identity': args.identity or '',
    'trust': _TRUST if args.trust is None else args.trust,
    'block': args.block or _BLOCK,
    'kernel': args.kernel or _KERNEL,
    'keep_metadata': args.keep_metadata,
    'keep_position': args.keep_position,
  }


def _tell(report: Any, manifest: pathlib.Path | None) -> int:
  """Prints a summary; returns the exit code."""
  from anon_jax.inference.paths import shown

  written = sum(entry.written for entry in report.entries)
  asked = len(report.entries) + len(report.refused)
  line = f'{written} of {asked} inputs written; faces: {_faces(report.faces())}'
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
