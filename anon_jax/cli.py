"""The command `anon-jax`.

Exit codes: 0 done; 1 refused or failed, with one line on standard error; 2 wrong usage; 130 broken
off by Ctrl-C.
"""

import argparse
import os
import pathlib
import sys
from collections.abc import Sequence

import anon_jax
from anon_jax.data.errors import DatasetError
from anon_jax.inference import clip_command, command
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.portable import command as portable_command
from anon_jax.nets import frozen
from anon_jax.serving import command as serve_command


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command line `argv` (that of the process by default); returns the exit code."""
  _open_closed_streams()
  args = parser().parse_args(argv)
  try:
    code: int = args.run(args)
    _flush()
    return code
  except (frozen.WeightsError, DatasetError, InferenceError, OSError) as error:
    # one line even where a file name or a tensor's name holds line breaks
    print('anon-jax:', ' '.join(str(error).split()), file=sys.stderr)
    return 1
  except KeyboardInterrupt:
    print('anon-jax: interrupted.', file=sys.stderr)
    return 130


def _flush() -> None:
  """Brings out what was printed; where nobody reads it any more, the exit code still counts."""
  try:
    sys.stdout.flush()
  except OSError as error:
    # what is left would fail again when Python ends, with an exit code of its own
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if not isinstance(error, BrokenPipeError):
      raise


def _open_closed_streams() -> None:
  """Opens standard streams that were closed: a picture that got their number would get output."""
  for number, name, mode in ((0, 'stdin', 'r'), (1, 'stdout', 'w'), (2, 'stderr', 'w')):
    try:
      os.fstat(number)
    except OSError:
      os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    if getattr(sys, name) is None:
      setattr(sys, name, os.fdopen(number, mode, closefd=False))


def parser() -> argparse.ArgumentParser:
  """Returns the parser of the command line, which docs/commands.md is written from."""
  parser = argparse.ArgumentParser(prog='anon-jax', description=anon_jax.__doc__)
  parser.add_argument('--version', action='version', version=f'%(prog)s {anon_jax.__version__}')
  commands = parser.add_subparsers(title='commands', metavar='COMMAND', required=True)
  command.add(commands)
  clip_command.add(commands)
  serve_command.add(commands)
  portable_command.add(commands)
  _add_segment(commands)
  _add_weights(commands)
  return parser


def _add_segment(commands: argparse._SubParsersAction) -> None:
  segment = commands.add_parser(
    'segment', help='write the semantic maps of pictures that have none, by a trained S'
  )
  segment.add_argument('images', metavar='IMAGES', help='folder of crops: one upright face each')
  segment.add_argument(
    '-o', '--output', required=True, metavar='MASKS', help='folder for NAME.png; goes on there'
  )
  segment.add_argument(
    '--workdir', required=True, metavar='RUN', help='folder of a run of configs/segment_faces.py'
  )
  segment.add_argument('--batch-size', type=int, default=16, metavar='N', help='pictures at a time')
  segment.set_defaults(run=_segment)


def _segment(args: argparse.Namespace) -> int:
  # here and not above: it imports jax, and --version or a usage error must not wait for that
  from anon_jax.inference import segmenting

  segmenter = segmenting.load_segmenter(pathlib.Path(args.workdir).expanduser())
  images, masks = (pathlib.Path(path).expanduser() for path in (args.images, args.output))
  done = segmenting.segment_folder(segmenter, images, masks, args.batch_size)
  print(
    f'{masks}: {done.written} maps written by step {segmenter.step}, {done.there_already} were '
    f'there already, {len(done.failures)} pictures could not be read'
  )
  return 1 if done.failures else 0


def _add_weights(commands: argparse._SubParsersAction) -> None:
  weights = commands.add_parser('weights', help='files of frozen and of trained networks')
  actions = weights.add_subparsers(title='actions', metavar='ACTION', required=True)
  convert = actions.add_parser(
    'convert', help='turn published PyTorch weights into safetensors, without PyTorch'
  )
  convert.add_argument('source', metavar='SOURCE', help='the downloaded .pth file')
  convert.add_argument('--network', required=True, choices=sorted(frozen.PUBLISHED))
  convert.add_argument('-o', '--output', required=True, metavar='FOLDER', help='where to write')
  convert.add_argument(
    '--allow-unknown', action='store_true', help='accept a file whose hash is not the published one'
  )
  convert.set_defaults(run=_convert)
  _add_export(actions)
  mean = actions.add_parser(
    'mean',
    help='write networks midway between those of two folders, of which one went on from the other',
  )
  mean.add_argument('first', metavar='FIRST', help='what `anon-jax weights export` wrote')
  mean.add_argument('second', metavar='SECOND', help='the same networks, trained further')
  mean.add_argument(
    '-o', '--output', required=True, metavar='FOLDER', help='new, or one that has been exported'
  )
  mean.set_defaults(run=_mean)
  verify = actions.add_parser('verify', help='check a folder of trained networks')
  verify.add_argument('folder', metavar='FOLDER', help='what `anon-jax weights export` wrote')
  verify.set_defaults(run=_verify)
  calibrate = actions.add_parser(
    'calibrate', help='measure above which similarity a painted face is drawn again'
  )
  calibrate.add_argument('folder', metavar='FOLDER', help='trained networks; model.json changes')
  calibrate.add_argument(
    '--photos',
    required=True,
    action='append',
    metavar='PATH',
    help='pictures of people that no network was trained on, or a folder of them',
  )
  calibrate.set_defaults(run=_calibrate)


def _add_export(actions: argparse._SubParsersAction) -> None:
  export = actions.add_parser(
    'export',
    help='write the trained networks of runs into a folder',
    description='Takes the trained networks out of runs. To turn that folder into ONNX models or '
    'StableHLO programs, use `anon-jax export`.',
  )
  export.add_argument(
    '--workdir',
    required=True,
    action='append',
    metavar='RUN',
    help='folder of a run; may be given several times',
  )
  export.add_argument(
    '-o', '--output', required=True, metavar='FOLDER', help='new, or one that has been exported'
  )
  export.add_argument(
    '--dtype', choices=('float16', 'float32'), default='float16', help='of the numbers in the files'
  )
  export.add_argument(
    '--face-folder', choices=('utkface',), help="the data set that the runs' face_folder is"
  )
  export.add_argument(
    '--best',
    action='store_true',
    help="take the best checkpoint of each run by its config's best_scalar, not the newest",
  )
  export.set_defaults(run=_export)


def _convert(args: argparse.Namespace) -> int:
  # here and not above: it imports jax, and --version or a usage error must not wait for that
  from anon_jax.nets import conversion

  path = conversion.convert(args.network, args.source, args.output, args.allow_unknown)
  print(f'{path}  sha256 {frozen.sha256_of(path)}')
  return 0


def _export(args: argparse.Namespace) -> int:
  # here and not above: it imports jax, and --version or a usage error must not wait for that
  from anon_jax.inference import export

  workdirs = [pathlib.Path(workdir).expanduser() for workdir in args.workdir]
  folder = pathlib.Path(args.output).expanduser()
  export.export(workdirs, folder, dtype=args.dtype, face_folder=args.face_folder, best=args.best)
  return _report(folder)


def _mean(args: argparse.Namespace) -> int:
  # here and not above: it imports jax, and --version or a usage error must not wait for that
  from anon_jax.inference import export

  paths = (args.first, args.second, args.output)
  first, second, folder = (pathlib.Path(path).expanduser() for path in paths)
  export.mean(first, second, folder)
  return _report(folder)


def _verify(args: argparse.Namespace) -> int:
  return _report(pathlib.Path(args.folder).expanduser())


def _calibrate(args: argparse.Namespace) -> int:
  # here and not above: it imports jax, and --version or a usage error must not wait for that
  from anon_jax.inference import calibration

  folder = pathlib.Path(args.folder).expanduser()
  photos = [pathlib.Path(path).expanduser() for path in args.photos]
  threshold, faces = calibration.calibrate(folder, photos)
  print(
    f'{faces} faces painted; {calibration.SHARE:.0%} of them had a similarity above '
    f'{threshold:g}, which is the threshold now'
  )
  return 0


def _report(folder: pathlib.Path) -> int:
  # here and not above: it imports jax, and --version or a usage error must not wait for that
  from anon_jax.inference import weights

  print('\n'.join(weights.verify(folder)))
  return 0


if __name__ == '__main__':
  sys.exit(main())
