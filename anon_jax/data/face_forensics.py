"""FaceForensics++ as it is published: which videos are originals, and in which split each is.

The project uses originals only, never manipulated ones (Roessler et al., ICCV 2019). Their split
lists hold pairs of ids, as manipulated videos are made of two; each id of a pair is in that split.
"""

import json
import pathlib
from typing import NamedTuple

from anon_jax.data.errors import DatasetError

COMPRESSIONS = ('raw', 'c23', 'c40')
# Their word for a split -> ours.
_LISTS = {'train': 'train', 'val': 'validation', 'test': 'test'}
LAYOUT = (
  'face_forensics holds original_sequences/youtube/COMPRESSION/videos/000.mp4 to 999.mp4, and '
  'train.json, val.json and test.json beside original_sequences or in splits. Fill in the form at '
  'https://github.com/ondyari/FaceForensics to get the script that downloads the videos '
  '(`-d original -c COMPRESSION -t videos`); the lists are in dataset/splits of that repository.'
)


class Original(NamedTuple):
  """A video: its file, a name that is its alone, and its split."""

  path: pathlib.Path
  name: str
  split: str


def list_originals(root: pathlib.Path, compression: str) -> list[Original]:
  """Lists the original videos of a folder.

  Those of `youtube` are in the splits of the published lists. Those of `actors` (DeepFakeDetection)
  are taken where the folder is there; no list names them, and all are for training.

  Args:
    root: the folder that holds original_sequences.
    compression: one of COMPRESSIONS.

  Returns:
    The videos by name, `youtube_000` and so on.

  Raises:
    DatasetError: a folder or list is missing or broken, a list names an id that has no video, a
      video is in no list, or an id is in two.
  """
  if compression not in COMPRESSIONS:
    raise DatasetError(f'{compression!r} is no compression; give one of {", ".join(COMPRESSIONS)}.')
  videos = _videos(root, 'youtube', compression)
  if videos is None:
    missing = _folder(root, 'youtube', compression)
    raise DatasetError(f'{missing} is missing, or holds no .mp4. {LAYOUT}')
  split_of = _splits(root)
  without = sorted(split_of.keys() - videos.keys())
  unnamed = sorted(videos.keys() - split_of.keys())
  if without:
    first = _folder(root, 'youtube', compression) / f'{without[0]}.mp4'
    raise DatasetError(
      f'{len(without)} ids of the lists have no video, such as {first}; download what is missing. '
      f'{LAYOUT}'
    )
  if unnamed:
    raise DatasetError(
      f'{videos[unnamed[0]]} is in no list, as {len(unnamed)} in all; use the published lists, or '
      f'remove what is not of the data set. {LAYOUT}'
    )
  found = [Original(videos[id_], f'youtube_{id_}', split_of[id_]) for id_ in sorted(videos)]
  actors = _videos(root, 'actors', compression) or {}
  return found + [Original(path, f'actors_{id_}', 'train') for id_, path in sorted(actors.items())]


def _folder(root: pathlib.Path, part: str, compression: str) -> pathlib.Path:
  return root / 'original_sequences' / part / compression / 'videos'


def _videos(root: pathlib.Path, part: str, compression: str) -> dict[str, pathlib.Path] | None:
  """Returns {id: file} of a part; None where it has none."""
  folder = _folder(root, part, compression)
  found = {path.stem: path for path in folder.glob('*.mp4')} if folder.is_dir() else {}
  return found or None


def _splits(root: pathlib.Path) -> dict[str, str]:
  """Returns our split of each id of the three lists."""
  split_of: dict[str, str] = {}
  for theirs, split in _LISTS.items():
    places = (root / f'{theirs}.json', root / 'splits' / f'{theirs}.json')
    path = next((place for place in places if place.is_file()), None)
    if path is None:
      raise DatasetError(f'{places[0]} is missing. {LAYOUT}')
    for id_ in _ids(path):
      if split_of.setdefault(id_, split) != split:
        raise DatasetError(
          f'{path} names {id_}, which is for {split_of[id_]} by another list; use the published '
          'lists.'
        )
  return split_of


def _ids(path: pathlib.Path) -> list[str]:
  """Reads a list of pairs of ids."""
  try:
    pairs = json.loads(path.read_text(encoding='utf-8'))
  except (OSError, ValueError) as error:
    raise DatasetError(
      f'{path} cannot be read as JSON ({" ".join(str(error).split())}); download it again.'
    ) from None
  fine = isinstance(pairs, list) and pairs
  if not fine or not all(
    isinstance(pair, list) and len(pair) == 2 and all(isinstance(id_, str) for id_ in pair)
    for pair in pairs
  ):
    raise DatasetError(
      f'{path} should hold pairs of ids, [["071", "054"], ...], as published; download it again.'
    )
  return [id_ for pair in pairs for id_ in pair]
