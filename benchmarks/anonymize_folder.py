"""Anonymizes photographs and says how fast, where the time went and how much memory it took.

  python benchmarks/anonymize_folder.py PHOTOS --weights FOLDER [--count 200]

The command's own code runs in this process, with a clock around what its parts call. Programs are
compiled, or taken from the command's cache, before the clock starts: a first picture is anonymized.
"""

import argparse
import collections
import contextlib
import functools
import pathlib
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from anon_jax.inference import command, crops, detection, files, listing, synthesis
from anon_jax.inference.anonymizer import Anonymizer
from anon_jax.inference.reading import Reader

SECONDS: collections.Counter[str] = collections.Counter()
_OPEN = ['the rest']  # stages that are running, each called by the one before it


def timed(holder: Any, name: str, stage: str) -> None:
  """Counts the time of a function or method to a stage, less that of other stages in it."""
  original = getattr(holder, name)

  @functools.wraps(original)
  def run(*arguments: Any, **named: Any) -> Any:
    start = time.perf_counter()
    _OPEN.append(stage)
    try:
      return original(*arguments, **named)
    finally:
      _OPEN.pop()
      seconds = time.perf_counter() - start
      SECONDS[stage] += seconds
      SECONDS[_OPEN[-1]] -= seconds

  setattr(holder, name, run)


@contextlib.contextmanager
def folder_of(photos: pathlib.Path, count: int) -> Iterator[pathlib.Path]:
  """Yields a folder with `count` of the pictures under `photos`, evenly chosen."""
  found = sorted(path for path in photos.rglob('*') if path.suffix in ('.jpg', '.jpeg', '.png'))
  step = max(len(found) // count, 1)
  with tempfile.TemporaryDirectory() as name:
    for number, path in enumerate(found[::step][:count]):
      shutil.copy(path, pathlib.Path(name) / f'{number:05d}{path.suffix}')
    yield pathlib.Path(name)


def anonymize(folder: pathlib.Path, anonymizer: Anonymizer) -> files.Report:
  """Anonymizes a folder into a throw-away one."""
  with tempfile.TemporaryDirectory() as out, Reader() as reader:
    plan = listing.plan([folder], out)
    options = files.Options(settings={}, batch_faces=16)
    return files.anonymize_files(plan, anonymizer, reader, options)


def main() -> None:
  """Prints the figures."""
  parser = argparse.ArgumentParser()
  parser.add_argument('photos', type=pathlib.Path)
  parser.add_argument('--weights', type=pathlib.Path)
  parser.add_argument('--count', type=int, default=200)
  args = parser.parse_args()
  for holder, name, stage in (
    (Reader, 'read', 'reading'),
    (detection.CenterFace, '__call__', 'detection'),
    (synthesis.Synthesizer, 'maps', 'S'),
    (synthesis.Synthesizer, 'conditions', 'appearance condition'),
    (synthesis.Synthesizer, 'paint', 'A, H and I'),
    (crops, 'cut', 'cutting'),
    (crops, 'put_back', 'putting back'),
    (crops, 'touched', 'working out what is touched'),
    (crops, 'shows', 'working out what shows'),
    (files, 'write_picture_file', 'writing'),
  ):
    timed(holder, name, stage)
  command.keep_programs()
  anonymizer = Anonymizer.from_pretrained(args.weights)
  with folder_of(args.photos, 37) as few:  # 37 fills each of the buckets
    anonymize(few, anonymizer)
  SECONDS.clear()
  with folder_of(args.photos, args.count) as folder:
    start = time.perf_counter()
    report = anonymize(folder, anonymizer)
    whole = time.perf_counter() - start
  written = sum(entry.written for entry in report.entries)
  faces = collections.Counter(str(face['action']) for face in report.faces())
  print(f'{written} of {len(report.entries)} pictures, {dict(faces)}, {whole:.1f} s')
  print(f'{written / whole:.2f} pictures/s, {faces.total() / whole:.2f} faces/s')
  SECONDS['the rest'] += whole
  for stage, seconds in SECONDS.most_common():
    print(f'| {stage} | {seconds:.1f} s | {seconds / whole:.0%} |')
  print(f'peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB')


if __name__ == '__main__':
  main()
