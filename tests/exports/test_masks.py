from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from scmlib.checkpoints import load_model
from scmlib.cli.main import cli
from scmlib.data.datasets import open_dataset
from scmlib.exports.masks import save_mask_pictures
from scmlib.inference import masks_of


def test_masks_as_numbers_and_as_pictures(run: Path, data_root: Path, tmp_path: Path) -> None:
    photos = [record.path for record in open_dataset("synthetic", data_root).query[:3]]
    asked = ["masks", run, *photos, "--out", tmp_path, "--format", "npz", "--format", "png"]
    done = CliRunner().invoke(cli, [str(argument) for argument in asked], catch_exceptions=False)
    model, _ = load_model(run)
    wanted = masks_of(model, photos)
    with np.load(tmp_path / "masks.npz") as file:
        assert list(file["path"]) == [str(photo) for photo in photos]
        assert np.allclose(file["competitive"], wanted, atol=1e-6)
        assert np.allclose(file["cooperative"], wanted.sum(1, keepdim=True), atol=1e-5)
    assert sorted(Path(line) for line in done.stdout.split()) == sorted(tmp_path.iterdir())
    assert len(list(tmp_path.glob("*.png"))) == 3 * 4  # three competitive masks and the cooperative one, no figures
    with Image.open(tmp_path / f"{photos[1].stem}_competitive_2.png") as picture:
        grey = np.asarray(picture)
    assert grey.shape == model.image_size
    assert np.abs(grey[::16, ::16] / 255 - wanted[1, 1].numpy()).max() <= 0.5 / 255 + 1e-6
    assert (grey == np.kron(grey[::16, ::16], np.ones((16, 16)))).all()


@pytest.mark.parametrize(("values", "white"), [((1.0, 1.0), (255, 255, 255)), ((1.0, 0.0), (255, 0, 128))])
def test_white_is_one_and_p_of_the_cooperative_mask(
    values: tuple[float, float], white: tuple[int, int, int], tmp_path: Path
) -> None:
    masks = torch.tensor(values)[:, None, None].expand(2, 2, 3)
    found = []
    for path in save_mask_pictures(tmp_path, "a", masks, (32, 48)):
        with Image.open(path) as picture:
            assert picture.size == (48, 32)
            found.append(np.unique(np.asarray(picture)).item())
    assert found == list(white)
