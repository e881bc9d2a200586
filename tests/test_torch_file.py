"""PyTorch files are read without PyTorch, and hostile or damaged ones are refused."""

import os
import pickle
import zipfile

import numpy as np
import pytest

from anon_jax.nets.frozen import WeightsError
from anon_jax.nets.torch_file import read_tensors

torch = pytest.importorskip('torch', reason='the files to convert are written by torch.save')

FORMATS = pytest.mark.parametrize('new', [True, False], ids=['zip', 'legacy'])
SHAPES = {'features.0.weight': (2, 3), 'features.0.bias': (2,)}


def _nothing(name):
  return False


def _save(state, path, new=True):
  torch.save(state, path, _use_new_zipfile_serialization=new)
  return path


def _small():
  return {
    'features.0.weight': torch.arange(6.0).reshape(2, 3),
    'features.0.bias': torch.tensor([-1.5, 2.0]),
  }


class _Evil:
  """Unpickling this runs a shell command, as pickles may."""

  def __init__(self, marker):
    self.marker = marker

  def __reduce__(self):
    return os.system, (f'touch {self.marker}',)


@FORMATS
def test_tensors_are_read_as_torch_saved_them(tmp_path, new):
  found = read_tensors(_save(_small(), tmp_path / 'a.pth', new), SHAPES, _nothing)
  assert found.keys() == SHAPES.keys()
  np.testing.assert_array_equal(found['features.0.weight'], [[0, 1, 2], [3, 4, 5]])
  np.testing.assert_array_equal(found['features.0.bias'], [-1.5, 2])


@FORMATS
def test_views_of_one_storage_are_read_by_offset_and_stride(tmp_path, new):
  base = torch.arange(12.0)
  state = {'features.0.weight': base[4:10].reshape(3, 2).t(), 'features.0.bias': base[1:9:7]}
  found = read_tensors(_save(state, tmp_path / 'a.pth', new), SHAPES, _nothing)
  np.testing.assert_array_equal(found['features.0.weight'], [[4, 6, 8], [5, 7, 9]])
  np.testing.assert_array_equal(found['features.0.bias'], [1, 8])


@FORMATS
def test_modules_state_and_parameters_are_read(tmp_path, new):
  layer = torch.nn.Linear(3, 2)
  net = torch.nn.Module()
  net.features = torch.nn.Sequential(layer)
  plain = _save(net.state_dict(), tmp_path / 'plain.pth', new)  # carries _metadata
  kept = _save(net.state_dict(keep_vars=True), tmp_path / 'kept.pth', new)  # nn.Parameter
  for path in (plain, kept):
    found = read_tensors(path, SHAPES, _nothing)
    np.testing.assert_array_equal(found['features.0.weight'], layer.weight.detach().numpy())


def test_the_first_tensor_function_of_pytorch_is_read(tmp_path):
  # torchvision's files of 2017 name torch._utils._rebuild_tensor, with four arguments
  raw = _save(_small(), tmp_path / 'a.pth', new=False).read_bytes()
  hooks = raw.count(b'ctorch._utils\n_rebuild_tensor_v2\n')
  assert hooks == 1
  old = raw.replace(b'_rebuild_tensor_v2\n', b'_rebuild_tensor\n')
  (tmp_path / 'a.pth').write_bytes(old)
  found = read_tensors(tmp_path / 'a.pth', SHAPES, _nothing)
  np.testing.assert_array_equal(found['features.0.bias'], [-1.5, 2])


@FORMATS
def test_a_malicious_pickle_is_refused_by_name_and_runs_nothing(tmp_path, new):
  marker = tmp_path / 'ran'
  path = _save({**_small(), 'features.1.weight': _Evil(marker)}, tmp_path / 'evil.pth', new)
  with pytest.raises(WeightsError, match=r"names '(posix|nt)\.system', which is no part of a tens"):
    read_tensors(path, SHAPES, _nothing)
  assert not marker.exists()
  torch.load(path, weights_only=False)  # the file does run its command where pickles are trusted
  assert marker.exists()


@pytest.mark.parametrize('protocol', range(6))
def test_a_malicious_plain_pickle_is_refused_in_every_protocol(tmp_path, protocol):
  marker, path = tmp_path / 'ran', tmp_path / 'evil.pth'
  path.write_bytes(pickle.dumps(_Evil(marker), protocol))
  with pytest.raises(WeightsError, match='is refused'):
    read_tensors(path, SHAPES, _nothing)
  assert not marker.exists()


@pytest.mark.parametrize(
  'program',
  [
    b'cbuiltins\neval\n(X\x03\x00\x00\x001+1tR.',  # a function that is not admitted
    b'(S"1"\nios\nsystem\n.',  # INST
    b'ctorch._utils\n_rebuild_tensor_v2\n}(X\x04\x00\x00\x00nameNub.',  # BUILD on a stand-in
    b'ccollections\nOrderedDict\n)R}(X\x05\x00\x00\x00itemsNub.',  # BUILD over a method
    b'\x80\x02K\x01r\xff\xff\xff\x7f.',  # two billion memo slots
    b'\x80\x02X\xff\xff\xff\xffabc.',  # a text of four gigabytes
    b'K\x01Q.',  # a storage that is no tuple
    b'(' * 100,  # no end
    b'0.',  # nothing to drop
  ],
)
def test_hostile_programs_are_refused(tmp_path, program):
  path = tmp_path / 'evil.pth'
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('archive/data.pkl', program)
  with pytest.raises(WeightsError):
    read_tensors(path, SHAPES, _nothing)


def test_compressed_and_incomplete_archives_are_refused(tmp_path):
  source = _save(_small(), tmp_path / 'a.pth')
  cases = {'compressed': zipfile.ZIP_DEFLATED, 'no entry': None, 'not one that': None}
  for reason, method in cases.items():
    path = tmp_path / 'b.pth'
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, 'w') as new:
      for info in old.infolist():
        dropped = {'no entry': '/data/1', 'not one that': 'data.pkl'}.get(reason)
        if dropped is None or not info.filename.endswith(dropped):
          new.writestr(info.filename, old.read(info), method or zipfile.ZIP_STORED)
    with pytest.raises(WeightsError, match=reason):
      read_tensors(path, SHAPES, _nothing)


def _replace_in_pickle(path, old, new):
  """Changes bytes of a saved file's pickle; an archive is written anew, so that its sums hold."""
  if not zipfile.is_zipfile(path):
    raw = path.read_bytes()
    assert raw.count(old) == 1
    path.write_bytes(raw.replace(old, new))
    return
  with zipfile.ZipFile(path) as archive:
    entries = {info.filename: archive.read(info) for info in archive.infolist()}
  with zipfile.ZipFile(path, 'w') as archive:
    for name, content in entries.items():
      if name.endswith('data.pkl'):
        assert content.count(old) == 1
        content = content.replace(old, new)
      archive.writestr(name, content)


@FORMATS
@pytest.mark.parametrize(
  ('place', 'reason'),
  [
    (b'K\x04K\x04\x85', 'reaches beyond its 7 numbers'),  # offset 4 of 7, four numbers
    (b'K\x07K\x04\x85', 'reaches beyond its 7 numbers'),
    (b'NK\x04\x85', 'a form that is not known|damaged or refused'),  # no offset at all
  ],
)
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(tmp_path, new, place, reason):
  path = _save({'w': torch.arange(7.0)[3:]}, tmp_path / 'a.pth', new)
  assert read_tensors(path, {'w': (4,)}, _nothing)['w'].tolist() == [3, 4, 5, 6]
  _replace_in_pickle(path, b'K\x03K\x04\x85', place)
  with pytest.raises(WeightsError, match=reason):
    read_tensors(path, {'w': (4,)}, _nothing)


@FORMATS
def test_a_storage_that_claims_more_numbers_than_it_has_is_refused(tmp_path, new):
  path = _save({'w': torch.arange(7.0)}, tmp_path / 'a.pth', new)
  # 7 numbers in the storage, offset 0, size (7,), stride (1,), each BININT1 (K)
  _replace_in_pickle(path, b'K\x00K\x07\x85', b'K\x00K\x09\x85')
  with pytest.raises(WeightsError, match=r'w has shape \(9,\) instead of \(7,\)'):
    read_tensors(path, {'w': (7,)}, _nothing)
  with pytest.raises(WeightsError, match='reaches beyond'):
    read_tensors(path, {'w': (9,)}, _nothing)


@FORMATS
def test_wrong_missing_and_extra_tensors_are_all_named(tmp_path, new):
  state = {'features.0.weight': torch.ones(3, 3), 'other': torch.ones(1, dtype=torch.float16)}
  path = _save(state, tmp_path / 'a.pth', new)
  with pytest.raises(WeightsError) as error:
    read_tensors(path, SHAPES, _nothing)
  for part in (
    'features.0.weight has shape (3, 3) instead of (2, 3)',
    'features.0.bias is missing',
    'other is not expected',
  ):
    assert part in str(error.value)
  with pytest.raises(WeightsError, match='other is f2 instead of F32'):
    read_tensors(path, {'other': (1,)}, lambda name: name.startswith('features.'))


@FORMATS
def test_a_file_without_a_state_dict_is_refused(tmp_path, new):
  with pytest.raises(WeightsError, match='holds a list; expected a state dict'):
    read_tensors(_save([torch.ones(1)], tmp_path / 'a.pth', new), SHAPES, _nothing)
  with pytest.raises(WeightsError, match="holds a int under 'epoch'"):
    read_tensors(_save({'epoch': 3}, tmp_path / 'a.pth', new), SHAPES, _nothing)


@FORMATS
def test_truncated_files_are_refused_at_any_length(tmp_path, new):
  raw = _save(_small(), tmp_path / 'a.pth', new).read_bytes()
  path = tmp_path / 'cut.pth'
  for length in sorted({*range(0, len(raw), 7), len(raw) - 1}):
    path.write_bytes(raw[:length])
    with pytest.raises(WeightsError):
      read_tensors(path, SHAPES, _nothing)


@FORMATS
def test_changed_bytes_give_tensors_or_a_weights_error_and_nothing_else(tmp_path, new):
  raw = _save(_small(), tmp_path / 'a.pth', new).read_bytes()
  rng, path, refused = np.random.default_rng(0), tmp_path / 'changed.pth', 0
  for position in rng.choice(len(raw), min(len(raw), 600), replace=False):
    changed = bytearray(raw)
    changed[position] ^= 1 << int(rng.integers(8))
    path.write_bytes(changed)
    try:
      found = read_tensors(path, SHAPES, _nothing)
    except WeightsError as error:
      assert str(path) in str(error)
      refused += 1
    else:
      assert {name: value.shape for name, value in found.items()} == SHAPES
  assert refused > 50


def test_files_of_other_kinds_are_refused(tmp_path):
  path = tmp_path / 'a.pth'
  for content, reason in [
    (b'', 'is empty'),
    (b'<html>404 Not Found</html>', 'not a PyTorch file'),
    (pickle.dumps({'a': 1}, 2), 'not one that torch.save writes'),
  ]:
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=reason):
      read_tensors(path, SHAPES, _nothing)
  with pytest.raises(WeightsError, match='No such file'):
    read_tensors(tmp_path / 'absent.pth', SHAPES, _nothing)
