"""The script for whoever has a GPU: tried on the CPU, so that it runs where one is."""

import pytest
import torch

from benchmarks import gpu
from napari_structsr.engine.device import Device


def test_without_cuda_it_says_what_else_can_be_run(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 2
    assert "--device cpu --quick" in capsys.readouterr().out


def test_all_checks_pass_on_the_cpu_and_rates_are_printed(capsys):
    assert gpu.main(["--device", "cpu", "--quick"]) == 0
    printed = capsys.readouterr().out
    assert "FAILED" not in printed
    for name in ("bfloat16", "tiles", "short of memory", "maps", "whole run Mpixel/s"):
        assert name in printed


def test_a_device_that_computes_wrong_numbers_fails(monkeypatch):
    run = Device.run
    monkeypatch.setattr(Device, "run", lambda *args: run(*args) * 1.5)
    bench = gpu.Bench("cpu", side=64, shortage=9000, product=64, repeats=1)
    # by the self-test or by the comparison
    with pytest.raises(Exception, match=r"wrong numbers|off by"):
        gpu.check_format(bench, "float32")
