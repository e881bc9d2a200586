"""Evaluations by their command, and what it refuses."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from anon_jax import config as configs
from anon_jax import main, workdir
from anon_jax.config.field import ConfigError
from anon_jax.inference.anonymizer import SHIPPED
from anon_jax.inference.weights import load_weights
from anon_jax.nets.frozen import WeightsError

ROOT = pathlib.Path(__file__).resolve().parents[1]
FILES = ('identity_CelebA.txt', 'list_eval_partition.txt')


def _config(stage='evaluate_lfw', **fields):
  config = configs.defaults(stage)
  config.update(fields)
  return config


def test_an_evaluation_trains_nothing(tmp_path):
  with pytest.raises(main.RunError, match="'evaluate_lfw' trains nothing; give --mode=evaluate"):
    main.run(_config(), tmp_path, 'train')


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({}, "manual_dir='' is not a folder; give the folder that holds the raw files"),
    ({'manual_dir': '/nowhere'}, "manual_dir='/nowhere' is not a folder"),
    ({'manual_dir': '.', 'others': 'x'}, "others='x': 'x' is not of the form name=folder"),
    ({'manual_dir': '.', 'weights_from': '/nowhere'}, '/nowhere holds no trained networks'),
    ({'pairs': -1}, r'config\.pairs=-1 cannot be used'),
    ({'recogniser': 'arcface'}, "recogniser='arcface' cannot be used; give one of"),
  ],
)
def test_fields_that_cannot_be_used_are_named(fields, message, tmp_path):
  with pytest.raises((ConfigError, WeightsError), match=message):
    main.run(_config(**fields), tmp_path / 'w', 'evaluate')


def test_two_evaluations_and_a_run_are_kept_out_of_one_folder(tmp_path):
  (tmp_path / 'checkpoints' / '10').mkdir(parents=True)
  with pytest.raises(workdir.WorkdirError, match='holds another run or evaluation'):
    workdir.require_same_measurement(tmp_path, {'stage': 'evaluate_lfw'})
  other = tmp_path / 'other'
  other.mkdir()
  workdir.require_same_measurement(other, {'stage': 'evaluate_lfw', 'seed': 0})
  workdir.require_same_measurement(other, {'stage': 'evaluate_lfw', 'seed': 1})
  with pytest.raises(workdir.WorkdirError, match='use another --workdir'):
    workdir.require_same_measurement(other, {'stage': 'evaluate_celeba'})


def _few(real_data, folder, parts):
  """CelebA of a few people: links to their first pictures."""
  source = real_data / 'celeba'
  lines = {name: (source / name).read_text().splitlines() for name in FILES}
  lists = {name: dict(line.split() for line in rows) for name, rows in lines.items()}
  identity, partition = (lists[name] for name in FILES)
  kept = []
  for part, (people, each) in parts.items():
    mine = sorted({identity[name] for name, number in partition.items() if number == part})
    for person in mine[:people]:
      pictures = [n for n in identity if identity[n] == person]
      kept += sorted(pictures)[:each]
  (folder / 'images').mkdir(parents=True)
  for name in kept:
    (folder / 'images' / name).symlink_to(source / 'images' / name)
  for name, rows in lists.items():
    (folder / name).write_text(''.join(f'{picture} {rows[picture]}\n' for picture in kept))
  return folder


def _run_of(data, folder):
  """A run that names training people as the package's control identities, over and over."""
  count = load_weights(SHIPPED).anonymization.module.identities
  lines = ((data / name).read_text().splitlines() for name in FILES)
  identity, partition = (dict(line.split() for line in rows) for rows in lines)
  people = sorted({int(identity[name]) for name, part in partition.items() if part == '0'})
  folder.mkdir()
  everybody = (people * count)[:count]
  (folder / 'identities.json').write_text(json.dumps({'identities': everybody}))
  return folder


def test_all_attacks_run_by_their_command(real_data, tmp_path):
  data = _few(real_data, tmp_path / 'celeba', {'0': (3, 1), '1': (2, 2), '2': (3, 2)})
  command = [
    *(sys.executable, '-m', 'anon_jax.main', '--mode=evaluate'),
    *('--config=configs/evaluate_attacks.py', f'--workdir={tmp_path / "w"}'),
    *(f'--config.manual_dir={data}', '--config.each=2', '--config.train_each=1'),
    *(f'--config.weights_dir={real_data / "weights"}', '--config.inversion_steps=0'),
    *('--config.sigmas=0.2', f'--config.controls_from={_run_of(data, tmp_path / "a")}'),
  ]
  environment = {**os.environ, 'XLA_FLAGS': ''}  # the networks are real ones: they run fast
  done = subprocess.run(
    command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600
  )
  assert done.returncode == 0, done.stderr[-2000:]
  assert '| T0: originals in originals | 1.000' in done.stdout
  result = json.loads((tmp_path / 'w' / 'results.json').read_text())
  attacks = [f'T{number}' for number in range(7)]
  assert {row['attack'] for row in result['rows']} == {*attacks, 'control'}
  rows = {row['title']: row for row in result['rows']}
  assert rows['outputs of one photograph, the same key']['recall']['mean'] == 1
  assert rows['appearance condition of sigma 0.2 alone']['probes'] == 6
  assert len(result['nearest']) == 3 and not result['left_out']
  assert result['parts']['test'] == {'people': 3, 'pictures': 6}
  splits = json.loads((tmp_path / 'w' / 'splits.json').read_text())
  people = [person for part in splits.values() for person in part['people']]
  assert len(people) == len(set(people)) == 8
  assert (tmp_path / 'w' / 'sheet.png').is_file()
