"""Anonymizes a video and says how fast, where the time went and how much memory it took.

  python benchmarks/anonymize_video.py CLIP... [--method fill] [--weights FOLDER]

The command's own code runs in this process, with a clock around what its parts call. Stages of
several threads run at the same time: their seconds add up to more than the clip took. Decoding and
encoding are processes of their own, of which only the computing time is told. Programs are
compiled, or taken from the command's cache, before: the first clip is anonymized once more than the
others.
"""

import argparse
import collections
import functools
import os
import pathlib
import resource
import tempfile
import threading
import time
from typing import Any

from anon_jax.inference import (
  command,
  covering,
  crops,
  detection,
  scenes,
  synthesis,
  tracking,
  video_reading,
  video_writing,
  videos,
)
from anon_jax.inference.anonymizer import Anonymizer

SECONDS: collections.Counter[str] = collections.Counter()
_OPEN = threading.local()  # stages that a thread is in, each called by the one before it
_STAGES = (
  (detection.CenterFace, '__call__', 'detect'),
  (scenes, 'thumbnail', 'track'),
  (tracking.Tracker, 'push', 'track'),
  (synthesis.Synthesizer, 'maps', 'S'),
  (synthesis.Synthesizer, 'conditions', 'appearance condition'),
  (synthesis.Synthesizer, 'paint', 'A, H and I'),
  (crops, 'cut', 'cut'),
  (crops, 'put_back', 'paste'),
  (crops, 'touched', 'paste'),
  (crops, 'shows', 'paste'),
  (covering, 'cover', 'cover'),
  (video_reading, 'receive_message', 'waiting for the decoder'),
  (video_reading, 'receive', 'taking frames from the decoder'),
  (video_writing.VideoWriter, 'write', 'giving frames to the encoder'),
  (video_writing.VideoWriter, '_finish', 'end of encoding, and check'),
)


def timed(holder: Any, name: str, stage: str) -> None:
  """Counts the time of a function or method to a stage, less that of other stages in it."""
  original = getattr(holder, name)

  @functools.wraps(original)
  def run(*arguments: Any, **named: Any) -> Any:
    start, outer = time.perf_counter(), getattr(_OPEN, 'inner', None)
    _OPEN.inner = [0.0]
    try:
      return original(*arguments, **named)
    finally:
      seconds = time.perf_counter() - start
      SECONDS[stage] += seconds - _OPEN.inner[0]
      if outer is not None:
        outer[0] += seconds
      _OPEN.inner = outer

  setattr(holder, name, run)


def computed(who: int) -> float:
  """Returns the seconds of computing of this process, or of its children that have ended."""
  used = resource.getrusage(who)
  return used.ru_utime + used.ru_stime


def measure(clip: pathlib.Path, anonymizer: Anonymizer) -> None:
  """Anonymizes a clip into a throw-away file and prints the figures."""
  SECONDS.clear()
  own, others = computed(resource.RUSAGE_SELF), computed(resource.RUSAGE_CHILDREN)
  with tempfile.TemporaryDirectory() as out:
    start = time.perf_counter()
    result = videos.anonymize_video(clip, pathlib.Path(out) / 'out.mp4', anonymizer)
    whole = time.perf_counter() - start
  own, others = (
    computed(resource.RUSAGE_SELF) - own,
    computed(resource.RUSAGE_CHILDREN) - others,
  )
  faces = sum(track.states.total() for track in result.tracks.values())
  print(f'\n{clip.name}: {result.frames} frames, {faces / result.frames:.1f} faces in each')
  print(f'{result.frames / whole:.2f} frames/s; {whole:.1f} s')
  print(f'computing, of {os.cpu_count()} cores: {own:.1f} s here, {others:.1f} s in the children')
  print('| stage | ms a frame | share of the time |\n|---|---|---|')
  for stage, seconds in SECONDS.most_common():
    print(f'| {stage} | {1000 * seconds / result.frames:.1f} | {seconds / whole:.0%} |')
  children = f'| decode, encode and check (computing) | {1000 * others / result.frames:.1f} |'
  print(f'{children} {others / whole:.0%} |')


def main() -> None:
  """Prints the figures."""
  parser = argparse.ArgumentParser()
  parser.add_argument('clips', type=pathlib.Path, nargs='+')
  parser.add_argument('--method', default='synthesize')
  parser.add_argument('--weights', type=pathlib.Path)
  args = parser.parse_args()
  for stage in _STAGES:
    timed(*stage)
  command.keep_programs()
  anonymizer = Anonymizer.from_pretrained(args.weights, method=args.method)
  measure(args.clips[0], anonymizer)
  print('that was to compile; the figures follow')
  for clip in args.clips:
    measure(clip, anonymizer)
  print(f'\npeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB')


if __name__ == '__main__':
  main()
