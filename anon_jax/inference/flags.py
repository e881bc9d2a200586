"""The flags of `anon-jax anonymize`, and which of them make sense together."""

import argparse
import contextlib
from collections.abc import Callable

_METHODS = ('synthesize', 'fill', 'pixelate', 'blur')
_TEXTS = (
  *('output', 'weights', 'key', 'key_file', 'identity', 'manifest', 'codec'),
  *('masks', 'person_segmenter', 'face_weights'),
)
_OF_BODIES = ('masks', 'person_segmenter', 'face_weights', 'sequence', 'allow_no_bodies')
MANIFEST = 'manifest.json'
PIPE = '-'
BLOCK, KERNEL, TRUST = 16, 17, 0.4
CODEC, CRF = 'libx264', 18
_MOST_CRF = 63
_MOST_SECONDS = 10_000_000
_MOST_DELAY = 30
_FACE = 128  # pixels of a face crop in which blocks and kernels are counted


def add(commands: argparse._SubParsersAction, run: Callable[[argparse.Namespace], int]) -> None:
  """Adds the command, which `run` does, to the parser of `anon-jax`."""
  parser = commands.add_parser(
    'anonymize',
    help='replace the faces of pictures by faces of people who do not exist',
    description='Replaces every face that is found, or with --region body every body that is '
    'masked, too. Those for which no new one can be trusted are '
    'filled with grey. Pictures in which no face is found are not written. docs/anonymize.md tells '
    'what is covered and what is not.',
    epilog='Exit codes: 0 every input was written; 1 some were not, each named on standard error; '
    '2 wrong usage; 130 broken off by Ctrl-C. Run the same command again to go on.',
  )
  parser.add_argument(
    'inputs',
    nargs='+',
    metavar='INPUT',
    help='pictures, videos and folders; or camera:0, a live picture (docs/live.md)',
  )
  parser.add_argument(
    '-o', '--output', metavar='OUT', help='file or folder; - pipes a live picture'
  )
  parser.add_argument('--in-place', action='store_true', help='replace the inputs themselves')
  parser.add_argument(
    '--method', choices=_METHODS, default='synthesize', help='what becomes of a face (synthesize)'
  )
  parser.add_argument(
    '--weights', metavar='FOLDER', help='trained networks (those of the package, if it has any)'
  )
  _add_bodies(parser)
  parser.add_argument(
    '--key', metavar='TEXT', help='draw control identities so that whoever knows TEXT can repeat it'
  )
  parser.add_argument(
    '--key-file', metavar='FILE', help='the same with the content of FILE, which `ps` does not show'
  )
  parser.add_argument(
    '--identity',
    metavar='N',
    help='one control identity for all faces, or a mixture 7:0.5,12:0.5; "any" draws those, too, '
    'that do not suit the hair around a face',
  )
  parser.add_argument(
    '--detector-threshold',
    type=share,
    metavar='SCORE',
    help='least score of a face that counts, between 0 and 1 (0.15)',
  )
  parser.add_argument(
    '--trust', type=share, metavar='SCORE', help=f'less sure faces are filled ({TRUST})'
  )
  parser.add_argument(
    '--block', type=_block, metavar='N', help=f'of pixelate, at 128 px a face crop ({BLOCK})'
  )
  parser.add_argument(
    '--kernel', type=_kernel, metavar='N', help=f'of blur, at 128 px a face crop, odd ({KERNEL})'
  )
  parser.add_argument('--keep-audio', action='store_true', help="copy a video's sound")
  parser.add_argument(
    '--codec', metavar='NAME', help=f"encoder of videos, one of FFmpeg's ({CODEC})"
  )
  parser.add_argument(
    '--crf', type=_crf, metavar='N', help=f'quality of videos: lower is better, and larger ({CRF})'
  )
  parser.add_argument('--keep-metadata', action='store_true', help='keep the capture time')
  parser.add_argument('--keep-position', action='store_true', help='keep the GPS position')
  parser.add_argument(
    '--allow-no-faces', action='store_true', help='write pictures without any face found, too'
  )
  parser.add_argument(
    '--manifest',
    metavar='FILE',
    help=f'JSON record of every face (OUT/{MANIFEST} for several pictures or a folder)',
  )
  _add_live(parser)
  parser.set_defaults(run=run, usage_error=parser.error)


def _add_live(parser: argparse.ArgumentParser) -> None:
  live = parser.add_argument_group('live pictures', 'a camera, or with --allow-network rtsp://...')
  live.add_argument('--duration', type=_seconds, metavar='SECONDS', help='end after so long')
  live.add_argument(
    '--delay',
    type=_seconds,
    metavar='SECONDS',
    help='from the camera to the output; frames that are not ready then are dropped (1.5)',
  )
  live.add_argument(
    '--allow-network', action='store_true', help='read rtsp:// and rtsps:// addresses'
  )


def _seconds(text: str) -> float:
  with contextlib.suppress(ValueError):
    if 0 < (value := float(text)) <= _MOST_SECONDS:
      return value
  raise argparse.ArgumentTypeError(f'{text!r} is no number of seconds above 0')


def _add_bodies(parser: argparse.ArgumentParser) -> None:
  parser.add_argument(
    '--region',
    choices=('face', 'body'),
    default='face',
    help='what is replaced: faces, or bodies and every face beside them (face)',
  )
  parser.add_argument(
    '--masks',
    metavar='PATH',
    help='of bodies: a folder with NAME.png for NAME.jpg, one of frames for a video, or a text '
    'file of run lengths as MOTS has them',
  )
  parser.add_argument(
    '--person-segmenter', metavar='FILE', help='an ONNX network that finds bodies instead'
  )
  parser.add_argument(
    '--face-weights',
    metavar='FOLDER',
    help='networks for faces beside bodies, where --weights are of bodies (those of the package)',
  )
  parser.add_argument(
    '--sequence',
    action='store_true',
    help='the pictures of a folder are frames of a film: a body stays the same person',
  )
  parser.add_argument(
    '--allow-no-bodies', action='store_true', help='write pictures without any body masked, too'
  )


def share(text: str) -> float:
  """Reads a number between 0 and 1, exclusive, for argparse."""
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


def _crf(text: str) -> int:
  value = _whole(text)
  if value > _MOST_CRF:
    raise argparse.ArgumentTypeError(f'{text} is not between 0 and {_MOST_CRF}')
  return value


def check_usage(args: argparse.Namespace) -> None:
  """Ends the process with code 2 where flags do not make sense together."""
  if '' in args.inputs:
    # it would be the current folder, and is mostly a variable that is not set
    args.usage_error('an INPUT is empty; name a picture or a folder (. is the current one)')
  for flag in _TEXTS:
    if getattr(args, flag) == '':
      args.usage_error(f'--{flag.replace("_", "-")} is empty; give it something, or leave it out')
  if args.output is None and not args.in_place:
    args.usage_error('give -o OUT, or --in-place')
  if args.key and args.key_file:
    args.usage_error('--key and --key-file are two keys; give one of them')
  if args.identity not in (None, 'any') and (args.key or args.key_file):
    args.usage_error('--identity leaves nothing to draw; give --key or --identity, not both')
  # who gives one of them expects another picture than would come out
  for flag, method in (('identity', 'synthesize'), ('block', 'pixelate'), ('kernel', 'blur')):
    if getattr(args, flag) is not None and args.method != method:
      args.usage_error(f'--{flag} is for --method {method}, and this is --method {args.method}')
  _check_bodies(args)


def _check_bodies(args: argparse.Namespace) -> None:
  if args.region == 'body' and bool(args.masks) == bool(args.person_segmenter):
    args.usage_error(
      '--region body needs to know where bodies are: give --masks PATH or --person-segmenter FILE, '
      'one of them'
    )
  for flag in _OF_BODIES if args.region == 'face' else ():
    if getattr(args, flag):
      args.usage_error(f'--{flag.replace("_", "-")} is for --region body, and this is face')
  if args.face_weights and args.method != 'synthesize':
    args.usage_error(f'--face-weights is for --method synthesize, and this is {args.method}')


def check_live_usage(args: argparse.Namespace) -> None:
  """Ends the process with code 2 where flags do not make sense for a camera."""
  if len(args.inputs) > 1:
    args.usage_error('a live picture is taken alone; give one camera and no other INPUT')
  if args.region == 'body':
    args.usage_error('--region body is for files: who is in a live picture is not known before')
  for flag in ('in_place', 'keep_audio', 'keep_metadata', 'keep_position'):
    if getattr(args, flag):
      args.usage_error(f'--{flag.replace("_", "-")} is for files, and this is a live picture')
  if args.delay is not None and args.delay > _MOST_DELAY:
    args.usage_error(f'--delay {args.delay:g} is too long; give {_MOST_DELAY} seconds or less')


def check_file_usage(args: argparse.Namespace) -> None:
  """Ends the process with code 2 where flags make sense for cameras only."""
  if args.output == PIPE:  # it would be a folder of that name
    args.usage_error(f'-o {PIPE} pipes live pictures; name a file or a folder (./{PIPE} is one)')
  for flag in ('duration', 'delay', 'allow_network'):
    if getattr(args, flag):
      args.usage_error(f'--{flag.replace("_", "-")} is for live pictures, and INPUT names files')
