from __future__ import annotations

import pytest
import torch

from scmlib.cli.options import choose_gpu
from scmlib.errors import BadInput


def test_gpu_is_the_first_of_the_list_or_one_that_is_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen: list[int] = []

    def said(gpus: str) -> str:
        choose_gpu(gpus)
        return capsys.readouterr().err

    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert said("1") == ""
    assert "GPU 3 isn't here" in said("3")
    assert "One process uses one GPU: 1" in said("1,0")
    assert chosen == [1, 0, 1]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert "no CUDA here" in said("0")
    with pytest.raises(BadInput, match="--gpus first isn't a list of GPU numbers"):
        choose_gpu("first")
