from __future__ import annotations

import os
import sys

import pytest
import torch

from scmlib.cli.options import choose_gpus
from scmlib.errors import BadInput


class Replaced(Exception):
    pass


def test_gpu_is_the_one_asked_for_or_one_that_is_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen: list[int] = []

    def said(gpus: str, command: str = "masks") -> str:
        choose_gpus(gpus, command)
        return capsys.readouterr().err

    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert said("1") == ""
    assert "GPU 3 isn't here" in said("3")
    assert "scm masks uses one GPU: 1 works" in said("1,0")
    assert chosen == [1, 0, 1]
    with pytest.raises(BadInput, match="GPU 2 isn't here, their numbers are 0 to 1"):
        choose_gpus("0,2", "train")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert "no CUDA here" in said("0,1", "train")
    for wrong in ("first", "0,", "1,01"):
        with pytest.raises(BadInput, match=f"--gpus {wrong} isn't a list of GPU numbers"):
            choose_gpus(wrong, "train")


def test_several_gpus_are_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    def execv(_: str, words: list[str]) -> None:
        started.extend(words)
        raise Replaced

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(os, "execv", execv)
    monkeypatch.setattr(sys, "argv", ["scm", "train", "--gpus", "3,1"])
    with pytest.raises(Replaced):
        choose_gpus("3,1", "train")
    module = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "scmlib"]
    assert started == [sys.executable, *module, "train", "--gpus", "3,1"]


@pytest.mark.parametrize(("visible", "own"), [(None, "3,1"), ("4,5,6,7", "7,5")])
def test_process_of_several_sees_the_gpus_of_the_list(
    visible: str | None, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "CUDA_VISIBLE_DEVICES": visible}.items():
        if value:
            monkeypatch.setenv(name, value)
    choose_gpus("3,1", "train")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == own
