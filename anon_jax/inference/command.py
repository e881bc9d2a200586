"""The command `anon-jax anonymize`: its flags, and what it says when it is done."""

import argparse
import os
import pathlib
import sys
from typing import Any

from anon_jax.inference.errors import InferenceError

_METHODS = ('synthesize', 'fill', 'pixelate', 'blur')
_SHIPPED = pathlib.Path(__file__).parent.parent / 'weights'
_MANIFEST = 'manifest.json'


def add(commands: argparse._SubParsersAction) -> None:
  """Adds the command to the parser of `anon-jax`."""
  parser = commands.add_parser(
    'anonymize',
    help='replace the faces of pictures by faces of people who do not exist',
    description='Replaces every face that is found. Faces for which no new one can be trusted are '
    'filled with grey. Pictures in which no face is found are not written.',
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
    '--identity', default='', metavar='N', help='one control identity, or a mixture 7:0.5,12:0.5'
  )
  parser.add_argument(
    '--detector-threshold', type=_share, metavar='SCORE', help='least score of a face that counts'
  )
  parser.add_argument(
    '--trust', type=_share, default=0.4, metavar='SCORE', help='less sure faces are filled (0.4)'
  )
  parser.add_argument(
    '--block', type=int, default=16, metavar='N', help='of pixelate, at 128 px a face (16)'
  )
  parser.add_argument(
    '--kernel', type=int, default=17, metavar='N', help='of blur, at 128 px a face, odd (17)'
  )
  parser.add_argument('--keep-metadata', action='store_true', help='keep the capture time')
  parser.add_argument('--keep-position', action='store_true', help='keep the GPS position')
  parser.add_argument(
    '--allow-no-faces', action='store_true', help='write pictures without any face found, too'
  )
  parser.add_argument(
    '--manifest', metavar='FILE', help='JSON record of every face (in a folder OUT: manifest.json)'
  )
  parser.set_defaults(run=_run, usage_error=parser.error)


def _share(text: str) -> float:
  value = float(text)
  if not 0 < value < 1:
    raise argparse.ArgumentTypeError(f'{text} is not between 0 and 1')
  return value


def _run(args: argparse.Namespace) -> int:
  if args.output is None and not args.in_place:
    args.usage_error('give -o OUT, or --in-place')
  if args.key == '':
    args.usage_error('--key is empty; give a secret text, or leave it out')
  from anon_jax.inference import listing
  from anon_jax.inference.reading import Reader

  plan = listing.plan(args.inputs, args.output, in_place=args.in_place)
  manifest = _manifest_path(args)
  if manifest and any(manifest.absolute() == job.target.absolute() for job in plan.jobs):
    raise InferenceError(f'{manifest} would be both the manifest and a picture; name another.')
  with Reader() as reader:  # its process starts while jax is imported
    from anon_jax.inference import files

    anonymizer, weights = _anonymizer(args) if plan.jobs else (None, '')
    options = files.Options(
      keep_time=args.keep_metadata,
      keep_position=args.keep_position,
      allow_no_faces=args.allow_no_faces,
      settings=_settings(args, weights),
      manifest=manifest,
    )
    report = files.anonymize_files(plan, anonymizer, reader, options)
  return _tell(report, manifest)


def _anonymizer(args: argparse.Namespace) -> tuple[Any, str]:
  """Returns what anonymizes, and what tells its weights from others."""
  _keep_programs()
  from anon_jax.inference.anonymizer import Anonymizer
  from anon_jax.inference.decisions import Trust
  from anon_jax.inference.weights import read_description

  folder, fingerprint = None, ''
  if args.method == 'synthesize':
    folder = _weights_folder(args)
    entries = read_description(folder)
    fingerprint = ' '.join(f'{name} {entry.sha256[:16]}' for name, entry in entries.items())
  anonymizer = Anonymizer.from_pretrained(
    folder,
    threshold=args.detector_threshold,
    method=args.method,
    trust=Trust(score=args.trust),
    key=args.key.encode('utf-8', 'surrogateescape') if args.key else None,
    identity=args.identity,
    block=args.block,
    kernel=args.kernel,
  )
  return anonymizer, fingerprint


def _weights_folder(args: argparse.Namespace) -> pathlib.Path:
  if args.weights:
    return pathlib.Path(args.weights).expanduser()
  if (_SHIPPED / 'model.json').is_file():
    return _SHIPPED
  raise InferenceError(
    'this installation has no trained weights; give --weights FOLDER (written by `anon-jax weights '
    'export`), or --method fill, which needs none.'
  )


def _keep_programs() -> None:
  """Keeps compiled programs on disk: compiling them anew would take most of a first run."""
  import jax

  root = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
  folder = pathlib.Path(root).expanduser() / 'anon_jax' / 'compiled'
  jax.config.update('jax_compilation_cache_dir', str(folder))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
  jax.config.update('jax_persistent_cache_min_entry_size_bytes', 0)


def _manifest_path(args: argparse.Namespace) -> pathlib.Path | None:
  if args.manifest:
    return pathlib.Path(args.manifest).expanduser()
  if args.output and (len(args.inputs) > 1 or pathlib.Path(args.inputs[0]).is_dir()):
    return pathlib.Path(args.output) / _MANIFEST
  return None


def _settings(args: argparse.Namespace, weights: str) -> dict[str, Any]:
  """Returns what outputs depend on; of a key only that there was one."""
  names = ('method', 'identity', 'detector_threshold', 'trust', 'block', 'kernel')
  flags = ('keep_metadata', 'keep_position', 'allow_no_faces')
  found = {name: getattr(args, name) for name in (*names, *flags)}
  return found | {'keyed': bool(args.key), 'weights': weights}


def _tell(report: Any, manifest: pathlib.Path | None) -> int:
  """Prints a summary; returns the exit code."""
  decisions = [d for entry in report.entries for frame in entry.faces for d in frame]
  actions = sorted({decision.action for decision in decisions})
  faces = ', '.join(f'{sum(d.action == a for d in decisions)} {a}' for a in actions)
  written = sum(entry.written for entry in report.entries)
  asked = len(report.entries) + len(report.refused)
  line = f'{written} of {asked} pictures written; faces: {faces or "none"}'
  if report.resumed:
    line += f'; {report.resumed} pictures were there already'
  if manifest:
    line += f'; {manifest} tells of each'
  print(line)
  if report.interrupted:
    print('anon-jax: interrupted; run the same command again to go on.', file=sys.stderr)
    return 130
  return 0 if report.complete else 1
