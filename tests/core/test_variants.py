from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from scmlib.checkpoints import load_model, model_for
from scmlib.data.datasets import open_dataset
from scmlib.errors import BadInput
from scmlib.inference import embed
from scmlib.losses import scm_loss
from scmlib.settings import Settings
from scmlib.training import Trainer, train
from scmlib.variants import VARIANTS, GlobalOnly, build_model


def test_stripes_stay_whatever_the_image(quick: Settings) -> None:
    model = model_for(replace(quick, variant="stripes"), 5).eval()
    images = torch.rand(2, 3, *quick.image_size)
    output = model(images)
    assert torch.equal(output.competitive[0], output.competitive[1])
    assert torch.equal(output.competitive.sum(1, keepdim=True), output.cooperative)
    assert (output.cooperative == 1).all()
    rows = output.competitive[0, :, :, 0]  # (P, h)
    assert rows[0, 0] == 1  # the first part lies on top
    assert rows[-1, -1] == 1
    assert output.embeddings.shape[1] == 3 + quick.num_part


def test_global_embeddings_know_nothing_of_the_second_branch(quick: Settings) -> None:
    model = model_for(replace(quick, variant="global-only"), 5)
    assert isinstance(model, GlobalOnly)
    output = model(torch.rand(4, 3, *quick.image_size))
    assert output.embeddings.shape[1] == output.logits.shape[1] == len(model.embedding_names) == 2
    assert output.competitive.sum() == 0
    scm_loss(output, torch.tensor([0, 0, 1, 1]), kernel_size=2).total.backward()
    moved = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert "branch_1" in moved
    assert not any(name.startswith(("branch_2", "scm")) for name in model.state_dict())


def test_unknown_variant_is_refused() -> None:
    with pytest.raises(BadInput, match="Unknown variant 'stripe': choose one of scm, stripes"):
        build_model("regnet_y_tiny", 5, variant="stripe")


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_run_opens_as_the_variant_that_it_trained(variant: str, quick: Settings, tmp_path: Path) -> None:
    settings = replace(quick, variant=variant, epochs=(1, 2), ema_ratio=1.0, ema_extra=0)
    data = open_dataset("synthetic", quick.dataset_root)
    trained = Trainer.finish
    kept = []

    def finish(self: Trainer, *args: object, **kwargs: object) -> None:
        trained(self, *args, **kwargs)  # type: ignore[arg-type]
        kept.append(embed(self.model, data.query[:8]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "finish", finish)
        train(settings, tmp_path / "run", dataset=data, progress=False)
    for source in (tmp_path / "run", tmp_path / "run" / "model.safetensors"):
        model, said = load_model(source)
        assert type(model) is VARIANTS[variant]
        assert said.variant == variant
        assert np.allclose(embed(model, data.query[:8]), kept[0], atol=1e-5)
