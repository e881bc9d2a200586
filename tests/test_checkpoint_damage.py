"""Damaged checkpoints: every damage is found, named, set aside, and the one before it is used."""

import pathlib
import shutil
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from orbax.checkpoint import CompositeCheckpointHandler

from anon_jax import checkpoints, optim, train
from anon_jax.checkpoints import Best, CheckpointError, Checkpoints, DamagedError, manifest
from anon_jax.data import pipeline
from anon_jax.state import TrainState

_TX = optax.adam(0.1)


class Shades:
  """Eight flat pictures."""

  def __len__(self):
    return 8

  def __getitem__(self, index):
    image = np.full((16, 16, 3), 30 * index, np.uint8)
    return {'image': image, 'map': image[..., 0] % 8, 'identity': index}


def _iterator():
  return iter(pipeline.train_dataset(Shades(), pipeline.View(16), batch_size=4, seed=1, threads=1))


def _state(step, shape=(64, 32), dtype=jnp.float32, name='w'):
  """A state all of whose numbers tell its step."""
  params = {name: jnp.full(shape, step + 0.5, dtype), 'b': jnp.full((3,), step, jnp.float32)}
  return TrainState(
    step=jnp.full((), step, jnp.int32),
    key=jax.random.key(step),
    nets={'generator': optim.new_net(params, _TX)},
    ema={'generator': optim.copy(params)},
  )


def _arrays(state):
  return jax.device_get(state.replace(key=jax.random.key_data(state.key)))


def _same(first, second):
  jax.tree.map(np.testing.assert_array_equal, _arrays(first), _arrays(second))


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
  """Steps 2, 4 and 6, each after as many batches."""
  folder = tmp_path_factory.mktemp('saved') / 'checkpoints'
  data = _iterator()
  with Checkpoints(folder, 5) as store:
    for step in (2, 4, 6):
      next(data), next(data)
      store.save(step, _state(step), data)
  return folder


@pytest.fixture
def folder(saved, tmp_path):
  return pathlib.Path(shutil.copytree(saved, tmp_path / 'checkpoints'))


def _files(path):
  return sorted(p for p in path.rglob('*') if p.is_file())


# The files that a checkpoint has, whatever their random names are: a place is taken modulo.
def _file(path, place):
  files = _files(path)
  return files[place % len(files)]


def _flip(path, place):
  file = _file(path, place)
  content = bytearray(file.read_bytes())
  bit = (place * 7919) % (8 * len(content))
  content[bit // 8] ^= 1 << (bit % 8)
  file.write_bytes(content)
  return file


def _zero(path, place):
  file = _file(path, place)
  content = bytearray(file.read_bytes())
  start = (place * 31) % max(len(content) // 2, 1)
  block = bytes(min(4096, len(content) - start))
  assert content[start : start + len(block)] != block, 'nothing would change'
  content[start : start + len(block)] = block
  file.write_bytes(content)
  return file


def _cut(path, place):
  file = _file(path, place)
  content = file.read_bytes()
  file.write_bytes(content[: len(content) // 2])
  return file


def _delete(path, place):
  file = _file(path, place)
  file.unlink()
  return file


def _swap(path, place):
  """Exchanges two files of different content within the checkpoint."""
  files = _files(path)
  first = files[place % len(files)]
  second = next(
    f for f in files[place % len(files) :] + files if f.read_bytes() != first.read_bytes()
  )
  content = first.read_bytes()
  first.write_bytes(second.read_bytes())
  second.write_bytes(content)
  return first


def _swap_with_older(path, place):
  """Puts in the file of the checkpoint before it that has the same place."""
  files, older = _files(path), _files(path.with_name('4'))
  pairs = [
    (new, old)
    for new, old in zip(files, older, strict=False)
    if new.read_bytes() != old.read_bytes()
  ]
  new, old = pairs[place % len(pairs)]
  shutil.copyfile(old, new)
  return new


_INJECTIONS = [
  (damage, place)
  for damage, count in (
    (_flip, 16),
    (_zero, 13),
    (_cut, 13),
    (_delete, 13),
    (_swap, 8),
    (_swap_with_older, 6),
  )
  for place in range(count)
]


@pytest.mark.parametrize(('damage', 'place'), _INJECTIONS)
def test_any_damage_is_named_and_the_checkpoint_before_it_is_used(folder, capfd, damage, place):
  file = damage(folder / '6', place)
  data, expected = _iterator(), _iterator()
  with Checkpoints(folder, 5) as store:
    restored, step = store.restore_newest(_state(0), data, set_aside=True)
  assert step == 4
  _same(restored, _state(4))
  for _ in range(4):
    next(expected)
  np.testing.assert_array_equal(next(data)['index'], next(expected)['index'])
  (line,) = capfd.readouterr().err.strip().splitlines()
  assert line.startswith(f'anon_jax: {folder}/6 is damaged (')
  assert str(file.relative_to(folder / '6')) in line
  assert line.endswith('set aside as 6.damaged.')
  assert sorted(p.name for p in folder.iterdir()) == ['2', '4', '6.damaged']


def test_at_least_fifty_damages_are_injected():
  assert len(_INJECTIONS) >= 50


def test_the_undamaged_checkpoint_is_used_without_a_word(folder, capfd):
  with Checkpoints(folder, 5) as store:
    restored, step = store.restore_newest(_state(0), _iterator(), set_aside=True)
  assert step == 6
  _same(restored, _state(6))
  assert capfd.readouterr().err == ''


def test_two_damaged_ones_are_both_set_aside_and_never_chosen_again(folder, capfd):
  _flip(folder / '6', 3)
  _delete(folder / '4', 5)
  for _ in range(2):
    with Checkpoints(folder, 5) as store:
      assert store.restore_newest(_state(0), set_aside=True)[1] == 2
  assert len(capfd.readouterr().err.strip().splitlines()) == 2  # by the first time only
  assert sorted(p.name for p in folder.iterdir()) == ['2', '4.damaged', '6.damaged']


def test_where_none_is_whole_one_error_says_so_now_and_later(folder):
  for step in ('2', '4', '6'):
    _cut(folder / step, 4)
  for _ in range(2):
    message = r'no checkpoint that is whole; 2\.damaged, 4\.damaged'
    with Checkpoints(folder, 5) as store, pytest.raises(CheckpointError, match=message):
      store.restore_newest(_state(0), set_aside=True)


def test_who_only_reads_leaves_the_damaged_one_where_it_is(folder, capfd):
  _flip(folder / '6', 2)
  with Checkpoints(folder, 5) as store:
    assert store.restore_newest(_state(0))[1] == 4
  assert 'is damaged' in capfd.readouterr().err
  assert (folder / '6').is_dir()


def test_a_checkpoint_under_the_name_of_another_step_is_damaged(folder):
  (folder / '6').rename(folder / '8')
  message = r'MANIFEST.sha256 is not what was written for step 8'
  with Checkpoints(folder, 5) as store, pytest.raises(DamagedError, match=message):
    store.restore(8, _state(0))


def test_a_second_damage_of_a_step_gets_a_name_of_its_own(folder):
  shutil.copytree(folder / '6', folder / '6.damaged')
  _flip(folder / '6', 1)
  with Checkpoints(folder, 5) as store:
    store.restore_newest(_state(0), set_aside=True)
  assert (folder / '6.damaged-2').is_dir()


def _as_before_manifests(path):
  (path / manifest.NAME).unlink()
  metadata = path / '_CHECKPOINT_METADATA'
  metadata.write_text(metadata.read_text().replace('"manifest": "MANIFEST.sha256"', ''))


def test_a_checkpoint_from_before_manifests_is_read_with_a_line_that_says_so(folder, capfd):
  _as_before_manifests(folder / '6')
  with Checkpoints(folder, 5) as store:
    restored, step = store.restore_newest(_state(0), _iterator(), set_aside=True)
  assert step == 6
  _same(restored, _state(6))
  (line,) = capfd.readouterr().err.strip().splitlines()
  assert 'checkpoints/6 was written without a manifest; it cannot be verified' in line


@pytest.mark.parametrize(
  ('asked', 'message'),
  [
    ({'dtype': jnp.bfloat16}, r'w is float32\[64, 32\] there and bfloat16\[64, 32\] here'),
    ({'shape': (64, 33)}, r'w is float32\[64, 32\] there and float32\[64, 33\] here'),
    ({'name': 'v'}, r'v is absent there and float32\[64, 32\] here'),
  ],
)
def test_other_types_shapes_and_names_are_refused_and_nothing_is_set_aside(folder, asked, message):
  with Checkpoints(folder, 5) as store, pytest.raises(CheckpointError, match=message):
    store.restore_newest(_state(0, **asked), set_aside=True)
  assert sorted(p.name for p in folder.iterdir()) == ['2', '4', '6']


def test_the_manifest_can_be_checked_by_sha256sum(folder):
  done = subprocess.run(
    ['sha256sum', '--check', '--strict', '--quiet', manifest.NAME], cwd=folder / '6', check=False
  )
  assert done.returncode == 0


def test_what_a_killed_process_left_is_no_checkpoint_and_goes_with_the_next_save(folder):
  for name in ('8.part', '8.part.orbax-checkpoint-tmp', '0.removed', '8.orbax-checkpoint-tmp'):
    shutil.copytree(folder / '6', folder / name)
  with Checkpoints(folder, 5) as store:
    assert store.restore_newest(_state(0), set_aside=True)[1] == 6
    store.save(8, _state(8), _iterator())
  assert sorted(p.name for p in folder.iterdir()) == ['2', '4', '6', '8']


def _scores(value):
  return {'eval/psnr': value, 'eval/l1': -value}


@pytest.mark.parametrize(
  ('best', 'left'),
  [
    (Best(), ['4', '5']),
    (Best('eval/psnr', highest=True), ['2', '4', '5']),
    (Best('eval/l1'), ['2', '4', '5']),
    (Best('eval/psnr'), ['1', '4', '5']),
    (Best('eval/ssim'), ['4', '5']),
  ],
)
def test_the_newest_and_the_best_are_kept(tmp_path, best, left):
  data = _iterator()
  scores = {1: _scores(1.0), 2: _scores(9.0), 3: None, 4: _scores(3.0), 5: None}
  with Checkpoints(tmp_path / 'kept', 2, best) as store:
    for step, given in scores.items():
      store.save(step, _state(step), data, given)
  assert sorted(p.name for p in (tmp_path / 'kept').iterdir()) == left
  with Checkpoints(tmp_path / 'kept', 2, best) as store:
    for step in left:
      _same(store.restore(int(step), _state(0)), _state(int(step)))


def test_a_visible_step_always_has_its_manifest(tmp_path, monkeypatch):
  """The rename comes after the manifest, and after all hashes."""
  seen = []
  whole = pathlib.Path.rename

  def rename(self, target):
    if self.name == '3.part':
      seen.append(manifest.examine(self, 3))
    return whole(self, target)

  monkeypatch.setattr(pathlib.Path, 'rename', rename)
  with Checkpoints(tmp_path, 2) as store:
    store.save(3, _state(3), _iterator())
  assert seen == [manifest.Verdict((), verified=True)]


def _full(*_, **__):
  raise OSError(28, 'No space left on device')


@pytest.mark.parametrize('where', ['manifest', 'orbax', 'scores'])
def test_a_full_disk_fails_the_run_and_leaves_the_last_checkpoint_whole(
  folder, monkeypatch, where, capfd
):
  store = Checkpoints(folder, 1)
  if where == 'manifest':
    monkeypatch.setattr(manifest.os, 'fsync', _full)
  elif where == 'scores':
    monkeypatch.setattr(checkpoints.store.folders, 'write_scores', _full)
  else:
    monkeypatch.setattr(CompositeCheckpointHandler, 'finalize', _full)  # in Orbax's thread
  store.save(8, _state(8), _iterator(), {'eval/l1': 1.0})
  with pytest.raises(
    CheckpointError, match=r'/8 could not be saved .*No space left.*step 6 is unt'
  ):
    store.wait()
  monkeypatch.undo()
  store.close()
  assert not (folder / '8').exists()
  with Checkpoints(folder, 1) as again:
    assert again.restore_newest(_state(0), set_aside=True)[1] == 6
    again.save(8, _state(8), _iterator())  # there is room again
  assert sorted(p.name for p in folder.iterdir()) == ['8']


@pytest.mark.parametrize('when', ['next save', 'close', 'end of with'])
def test_a_failed_save_is_raised_at_the_latest_at_the_end(tmp_path, monkeypatch, when):
  monkeypatch.setattr(manifest, 'write', _full)
  store = Checkpoints(tmp_path, 2)
  store.save(1, _state(1), _iterator())
  with pytest.raises(CheckpointError, match=r'/1 could not be saved'):
    if when == 'next save':
      store.save(2, _state(2), _iterator())
    elif when == 'close':
      store.close()
    else:
      with store:
        pass


def test_another_error_is_not_hidden_by_a_failed_save(tmp_path, monkeypatch, capfd):
  monkeypatch.setattr(manifest, 'write', _full)
  with pytest.raises(train.Diverged), Checkpoints(tmp_path, 2) as store:
    store.save(1, _state(1), _iterator())
    raise train.Diverged('first')
  assert '/1 could not be saved' in capfd.readouterr().err
