"""The manifest: strict JSON about every input and face, and no more trusted than it deserves."""

import json
import os
import pathlib

import numpy as np
import pytest

from anon_jax.inference import manifest
from anon_jax.inference.decisions import Decision
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.faces import Face
from anon_jax.inference.manifest import Entry

SETTINGS = {'method': 'fill', 'trust': 0.4}
FACE = Face((1.26, 2, 30.04, 40), 0.91238)


def _done(folder: pathlib.Path, name: str = 'a', **changes) -> Entry:
  """An entry of a picture that was written, with its files."""
  source, target = folder / f'{name}.jpg', folder / 'out' / f'{name}.jpg'
  target.parent.mkdir(exist_ok=True)
  source.write_bytes(b'source ' + name.encode())
  target.write_bytes(b'target ' + name.encode())
  entry = Entry(source, target, 'anonymized', True, frames=1, faces=[[Decision(FACE, 'filled')]])
  entry.source_sha256, entry.target_sha256 = map(manifest.sha256_of, (source, target))
  for field, value in changes.items():
    setattr(entry, field, value)
  return entry


def _save(folder: pathlib.Path, *records, key: bytes | None = None, **changes) -> pathlib.Path:
  """Writes a manifest of records, with changes to its topmost fields."""
  text = manifest.write_up([], [], [], SETTINGS, manifest.key_check(key))
  path = folder / 'manifest.json'
  path.write_text(json.dumps(json.loads(text) | {'inputs': records} | changes))
  return path


def test_a_record_has_every_face_of_every_frame_with_its_decision(tmp_path):
  decisions = [
    [Decision(FACE, 'filled', 'score below 0.4'), Decision(FACE, 'synthesized', '', 0.12344, 2)],
    [],
    [Decision(FACE, 'filled', 'x', float('nan'), 4)],
  ]
  record = _done(tmp_path, faces=decisions, frames=3).record()
  box = [1.3, 2.0, 30.0, 40.0]
  face = {'frame': 0, 'box': box, 'score': 0.9124, 'action': 'filled', 'similarity': None}
  assert record['faces'] == [
    {**face, 'reason': 'score below 0.4', 'draws': 0},
    {**face, 'reason': '', 'draws': 2, 'action': 'synthesized', 'similarity': 0.1234},
    {**face, 'reason': 'x', 'draws': 4, 'frame': 2},  # NaN is none of JSON's numbers
  ]
  assert manifest.has_frame_without_face(record)
  assert not manifest.has_frame_without_face(_done(tmp_path).record())


def test_numbers_of_numpy_become_numbers_of_json(tmp_path):
  box = tuple(np.float32(v) for v in (1, 2, 3, 4))
  decision = Decision(Face(box, np.float32(0.5)), 'filled', '', np.float32(0.25))
  text = manifest.write_up([_done(tmp_path, faces=[[decision]]).record()], [], [], {})
  (face,) = json.loads(text)['inputs'][0]['faces']
  assert (face['box'], face['score'], face['similarity']) == ([1, 2, 3, 4], 0.5, 0.25)


def test_names_of_any_bytes_are_written_as_printable_text():
  name = pathlib.Path(os.fsdecode(b'a\n\x1b[31m\xff.jpg'))
  text = manifest.write_up([Entry(name, name).record()], [(name, 'r')], [(name, 'i')], SETTINGS)
  content = json.loads(text.encode())
  expected = r'a\n\x1b[31m\xff.jpg'
  assert content['inputs'][0]['source'] == content['inputs'][0]['target'] == expected
  assert content['refused'] == [{'path': expected, 'reason': 'r'}]
  assert content['ignored'] == [{'path': expected, 'reason': 'i'}]
  assert content['settings'] == SETTINGS


def test_a_run_goes_on_from_one_with_the_same_settings_key_and_version_only(tmp_path):
  record = _done(tmp_path).record()
  found = {record['target']: record}
  path = _save(tmp_path, record)
  assert manifest.resumable(path, SETTINGS) == found
  assert manifest.resumable(path, SETTINGS | {'trust': 0.5}) == {}
  assert manifest.resumable(path, SETTINGS, b'key') == {}
  assert manifest.resumable(tmp_path / 'missing.json', SETTINGS) == {}
  path = _save(tmp_path, record, key=b'key')
  assert manifest.resumable(path, SETTINGS, b'key') == found
  assert manifest.resumable(path, SETTINGS, b'Key') == {}
  assert manifest.resumable(path, SETTINGS) == {}
  assert manifest.resumable(_save(tmp_path, record, anon_jax='0.0.9'), SETTINGS) == {}


def test_what_is_kept_of_a_key_neither_shows_nor_links_it():
  first, second = manifest.key_check(b'secret'), manifest.key_check(b'secret')
  assert first != second
  assert set(first) <= set('0123456789abcdef:')
  assert manifest.key_check(None) == ''


@pytest.mark.parametrize(
  'content',
  [
    b'',
    b'{',
    b'[]',
    b'7',
    b'null',
    b'{"inputs": []}',
    b'\xff\xd8\xff\xe0',
    b'[' * 100_000,
    b'{"anon_jax": "0.1.0", "settings": {}, "inputs": 3, "key_check": ""}',
    b'{"anon_jax": "0.1.0", "settings": {}, "inputs": [], "key_check": "zz:00"}',
    b'{"anon_jax": "0.1.0", "settings": {}, "inputs": [], "key_check": 5}',
  ],
  ids=range(11),
)
def test_a_file_that_is_no_manifest_is_refused_and_stays(tmp_path, content):
  path = tmp_path / 'manifest.json'
  path.write_bytes(content)
  with pytest.raises(
    InferenceError, match=r'manifest\.json is no manifest .*name another'
  ) as error:
    manifest.resumable(path, {})
  assert '\n' not in str(error.value)
  assert path.read_bytes() == content


def test_a_folder_and_what_is_too_large_are_no_manifests(tmp_path, monkeypatch):
  with pytest.raises(InferenceError, match='is no manifest of this command'):
    manifest.resumable(tmp_path, SETTINGS)
  path = _save(tmp_path)
  monkeypatch.setattr(manifest, '_MOST_BYTES', 10)
  with pytest.raises(InferenceError, match='it is too large'):
    manifest.resumable(path, SETTINGS)


@pytest.mark.parametrize(
  'change',
  [
    {'written': False},
    {'written': 1},
    {'status': 'refused'},
    {'status': None},
    {'target': 5},
    {'frames': '1'},
    {'faces': None},
    {'faces': [3]},
    {'faces': [{'frame': []}]},
    {'source_sha256': None},
    {'target_sha256': 7},
  ],
  ids=str,
)
def test_a_record_that_is_not_as_it_was_written_is_done_again(tmp_path, change):
  good, bad = _done(tmp_path, 'a').record(), _done(tmp_path, 'b').record() | change
  path = _save(tmp_path, 3, good, bad)
  assert manifest.resumable(path, SETTINGS) == {good['target']: good}
  del bad[next(iter(change))]
  assert manifest.resumable(_save(tmp_path, good, bad), SETTINGS) == {good['target']: good}


def test_a_record_holds_while_source_and_target_are_the_same_bytes(tmp_path):
  entry = _done(tmp_path)
  source, target, record = entry.source, entry.target, entry.record()
  assert manifest.still_there(record, source, target)
  for path in (source, target):
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b'!')
    assert not manifest.still_there(record, source, target)
    path.unlink()
    assert not manifest.still_there(record, source, target)
    path.write_bytes(content)
  assert manifest.still_there(record, source, target)


@pytest.mark.parametrize('name', ['source_sha256', 'target_sha256'])
def test_a_hash_that_is_missing_is_equal_to_nothing(tmp_path, name):
  entry = _done(tmp_path)
  (entry.source if name == 'source_sha256' else entry.target).unlink()
  assert not manifest.still_there(entry.record() | {name: ''}, entry.source, entry.target)


def test_a_link_to_another_picture_is_another_source(tmp_path):
  entry = _done(tmp_path)
  link = tmp_path / 'link.jpg'
  link.symlink_to(entry.source)
  assert manifest.still_there(entry.record(), link, entry.target)
  entry.source.write_bytes(b'another')
  assert not manifest.still_there(entry.record(), link, entry.target)


def test_what_was_done_in_place_is_known_by_its_target(tmp_path):
  entry = _done(tmp_path)
  record = entry.record() | {'source_sha256': '00'}
  assert manifest.still_there(record, entry.target, entry.target)
  entry.target.write_bytes(b'new')
  assert not manifest.still_there(record, entry.target, entry.target)


def test_an_earlier_record_holds_until_its_input_is_reached(tmp_path):
  earlier = _done(tmp_path).record()
  entry = Entry(tmp_path / 'a.jpg', tmp_path / 'out' / 'a.jpg', earlier=earlier)
  assert entry.record() == earlier
  assert not entry.written
  entry.status = 'refused'
  assert (entry.record()['status'], entry.record()['written']) == ('refused', False)
  entry = Entry(entry.source, entry.target, earlier=earlier)
  entry.resume()
  assert entry.record() == earlier
  assert entry.written


def test_hashes_are_those_of_regular_files_that_are_small_enough(tmp_path):
  path = tmp_path / 'a'
  path.write_bytes(b'abc')
  assert manifest.sha256_of(path).startswith('ba7816bf8f01cfea')
  assert manifest.sha256_of(path, 3) == manifest.sha256_of(path)
  os.mkfifo(tmp_path / 'fifo')
  nothing = [(path, 2), (tmp_path, None), (tmp_path / 'none', None), (tmp_path / 'fifo', None)]
  assert [manifest.sha256_of(*given) for given in nothing] == [''] * 4
