"""The part of `anon-jax anonymize` for cameras: what it does, and what it says when it is done."""

import argparse
import contextlib
import os
import pathlib
import signal
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from anon_jax.inference import flags
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.paths import identity, shown
from anon_jax.inference.sources import Source

if TYPE_CHECKING:
  from anon_jax.inference.live_result import LiveResult
  from anon_jax.inference.video_writing import VideoWriter

_REASONS = 3  # that a summary has room for


def run(
  args: argparse.Namespace,
  source: Source,
  load: Callable[[Executor], tuple[Any, Any, Mapping[str, Any]]],
  key: bytes | None,
) -> int:
  """Anonymizes a live source; returns the exit code.

  Args:
    args: the command line.
    source: the one that it names.
    load: returns, for threads that it may use, what anonymizes, no masks, and what tells its
      networks from others.
    key: of repeatable draws.

  Raises:
    InferenceError: the camera cannot be opened, or the output cannot be written.
  """
  _check_output(args, source)
  manifest = pathlib.Path(os.path.expanduser(args.manifest)) if args.manifest else None  # noqa: PTH111
  from anon_jax.inference import manifest as manifests

  if manifest:
    manifests.resumable(manifest, {})  # so that nothing but a manifest is overwritten
  print(f'anon-jax: preparing {source.name} ...', file=sys.stderr)
  beside = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
  anonymizer, _, found = load(beside)
  # here and not above: it imports PyAV, which pictures need not wait for
  from anon_jax.inference import live
  from anon_jax.inference.camera import Camera

  delay = live.DELAY if args.delay is None else args.delay
  with Camera(source) as camera:
    live.warm(anonymizer, camera.size)
    with _writer(args, camera.size, camera.matrix) as writer, _stopping() as stopped:
      with _bar(source) as tell:
        result = live.anonymize_live(
          camera,
          writer,
          anonymizer,
          delay=delay,
          duration=args.duration,
          allow_no_faces=args.allow_no_faces,
          name=source.name,
          stopped=stopped,
          tell=tell,
        )
      camera.close()  # its light goes out
      _require_frames(result, delay)
  if manifest:
    record = {
      'source': source.name,
      'target': shown(args.output),
      'status': manifests.ANONYMIZED if result.tracks else manifests.NO_FACE,
      'written': True,
      'message': result.broken,
      'live': result.record(),
    }
    settings = {'method': args.method, 'delay': delay, **found}
    text = manifests.write_up([record], [], [], settings, manifests.key_check(key))
    from anon_jax.inference.writing import write_text_atomically

    write_text_atomically(manifest, text)
  return _tell(args, source, result)


def _check_output(args: argparse.Namespace, source: Source) -> None:
  """Raises InferenceError where the output can take no live picture."""
  if args.output == flags.PIPE:
    if sys.stdout.isatty():
      raise InferenceError('-o - writes a video to the terminal; pipe it on: ... -o - | ffplay -')
    return
  from anon_jax.inference.video_writing import KINDS

  path = pathlib.Path(args.output)
  if path.suffix.lower() not in KINDS or path.is_dir():
    raise InferenceError(
      f'{shown(path)} cannot take a live picture; give a file ending with one of '
      f'{", ".join(KINDS)}, or - for the standard output.'
    )
  if source.kind == 'file' and identity(path) == identity(pathlib.Path(source.address)):
    raise InferenceError(f'{shown(path)} would replace the file that is played; give another.')


def _writer(args: argparse.Namespace, size: tuple[int, int], matrix: int) -> 'VideoWriter':
  from anon_jax.inference import live
  from anon_jax.inference.colour import Colour
  from anon_jax.inference.video_streaming import VideoStreamer
  from anon_jax.inference.video_writing import VideoWriter

  options: dict[str, Any] = {
    'colour': Colour(matrix),
    'codec': args.codec or flags.CODEC,
    'crf': flags.CRF if args.crf is None else args.crf,
  }
  if args.output == flags.PIPE:
    return VideoStreamer(sys.stdout.fileno(), *size, live.TIME_BASE, **options)
  return VideoWriter(args.output, *size, live.TIME_BASE, live=True, **options)


@contextlib.contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
  """Has Ctrl-C and SIGTERM end the recording well; the second Ctrl-C breaks it off."""
  asked = False

  def stop(number: int, _: types.FrameType | None) -> None:
    nonlocal asked
    if asked and number == signal.SIGINT:
      raise KeyboardInterrupt
    asked = True
    print('\nanon-jax: finishing; Ctrl-C again throws the recording away.', file=sys.stderr)

  before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
  try:
    yield lambda: asked
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)


@contextlib.contextmanager
def _bar(source: Source) -> Iterator[Callable[['LiveResult'], object]]:
  """Shows, on a terminal, how it goes."""
  from tqdm import tqdm

  with tqdm(desc=source.name, unit=' frames', file=sys.stderr, disable=None, leave=False) as bar:

    def tell(result: 'LiveResult') -> None:
      bar.set_postfix_str(
        f'delay {result.delay(0.95):.1f} s, {result.dropped_in_all / result.received:.0%} dropped',
        refresh=False,
      )
      bar.update(result.shown - bar.n)

    yield tell


def _require_frames(result: 'LiveResult', delay: float) -> None:
  """Raises InferenceError where nothing was written, and says why."""
  if result.shown:
    return
  why = result.broken or f'{result.received} frames came in {result.seconds:.0f} s'
  if result.dropped['too late']:
    why += f'; all were older than {delay:g} s before they were ready: give a longer --delay'
  elif result.dropped['before the first face']:
    why += '; no face was found, and without --allow-no-faces nothing is shown before the first one'
  raise InferenceError(f'nothing was written: {why.rstrip(".")}.')


def _tell(args: argparse.Namespace, source: Source, result: 'LiveResult') -> int:
  """Prints a summary; returns the exit code."""
  stream = sys.stderr if args.output == flags.PIPE else sys.stdout
  counts = ', '.join(f'{count} {what}' for what, count in sorted(result.actions.items()))
  reasons = [reason for reason, _ in result.reasons.most_common(_REASONS)]
  why = f' ({"; ".join(reasons)})' if reasons else ''
  where = 'the standard output' if args.output == flags.PIPE else shown(args.output)
  line = (
    f'{result.shown} frames of {result.seconds:.1f} s ({result.rate:.1f} a second) written to '
    f'{where}, {result.dropped_in_all} of {result.received} dropped; delay '
    f'{result.delay(0.5):.2f} s (95%: {result.delay(0.95):.2f} s); faces in frames: '
    f'{counts or "none"}{why}'
  )
  with contextlib.suppress(BrokenPipeError):  # nobody listens; the exit code still counts
    print(line, file=stream, flush=True)
  if result.broken:
    kept = (
      'what came before was passed on'
      if args.output == flags.PIPE
      else f'what came before is in {where}'
    )
    print(f'anon-jax: {result.broken.rstrip(".")}; {kept}.', file=sys.stderr)
    return 1
  return 0
