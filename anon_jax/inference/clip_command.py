"""The command `anon-jax clips`: from videos to a clip_folder that harmonize_video trains on."""

import argparse
import pathlib
import re
import sys
from collections.abc import Iterable
from typing import NamedTuple

from anon_jax.data import face_forensics
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.listing import VIDEOS
from anon_jax.inference.paths import shown

_LAYOUTS = ('folder', 'face_forensics')


class Source(NamedTuple):
  """A video: its file, a name that files and lists can hold, and its split ('': not set)."""

  path: pathlib.Path
  name: str
  split: str


def add(commands: argparse._SubParsersAction) -> None:
  """Adds the command to the parser of `anon-jax`."""
  parser = commands.add_parser(
    'clips',
    help='cut the faces of videos to clips that configs/harmonize_video.py trains on',
    description='Follows the faces of videos, cuts each to clips of smoothed crops, and has S make '
    'their maps. docs/data.md has the layout of what is written (clip_folder).',
    epilog='Exit codes: 0 every video was cut; 1 some could not be read, each named on standard '
    'error; 2 wrong usage. Run the same command again to go on.',
  )
  parser.add_argument(
    'videos', nargs='+', metavar='VIDEOS', help='video files, and folders of them'
  )
  parser.add_argument(
    '-o', '--output', required=True, metavar='CLIPS', help='folder; goes on there'
  )
  parser.add_argument(
    '--layout',
    choices=_LAYOUTS,
    default=_LAYOUTS[0],
    help='folder: any videos; face_forensics: the folder of FaceForensics++, whose originals '
    'are taken, in the published splits (folder)',
  )
  parser.add_argument(
    '--compression',
    choices=face_forensics.COMPRESSIONS,
    help='of face_forensics: which of its files (c23)',
  )
  parser.add_argument('--size', type=int, default=128, metavar='N', help='side of a crop (128)')
  parser.add_argument(
    '--face-share', type=float, default=0.6, metavar='SHARE', help='of the face box in it (0.6)'
  )
  parser.add_argument(
    '--length', type=int, default=16, metavar='N', help='fewest frames of a clip (16)'
  )
  parser.add_argument(
    '--weights', metavar='FOLDER', help='trained networks (those of the package, if it has any)'
  )
  for split in ('validation', 'test'):
    parser.add_argument(
      f'--{split}',
      action='append',
      default=[],
      metavar='NAME',
      help=f'video whose clips are for {split}, its file name without extension; several times',
    )
  parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
  sources = _sources(args)
  # here and not above: they import jax, and --version or a usage error must not wait for that
  from tqdm import tqdm

  from anon_jax.inference import clip_cutting, clip_writing, command, detection, looks, segmenting
  from anon_jax.inference.anonymizer import SHIPPED

  cutting = clip_cutting.Cutting(args.size, args.face_share, args.length)
  command.keep_programs()
  weights = pathlib.Path(args.weights).expanduser() if args.weights else SHIPPED
  segmenter = segmenting.load_exported_segmenter(weights)
  # faces that lie on their side are not what H is shown
  detector = detection.load_detector(rotations=(0,)).at(looks.GLANCE)
  output = pathlib.Path(args.output).expanduser()
  made = {'size': args.size, 'face_share': args.face_share, 'length': args.length}
  made |= {'segmenter': segmenter.fingerprint, 'detector': detector.sha256[:16]}
  failures = 0
  with clip_writing.ClipWriter(output, made) as writer:
    for number, source in enumerate(sources, 1):
      size = source.path.stat().st_size
      if writer.done(source.name, size, source.split):
        continue
      title = f'{number}/{len(sources)} {shown(source.path.name)}'
      with (
        writer.part() as part,
        tqdm(desc=title, unit=' frames', file=sys.stderr, disable=None, leave=False) as bar,
      ):
        try:
          clips = clip_cutting.cut_video(
            source.path, part, source.name, detector, segmenter, cutting, bar.update
          )
        except InferenceError as error:
          failures += 1
          tqdm.write(f'anon-jax: {" ".join(str(error).split())}', file=sys.stderr)
          continue
        writer.add(source.name, size, part, clips, source.split)
    frames = writer.frames
  return _tell(output, frames, len(sources), failures)


def _sources(args: argparse.Namespace) -> list[Source]:
  """Lists the videos in the layout that was given."""
  held_out = {'validation': args.validation, 'test': args.test}
  if args.layout == 'folder':
    if args.compression:
      raise InferenceError('--compression is for --layout face_forensics.')
    return find_videos(args.videos, held_out)
  if len(args.videos) > 1 or any(held_out.values()):
    raise InferenceError(
      '--layout face_forensics takes one folder, and its splits from the published lists: leave '
      '--validation and --test out.'
    )
  root = pathlib.Path(args.videos[0]).expanduser()
  found = face_forensics.list_originals(root, args.compression or 'c23')
  return [Source(*original) for original in found]


def _tell(output: pathlib.Path, frames: dict[str, int], videos: int, failures: int) -> int:
  if not frames and not failures:
    raise InferenceError(
      f'none of {videos} videos has a face that stays for as many frames as --length says.'
    )
  print(
    f'{shown(output)}: {len(frames)} clips with {sum(frames.values())} frames of {videos} videos; '
    f'{failures} videos could not be read'
  )
  return 1 if failures else 0


def find_videos(inputs: Iterable[str], held_out: dict[str, list[str]]) -> list[Source]:
  """Lists the videos of files and folders, in the order of their names.

  Args:
    inputs: video files, and folders that hold some.
    held_out: names of videos by split.

  Raises:
    InferenceError: an input is not there or a folder has no video, two have one name, or a split
      names none of them.
  """
  found: dict[str, Source] = {}
  split_of = {name: split for split, names in held_out.items() for name in names}
  for given in inputs:
    path = pathlib.Path(given).expanduser()
    files = [path]
    if path.is_dir():
      files = [file for file in sorted(path.iterdir()) if file.suffix.lower() in VIDEOS]
    if not files or not path.exists():
      what = 'holds no video' if path.exists() else 'is not there'
      raise InferenceError(f'{shown(path)} {what}; give video files, or folders of them.')
    for file in files:
      # split.txt parts names by spaces
      name = re.sub(r'[^\w.-]', '_', file.stem, flags=re.ASCII).lstrip('.') or '_'
      if name in found:
        raise InferenceError(
          f'{shown(found[name].path)} and {shown(file)} would have one name; rename one of them.'
        )
      found[name] = Source(file, name, split_of.get(file.stem, ''))
  unknown = sorted(split_of.keys() - {source.path.stem for source in found.values()})
  if unknown:
    raise InferenceError(
      f'--{split_of[unknown[0]]} {shown(unknown[0])} names none of the videos; they are '
      f'{", ".join(sorted(found)[:8])}.'
    )
  return list(found.values())
