"""The command `anon-jax`.

Exit codes: 0 done; 1 refused or failed, with one line on standard error; 2 wrong usage.
"""

import argparse
import sys
from collections.abc import Sequence

import anon_jax
from anon_jax.nets import frozen


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command line `argv` (that of the process by default); returns the exit code."""
  args = _parser().parse_args(argv)
  try:
    return args.run(args)
  except (frozen.WeightsError, OSError) as error:
    # one line even where a file name or a tensor's name holds line breaks
    print('anon-jax:', ' '.join(str(error).split()), file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(prog='anon-jax', description=anon_jax.__doc__)
  parser.add_argument('--version', action='version', version=f'%(prog)s {anon_jax.__version__}')
  commands = parser.add_subparsers(title='commands', metavar='COMMAND', required=True)
  _add_weights(commands)
  return parser


def _add_weights(commands: argparse._SubParsersAction) -> None:
  weights = commands.add_parser('weights', help='weight files of the frozen networks')
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


def _convert(args: argparse.Namespace) -> int:
  # here and not above: it imports jax, and --version or a usage error must not wait for that
  from anon_jax.nets import conversion

  path = conversion.convert(args.network, args.source, args.output, args.allow_unknown)
  print(f'{path}  sha256 {frozen.sha256_of(path)}')
  return 0
