"""Folders of clips as training examples, and how their frames are cut."""

import numpy as np
import pytest
from PIL import Image

from anon_jax.data.clips import ClipFolder, ClipView
from anon_jax.data.errors import DatasetError
from anon_jax.data.pipeline import View, train_dataset
from anon_jax.data.procedural import ProceduralClips, render_clip


@pytest.fixture
def folder(tmp_path):
  """Clips of 9, 5 and 2 frames; each pixel holds the number of clip and frame."""
  for clip, (name, count) in enumerate({'a': 9, 'b': 5, 'c': 2}.items()):
    for part in ('images', 'masks'):
      (tmp_path / part / name).mkdir(parents=True)
    for frame in range(count):
      pixels = np.full((16, 16, 3), 10 * clip + frame, np.uint8)
      Image.fromarray(pixels).save(tmp_path / 'images' / name / f'{frame:03d}.png')
      mask = np.full((16, 16), frame % 8, np.uint8)
      Image.fromarray(mask).save(tmp_path / 'masks' / name / f'{frame:03d}.png')
  (tmp_path / 'split.txt').write_text('a train\nb validation\nc train\n')
  return tmp_path


def test_an_element_is_a_run_of_consecutive_frames_with_their_maps(folder):
  clips = ClipFolder(folder, 'train', 4)
  found = [[int(frame.flat[0]) for frame in clips[n]['image']] for n in range(len(clips))]
  assert found == [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7]]  # c is too short
  assert clips[1]['image'].shape == (4, 16, 16, 3)
  np.testing.assert_array_equal(clips[1]['map'][:, 0, 0], [2, 3, 4, 5])
  assert len(ClipFolder(folder, 'validation', 4)) == 1
  assert len(ClipFolder(folder, 'train', 1)) == 11


def test_without_a_list_a_tenth_is_held_out_and_at_least_one_clip(folder):
  (folder / 'split.txt').unlink()
  parts = {split: repr(ClipFolder(folder, split, 2)) for split in ('train', 'validation')}
  assert '2 clips' in parts['train']
  assert '1 clips' in parts['validation']


def test_other_frames_are_other_data(folder):
  before = repr(ClipFolder(folder, 'train', 4))
  assert repr(ClipFolder(folder, 'train', 4)) == before
  assert repr(ClipFolder(folder, 'train', 3)) != before
  noise = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
  Image.fromarray(noise).save(folder / 'images' / 'a' / '003.png')
  assert repr(ClipFolder(folder, 'train', 4)) != before


def _refused(folder, match, split='train', frames=4):
  with pytest.raises(DatasetError, match=match) as caught:
    clips = ClipFolder(folder, split, frames)
    for index in range(len(clips)):
      clips[index]
  assert '\n' not in str(caught.value)


def test_what_cannot_be_used_is_named_in_one_line(folder, tmp_path):
  _refused(folder / 'nowhere', 'nowhere/images is missing. A clip_folder holds')
  _refused(folder, "no clip in the split 'test'", 'test')
  _refused(folder, "split 'validation' of .* has 6 frames", 'validation', 6)
  Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / 'images' / 'a' / '003.png')
  _refused(folder, 'a/003.png')
  Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / 'masks' / 'a' / '003.png')
  _refused(folder, 'a has frames of several sizes')
  (folder / 'masks' / 'a' / '003.png').unlink()
  _refused(folder, '003.png has no mask')
  for text in ('a train\n', 'a train\nb train\nc some\n', 'a train\na train\nb train\nc train\n'):
    (folder / 'split.txt').write_text(text)
    _refused(folder, 'has to name each clip once')


def test_all_frames_of_a_clip_are_cut_and_mirrored_in_the_same_way():
  rng = np.random.default_rng(0)
  frame = rng.integers(0, 255, (40, 40, 3), np.uint8)
  images, maps = np.stack([frame] * 5), np.zeros((5, 40, 40), np.uint8)
  view = ClipView(View(16, 0.7, 0.3, flip=True))
  cuts = [view.random(images, maps, np.random.default_rng(seed)) for seed in range(6)]
  for cut in cuts:
    assert cut['image'].shape == (5, 16, 16, 3)
    assert (cut['image'] == cut['image'][:1]).all()
  assert (cuts[0]['image'] != cuts[1]['image']).any()
  plain = View(16, 0.7, 0.3, flip=True).random(frame, maps[0], np.random.default_rng(3))
  np.testing.assert_array_equal(cuts[3]['image'][0], plain['image'])
  assert view.fixed(images, maps)['map'].shape == (5, 16, 16)


def test_clips_go_through_the_pipeline_as_pictures_do():
  clips = ProceduralClips(6, 3, 16, seed=4)
  batches = train_dataset(clips, ClipView(View(16)), batch_size=2, seed=0)
  batch = next(iter(batches))
  assert batch['image'].shape == (2, 3, 16, 16, 3)
  assert batch['map'].shape == (2, 3, 16, 16)
  wanted = render_clip(4, int(batch['index'][1]), 3, 16).frames
  np.testing.assert_array_equal(batch['image'][1], wanted)


def test_procedural_clips_keep_what_they_have_drawn():
  clips = ProceduralClips(2, 3, 16)
  assert clips[1]['image'] is clips[1]['image']
  assert clips[1]['image'].shape == (3, 16, 16, 3)
  with pytest.raises(ValueError, match='frames=0 is an empty clip'):
    ProceduralClips(2, 0, 16)
