"""Photographs on the page, over HTTP: nothing is given out that a face may show in unasked."""

import contextlib
import hashlib

import numpy as np
import pytest
from running_page import RED, encoded, engine, pixels, running

from anon_jax.inference import covering
from anon_jax.inference.errors import InferenceError
from anon_jax.inference.faces import Face
from anon_jax.serving.asking import Asked, settled

NEW = (1, 200, 2)
BOX = [40.0, 30.0, 80.0, 70.0]


@pytest.fixture(scope='module')
def page(tmp_path_factory):
  with running(tmp_path_factory.mktemp('pictures')) as client:
    yield client


@pytest.fixture
def photo(page):
  own = page.upload(encoded(pixels()))
  yield own
  page.ask('POST', '/forget', {'id': own})


def _shown(picture, colour):
  return int((picture == colour).all(-1).sum())


def test_a_face_is_found_and_replaced_and_the_manifest_tells_of_it(page, photo):
  told = page.anonymize(photo, 'synthesize')
  assert (told['state'], told['kind'], told['size']) == ('done', 'picture', [120, 90])
  (face,) = told['faces']
  assert (face['box'], face['score'], face['action'], face['by']) == (
    BOX,
    0.87,
    'synthesized',
    'found',
  )
  result = page.result(photo)
  assert not _shown(result, RED)
  assert _shown(result, NEW) > 800
  record = page.manifest(photo)
  assert (record['source'], record['target']) == ('photo.png', 'photo_anonymized.png')
  assert record['status'] == 'anonymized'
  assert record['faces'] == told['faces']
  assert record['source_sha256'] == hashlib.sha256(encoded(pixels())).hexdigest()


@pytest.mark.parametrize('method', ['fill', 'pixelate', 'blur'])
def test_each_method_covers_the_face(page, photo, method):
  told = page.anonymize(photo, method)
  actions = {'fill': 'filled', 'pixelate': 'pixelated', 'blur': 'blurred'}
  assert told['faces'][0]['action'] == actions[method]
  result = page.result(photo)
  assert (result != pixels()).any()
  if method == 'fill':
    assert (result[30:70, 40:80] == covering.FILL).all()


def test_a_result_is_withdrawn_as_soon_as_another_one_is_asked_for(page, photo):
  page.anonymize(photo)
  assert page.ask('GET', f'/result?id={photo}')[0] == 200
  status, told = page.told('POST', '/anonymize', {'id': photo, 'method': 'blur', 'identity': ''})
  assert (status, told['state'] in ('waiting', 'working')) == (202, True)
  page.wait(photo)
  assert page.manifest(photo)['faces'][0]['action'] == 'blurred'


def test_a_picture_without_a_face_is_not_given_out_until_somebody_confirms_that(page):
  own = page.upload(encoded(pixels(face=False)))
  told = page.anonymize(own)
  assert told['state'] == 'no face'
  assert 'confirm that none shows' in told['message']
  for path in ('/result', '/manifest', '/after'):
    assert page.ask('GET', f'{path}?id={own}')[0] == 409
  assert page.anonymize(own, faces=[], no_face='yes')['state'] == 'no face'  # true and nothing else
  assert page.anonymize(own, faces=[], no_face=True)['state'] == 'done'
  np.testing.assert_array_equal(page.result(own), pixels(face=False))
  record = page.manifest(own)
  assert (record['status'], record['faces']) == ('no face', [])
  assert 'confirmed' in record['message']


def test_a_box_drawn_in_a_picture_without_a_face_is_covered(page):
  own = page.upload(encoded(pixels(face=False)))
  page.anonymize(own)
  told = page.anonymize(own, faces=[{'found': None, 'box': [10, 10, 40, 40]}])
  assert [(face['by'], face['action']) for face in told['faces']] == [('drawn', 'filled')]
  assert (page.result(own)[10:40, 10:40] == covering.FILL).all()


def test_a_face_is_kept_by_a_confirmation_and_the_manifest_says_so(page, photo):
  page.anonymize(photo)
  kept = [{'found': 0, 'box': None, 'kept': True}]
  told = page.anonymize(photo, faces=kept, consent=[0])
  assert told['faces'][0]['action'] == 'kept'
  np.testing.assert_array_equal(page.result(photo), pixels())
  record = page.manifest(photo)
  assert (record['status'], record['faces'][0]['reason']) == ('kept', 'by choice')


@pytest.mark.parametrize(
  ('more', 'match'),
  [
    ({'faces': []}, 'each has to be replaced or kept'),
    ({'faces': [], 'no_face': True}, 'each has to be replaced or kept'),
    ({'faces': [{'found': 0}, {'found': 0}]}, 'each has to be replaced or kept'),
    ({'faces': [{'found': 1}]}, 'each has to be replaced or kept'),
    ({'faces': [{'found': True}]}, 'each has to be replaced or kept'),
    ({'faces': [{'found': 0, 'kept': True}]}, 'without a confirmation'),
    ({'faces': [{'found': 0, 'kept': True}], 'consent': [1]}, 'without a confirmation'),
    ({'faces': [{'found': 0}], 'consent': [0]}, 'without a confirmation'),
    ({'faces': [{'found': 0, 'kept': 1}], 'consent': [0]}, 'neither true nor false'),
    ({'faces': [{'found': 0}, {'box': BOX, 'kept': True}], 'consent': [1]}, 'remove its box'),
    ({'faces': [{'found': 0, 'box': [0, 0, 20, 20]}]}, 'no longer covers'),
    ({'faces': [{'found': 0, 'box': [55, 45, 65, 55]}]}, 'no longer covers'),
    ({'faces': [{'found': 0, 'box': [1, 2, 3]}]}, 'no four numbers'),
    ({'faces': [{'found': 0, 'box': [1, 2, 'x', 4]}]}, 'no four numbers'),
    ({'faces': [{'found': 0, 'box': [1, 2, 10**400, 4]}]}, 'no four numbers'),
    ({'faces': [{'found': 0, 'box': [40, 30, float('nan'), 70]}]}, 'no four numbers'),
    ({'faces': [{'found': 0}, {'box': [500, 500, 600, 600]}]}, 'outside of the picture'),
    ({'faces': [{'found': 0}, {'box': [10, 10, 12, 40]}]}, 'smaller than 4 pixels'),
    ({'faces': 7}, 'no list'),
    ({'faces': [3]}, 'no list'),
    ({'faces': [{'found': 0}], 'consent': ['0']}, 'no list of numbers'),
    ({'faces': [{'found': 0}] * 400}, '400 faces are too many'),
    ({'method': 'nothing'}, 'not to be had'),
    ({'method': ['fill']}, 'not to be had'),
    ({'method': 'synthesize', 'identity': '20'}, 'control identities 0 to 19'),
    ({'method': 'synthesize', 'identity': 'x'}, 'no control identity'),
    ({'method': 'synthesize', 'identity': 7}, 'no short text'),
  ],
)
def test_what_would_uncover_a_face_or_cannot_be_read_is_refused(page, photo, more, match):
  page.anonymize(photo)
  status, told = page.told('POST', '/anonymize', {'id': photo, 'method': 'fill', **more})
  assert status == 400
  assert match in told['error']
  assert page.told('GET', f'/state?id={photo}')[1]['state'] == 'done'  # as it was


def test_a_box_is_corrected_and_the_manifest_has_both(page, photo):
  page.anonymize(photo)
  told = page.anonymize(photo, faces=[{'found': 0, 'box': [35, 25, 90, 75]}])
  (face,) = told['faces']
  assert (face['by'], face['box'], face['found_box']) == ('corrected', [35, 25, 90, 75], BOX)
  assert face['score'] == 1
  assert (page.result(photo)[25:75, 35:90] == covering.FILL).all()


def test_boxes_that_reach_beyond_the_picture_end_at_its_border(page, photo):
  page.anonymize(photo)
  told = page.anonymize(photo, faces=[{'found': 0}, {'box': [100, 60, 999, 999]}])
  assert told['faces'][1]['box'] == [100, 60, 120, 90]


def test_faces_are_not_given_before_the_picture_has_been_searched(page, photo):
  body = {'id': photo, 'method': 'fill', 'faces': []}
  status, told = page.told('POST', '/anonymize', body)
  assert (status, 'not been searched' in told['error']) == (400, True)


def test_a_face_that_fails_its_check_is_filled(tmp_path):
  with running(tmp_path, engine(similarities=[0.9] * 100)) as page:
    own = page.upload(encoded(pixels()))
    (face,) = page.anonymize(own, 'synthesize')['faces']
    assert (face['action'], face['draws']) == ('filled', 4)
    assert face['reason'] == '4 draws looked too much like the original'
    assert (page.result(own)[30:70, 40:80] == covering.FILL).all()


def test_a_failing_detector_gives_nothing_out(tmp_path):
  broken = engine()
  broken._detector = lambda picture: 1 / 0
  with running(tmp_path, broken) as page:
    own = page.upload(encoded(pixels()))
    told = page.anonymize(own)
    assert told['state'] == 'failed'
    assert page.ask('GET', f'/result?id={own}')[0] == 409


def test_metadata_is_left_behind(page):
  own = page.upload(encoded(pixels(), 'JPEG', quality=95, comment=b'taken by Ann'), 'a.jpeg')
  assert page.anonymize(own)['suffix'] == '.jpg'
  _, headers, content = page.ask('GET', f'/result?id={own}')
  assert content.startswith(b'\xff\xd8')
  assert b'Ann' not in content
  assert headers['content-type'] == 'application/octet-stream'


def test_a_corrected_box_holds_the_eyes_nose_and_mouth_that_were_found():
  points = ((46, 40), (54, 40), (50, 48), (46, 56), (54, 56))
  found = [Face((40, 30, 60, 60), 0.9, points)]
  # both cover more than .3 of the detector's box; the second leaves the eyes
  for box, holds in (([44, 38, 58, 60], True), ([40, 44, 60, 60], False)):
    asked = Asked('fill', boxes=({'found': 0, 'box': box},))
    with contextlib.nullcontext() if holds else pytest.raises(InferenceError, match='no longer'):
      assert settled(asked, found, (120, 90))[0].by == 'corrected'
  # of a face that the picture's border cuts, what lies beyond does not count
  beyond = [Face((0, 30, 14, 60), 0.9, tuple((x - 48, y) for x, y in points))]
  asked = Asked('fill', boxes=({'found': 0, 'box': [0, 34, 14, 60]},))
  assert settled(asked, beyond, (120, 90))[0].by == 'corrected'


@pytest.mark.parametrize(
  ('content', 'match'),
  [
    (b'GIF89a' + b'\0' * 40, 'notes.png'),
    (encoded(pixels())[:-40], 'notes.png is cut short'),
    (b'\0\0\0\x18ftypheic' + b'\0' * 40, 'is a HEIC or AVIF picture; convert it to JPEG'),
    (b'just some text', 'notes.png is no JPEG, PNG, WebP, TIFF, BMP or GIF by its content'),
    (b'%PDF-1.7', 'notes.png'),
  ],
)
def test_a_file_that_is_no_picture_is_refused_by_its_name_and_not_by_its_place(
  page, content, match
):
  own = page.upload(content, 'notes.png')
  told = page.anonymize(own)
  assert told['state'] == 'failed'
  assert match in told['message']
  assert str(page.folder) not in told['message']
  assert page.ask('GET', f'/result?id={own}')[0] == 409
  page.ask('POST', '/forget', {'id': own})


def test_a_picture_of_several_frames_is_sent_to_the_command(page):
  from PIL import Image

  frames = [Image.fromarray(pixels()), Image.fromarray(pixels(face=False))]
  own = page.upload(encoded(pixels(), 'GIF', save_all=True, append_images=frames[1:]), 'a.gif')
  told = page.anonymize(own)
  assert told['state'] == 'failed'
  assert 'It holds 2 pictures' in told['message']
  assert 'anon-jax anonymize' in told['message']
