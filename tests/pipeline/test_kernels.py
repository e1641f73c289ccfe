"""Which kernels a device gets."""

import pytest
import torch

from flowglass.pipeline import kernels

CPU, CUDA, OTHER = (torch.device(name) for name in ("cpu", "cuda", "meta"))


def machine(
    monkeypatch: pytest.MonkeyPatch, *, triton: bool, compiler: str | None
) -> None:
    """A machine with Triton or without, and with one C compiler or none."""
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(kernels, "find_spec", lambda _: object() if triton else None)
    monkeypatch.setattr(kernels, "which", lambda name: name == compiler or None)


@pytest.mark.parametrize("compiler", ["cc", "gcc", "clang"])
def test_each_device_has_its_kernels(
    monkeypatch: pytest.MonkeyPatch, compiler: str
) -> None:
    """numba on a CPU, compiled tensors on CUDA, plain tensors anywhere else."""
    machine(monkeypatch, triton=True, compiler=compiler)
    names = [kernels.name_of(device) for device in (CPU, CUDA, OTHER)]
    assert names == ["numba", "torch.compile", "torch"]


@pytest.mark.parametrize(("triton", "compiler"), [(True, None), (False, "gcc")])
def test_without_a_compiler_cuda_runs_plain_tensors(
    monkeypatch: pytest.MonkeyPatch, triton: bool, compiler: str | None
) -> None:
    """Triton needs a C compiler; without either of them nothing is compiled."""
    machine(monkeypatch, triton=triton, compiler=compiler)
    assert kernels.name_of(CUDA) == "torch"
    assert kernels.name_of(CPU) == "numba"


def test_named_compiler_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """CC may name one that is called otherwise."""
    machine(monkeypatch, triton=True, compiler="icx")
    assert not kernels.can_fuse(CUDA)
    monkeypatch.setenv("CC", "icx")
    assert kernels.can_fuse(CUDA)


def test_helpers_are_compiled_with_their_loop() -> None:
    """A loop may call functions of its own file."""
    assert kernels.compiled(_twice)(4) == 10


def _twice(x: int) -> int:
    return _more(x) * 2


def _more(x: int) -> int:
    return x + 1
