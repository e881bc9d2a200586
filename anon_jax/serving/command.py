"""The command `anon-jax serve`."""

import argparse
import importlib.util
import signal
import sys
import webbrowser
from types import FrameType

from anon_jax.inference import flags
from anon_jax.inference.errors import InferenceError

_NEEDED = ('starlette', 'uvicorn', 'h11')


def add(commands: argparse._SubParsersAction) -> None:
  """Adds the command to the parser of `anon-jax`."""
  parser = commands.add_parser(
    'serve',
    help='show a page on this computer that anonymizes what is dropped on it',
    description='Shows a page on 127.0.0.1: drop photographs or a clip on it, look at the faces, '
    'correct them, and download the result. Nothing leaves the computer, and nothing that was '
    'dropped is kept. docs/serve.md tells more.',
    epilog='Exit codes: 0 stopped by Ctrl-C; 1 it could not start; 2 wrong usage.',
  )
  parser.add_argument(
    '--port', type=_port, default=0, metavar='N', help='of 127.0.0.1 (any that is free)'
  )
  parser.add_argument(
    '--weights', metavar='FOLDER', help='trained networks (those of the package, if it has any)'
  )
  parser.add_argument(
    '--detector-threshold',
    type=flags.share,
    metavar='SCORE',
    help='least score of a face that counts, between 0 and 1 (0.15)',
  )
  parser.add_argument(
    '--open',
    action='store_true',
    help='open the page in the browser, too; other users of the computer may then see its address, '
    'with the key, in the list of processes',
  )
  parser.set_defaults(run=_run, usage_error=parser.error)


def _port(text: str) -> int:
  if text.isdecimal() and len(text) < 6 and (text == '0' or 1024 <= int(text) < 65536):
    return int(text)
  raise argparse.ArgumentTypeError(f'{text!r} is not between 1024 and 65535, and not 0 either')


def _run(args: argparse.Namespace) -> int:
  if args.weights == '':
    args.usage_error('--weights is empty; give it something, or leave it out')
  if not all(importlib.util.find_spec(name) for name in _NEEDED):
    raise InferenceError(
      "the page needs Starlette and Uvicorn, which are missing: pip install 'anon-jax[demo]'"
    )
  # here and not above: they import jax and the web server, which --version must not wait for
  from anon_jax.serving import server
  from anon_jax.serving.engine import Engine

  for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: what was dropped has to be wiped
    signal.signal(number, _interrupt)
  try:
    with server.listening(args.port) as own:
      engine = Engine.load(args.weights, args.detector_threshold)
      with server.served(own, engine) as (running, address, _):
        print(f'The page is at {address}', flush=True)
        print('Ctrl-C stops it, and wipes what was dropped on it.', file=sys.stderr)
        if args.open:
          webbrowser.open(address)
        running.run(sockets=[own])
  except KeyboardInterrupt:
    print('Stopped; nothing that was dropped is left.', file=sys.stderr)
  return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
  raise KeyboardInterrupt
