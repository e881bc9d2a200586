"""The command `anon-jax export`: trained networks as files that run without this project."""

import argparse
import pathlib

_FORMATS = ('onnx', 'stablehlo')


def add(commands: argparse._SubParsersAction) -> None:
  """Adds the command to the parser of `anon-jax`."""
  parser = commands.add_parser(
    'export',
    help='write trained networks as ONNX or StableHLO, to run them without this project',
    description='Writes S, A, H, I and the whole way from a crop to an anonymized crop, for '
    'batches of any size, with a manifest. Each file is run once beside JAX. To get networks out '
    'of training runs, which comes before, use `anon-jax weights export`.',
  )
  parser.add_argument('--format', required=True, choices=_FORMATS, help='of the files')
  parser.add_argument('-o', '--output', required=True, metavar='FOLDER', help='a new folder')
  parser.add_argument(
    '--weights', metavar='FOLDER', help='trained networks (those of the package, if it has any)'
  )
  parser.set_defaults(run=_run, usage_error=parser.error)


def _run(args: argparse.Namespace) -> int:
  if not args.output:
    args.usage_error('--output is empty; give a new folder')
  if args.weights == '':
    args.usage_error('--weights is empty; give it something, or leave it out')
  # here and not above: it imports jax, and --version or a usage error must not wait for that
  from anon_jax.inference import command
  from anon_jax.inference.anonymizer import SHIPPED
  from anon_jax.inference.portable import folder

  command.keep_programs()  # of JAX, with which each file is compared
  source = pathlib.Path(args.weights).expanduser() if args.weights else SHIPPED
  lines = folder.export(source, pathlib.Path(args.output).expanduser(), args.format)
  print('\n'.join(lines))
  return 0
