"""A run that was broken off goes on: what is there stays byte for byte, the rest is done."""

import json

import numpy as np
import pytest
import test_files
from PIL import Image
from test_files import RED, detect, picture

from anon_jax.inference.anonymizer import Anonymizer

# the fixtures of that file
reader, photos, run = test_files.reader, test_files.photos, test_files.run


def _rewritten(folder, before=None):
  """Returns the names of files that are not the very same as before, and what tells that."""
  status = {path.name: path.stat() for path in folder.iterdir()}
  stamps = {name: (found.st_ino, found.st_mtime_ns) for name, found in status.items()}
  return {name for name in stamps if stamps[name] != (before or {}).get(name)}, stamps


def test_what_is_there_is_skipped_whatever_else_has_changed_is_done_again(run, photos, tmp_path):
  run()
  out = tmp_path / 'out'
  first = {path.name: path.read_bytes() for path in out.iterdir()}
  _, stamps = _rewritten(out)
  report, records = run()
  assert (report.resumed, report.complete) == (4, True)
  assert _rewritten(out, stamps)[0] == set()
  assert [len(record['faces']) for record in records.values()] == [1] * 4
  Image.fromarray(picture(seed=9)).save(photos / 'a.png')
  (out / 'b.png').write_bytes(first['b.png'][:-1])
  (out / 'c.png').unlink()
  _, stamps = _rewritten(out)
  report, _ = run()
  assert (report.resumed, report.complete) == (1, True)
  rewritten, _ = _rewritten(out, stamps)
  assert rewritten == {'a.png', 'b.png', 'c.png'}
  second = {path.name: path.read_bytes() for path in out.iterdir()}
  assert {name for name in first if first[name] != second[name]} == {'a.png'}


@pytest.mark.parametrize(
  ('before', 'after', 'resumed'),
  [
    ({}, {'settings': {'method': 'blur'}}, 0),
    ({'key': b'one'}, {'key': b'two'}, 0),
    ({'key': b'one'}, {}, 0),
    ({}, {'key': b'one'}, 0),
    ({'key': b'one'}, {'key': b'one'}, 4),
    ({}, {'allow_no_faces': True}, 4),
  ],
  ids=str,
)
def test_other_settings_and_other_keys_do_everything_again(run, before, after, resumed):
  run(**before)
  report, _ = run(**after)
  assert (report.resumed, report.complete) == (resumed, True)


def test_a_run_that_is_broken_off_says_what_it_did_not_reach(run, tmp_path):
  count = []

  def interrupt(image):
    count.append(1)
    if len(count) == 3:
      raise KeyboardInterrupt
    return detect(image)

  report, records = run(detector=interrupt, batch_faces=1)
  assert (report.interrupted, report.complete) == (True, False)
  done, left = ('anonymized', True), ('not reached', False)
  assert [(r['status'], r['written']) for r in records.values()] == [done, done, left, left]
  _, stamps = _rewritten(tmp_path / 'out')
  report, records = run()
  assert (report.interrupted, report.complete, report.resumed) == (False, True, 2)
  assert _rewritten(tmp_path / 'out', stamps)[0] == {'c.png', 'd.png'}
  assert [(r['status'], r['written']) for r in records.values()] == [done] * 4


def test_a_second_interruption_does_not_forget_what_the_first_run_did(run, photos, tmp_path):
  run()
  Image.fromarray(picture(seed=9)).save(photos / 'a.png')

  def interrupt(image):
    raise KeyboardInterrupt

  report, records = run(detector=interrupt)
  assert report.interrupted
  assert [record['status'] for record in records.values()] == ['anonymized'] * 4
  report, _ = run()
  assert (report.resumed, report.complete) == (3, True)  # all but the one that has changed


def test_an_output_that_nobody_wrote_is_replaced_or_named(run, photos, tmp_path):
  (tmp_path / 'out').mkdir()
  for name in ('a.png', 'b.png'):
    (tmp_path / 'out' / name).write_bytes(b'from before')
  (photos / 'b.png').write_bytes(b'no picture')
  _, records = run()
  assert test_files.is_covered(tmp_path / 'out' / 'a.png')
  assert f'(an older {tmp_path}/out/b.png is still there)' in records['b.png']['message']
  assert (tmp_path / 'out' / 'b.png').read_bytes() == b'from before'


def test_what_was_done_in_place_is_not_done_twice(run, photos):
  report, _ = run(in_place=True)
  assert report.complete
  assert all(test_files.is_covered(path) for path in photos.iterdir())
  _, stamps = _rewritten(photos)
  Image.fromarray(picture(seed=7)).save(photos / 'e.png')
  report, _ = run(in_place=True)
  # a second look would find no face in them, and refuse them
  assert (report.resumed, report.complete) == (4, True)
  assert _rewritten(photos, stamps)[0] == {'e.png'}


def test_a_refusal_in_place_does_not_call_the_input_an_older_output(run, photos):
  pixels = picture(test_files.GREEN)
  Image.fromarray(pixels).save(photos / 'b.png')
  _, records = run(in_place=True)
  assert records['b.png']['status'] == 'no face'
  assert 'older' not in records['b.png']['message']
  with Image.open(photos / 'b.png') as image:
    np.testing.assert_array_equal(np.asarray(image), pixels)


def test_a_source_behind_a_link_is_followed_and_watched(run, photos, tmp_path):
  (photos / 'e.png').symlink_to('a.png')
  report, records = run()
  assert report.complete
  assert records['e.png']['source_sha256'] == records['a.png']['source_sha256'] != ''
  Image.fromarray(picture(seed=9)).save(photos / 'a.png')
  report, _ = run()
  assert report.resumed == 3
  made = [(tmp_path / 'out' / name).read_bytes() for name in ('a.png', 'e.png')]
  assert made[0] == made[1]


def test_faces_are_told_apart_by_the_files_name_and_the_frame(run, photos):
  test_files.animation(photos / 'x.gif', [RED, RED])
  names = []

  class Noting:
    detect = staticmethod(detect)

    def anonymize_many(self, requests):
      names.extend(request.name for request in requests)
      return Anonymizer(detect, method='fill').anonymize_many(requests)

  run(anonymizer=Noting())
  assert names == ['a.png 0', 'b.png 0', 'c.png 0', 'd.png 0', 'x.gif 0', 'x.gif 1']


def test_of_a_key_the_manifest_has_nothing(run, tmp_path):
  run(key=b'my-secret-key')
  text = (tmp_path / 'manifest.json').read_text()
  assert 'my-secret-key' not in text
  assert b'my-secret-key'.hex() not in text
  assert json.loads(text)['key_check']
