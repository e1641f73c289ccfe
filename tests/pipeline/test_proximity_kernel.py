"""The CPU's kernel computes the definition, whatever the numbers.

The independent reference is the definition, |whole|_1 - |whole - part|_1, coordinate by
coordinate in extended precision.
"""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from flowglass.pipeline import contributions, proximity_kernel
from flowglass.pipeline.goal import Goal
from flowglass.pipeline.proximity_kernel import (
    LANES,
    MANY,
    proximities_of_multiples,
    proximities_of_products,
    proximity,
)

DTYPES = st.sampled_from([torch.float32, torch.float64])
SHAPES = st.tuples(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 20), st.integers(1, 70)
)


def draw(seed: int, *shape: int) -> Tensor:
    """Normal numbers; some seeds make a few of them huge, tiny, or exactly 0."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator, dtype=torch.float64)
    kind = torch.randint(40, shape, generator=generator)
    if seed % 3:
        values = values * torch.where(kind == 0, 1000.0, 1.0)
        values = values * torch.where(kind == 1, 1e-6, 1.0)
        values = values * torch.where(kind == 2, -0.0, 1.0)
    return values


def assert_same(
    found: Tensor,
    coefficient: Tensor,
    vectors: Tensor,
    whole: Tensor,
    *,
    size: Tensor | None = None,
) -> None:
    """Equal up to the rounding of the part's own size, or a larger one of the vectors
    that it is made of."""
    c, v, y = (t.numpy().astype(np.longdouble) for t in (coefficient, vectors, whole))
    part = c[..., None] * v[:, :, None]
    y = y[:, None, :, None]
    due = (np.abs(y) - np.abs(y - part)).sum(-1).clip(0)
    sizes = np.abs(v) if size is None else size.double().numpy()
    large = (np.abs(c)[..., None] * sizes[:, :, None]).sum(-1)
    bound = 50 * torch.finfo(found.dtype).eps * large
    bound += 4 * np.finfo(np.longdouble).eps * np.abs(y).sum(-1)
    assert (np.abs(found.numpy() - due) <= bound).all()


@given(shape=SHAPES, seed=st.integers(0, 2**16), width=st.integers(1, 80), dtype=DTYPES)
@example((1, 1, 9, LANES + 1), 1, 33, torch.float32)
@example((1, 1, 8, 2 * MANY + 3), 2, 64, torch.float32)
@settings(deadline=None, max_examples=150)
def test_every_part_has_its_proximity(
    shape: tuple[int, int, int, int], seed: int, width: int, dtype: torch.dtype
) -> None:
    """Also with wholes of huge, tiny and zero coordinates, and parts that overshoot."""
    batch, heads, queries, keys = shape
    coefficient = draw(seed, *shape).to(dtype)
    vectors = draw(seed + 1, batch, heads, keys, width).to(dtype)
    whole = draw(seed + 2, batch, queries, width).to(dtype)

    found = proximities_of_multiples(coefficient, vectors, Goal(whole), causal=False)

    assert_same(found, coefficient, vectors, whole)


@given(
    seed=st.integers(0, 2**16),
    n=st.integers(1, 150),
    heads=st.integers(1, 3),
    dtype=DTYPES,
)
@settings(deadline=None, max_examples=60)
def test_products_are_the_vectors_they_make(
    seed: int, n: int, heads: int, dtype: torch.dtype
) -> None:
    """Values times output weights, causal: the future is exactly 0."""
    coefficient = draw(seed, 2, heads, n, n).to(dtype).tril()
    value, output = draw(seed + 1, 2, heads, n, 5), draw(seed + 2, heads, 5, 40)
    whole = draw(seed + 3, 2, n, 40).to(dtype)
    value, output = value.to(dtype), output.to(dtype)

    found = proximities_of_products(coefficient, value, output, Goal(whole))

    assert found.triu(1).count_nonzero() == 0
    vectors = torch.einsum("bhkv,hvd->bhkd", value, output)
    size = torch.einsum("bhkv,hvd->bhkd", value.abs(), output.abs())
    assert_same(found, coefficient, vectors, whole, size=size)


@pytest.mark.parametrize("floats", [1, 20 * 32 * 2, 20 * 32 * 4 * 2])
def test_products_on_other_devices(
    floats: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form for any device agrees, however few vectors exist at once."""
    coefficient = draw(0, 3, 4, 20, 20).tril()
    value, output = draw(3, 3, 4, 20, 6), draw(6, 4, 6, 32)
    goal = Goal(draw(9, 3, 20, 32))
    monkeypatch.setattr(proximity_kernel, "TILE", floats)

    found = proximity_kernel.products_in_tiles(coefficient, value, output, goal)

    due = proximities_of_products(coefficient, value, output, goal)
    torch.testing.assert_close(found, due, rtol=1e-9, atol=1e-9)


def test_the_form_that_is_compiled_for_a_gpu() -> None:
    """One graph whatever the shapes, without a break, and it computes the same."""
    work = torch.compile(
        contributions.all_proximities,
        backend="aot_eager",
        fullgraph=True,
        dynamic=True,
    )
    for n, width in ((7, 24), (12, 40)):
        parts = draw(n, 2, 3, n, n), draw(n, 2, 3, n, width), draw(n, 2, n, width)
        found = contributions.proximities_of_multiples(
            *parts, causal=False, tile=5000, of_tile=work
        )
        due = proximities_of_multiples(*parts[:2], Goal(parts[2]), causal=False)
        torch.testing.assert_close(found, due, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("turned", [False, True])
def test_vectors_are_read_as_they_lie(turned: bool) -> None:
    """Weights of [out, in] and of [in, out] give the same bits."""
    coefficient, vectors = draw(0, 1, 1, 6, 150).float(), draw(1, 1, 1, 150, 40).float()
    goal = Goal(draw(2, 1, 6, 40).float())
    due = proximities_of_multiples(coefficient, vectors, goal, causal=False)
    if turned:
        vectors = vectors.transpose(2, 3).contiguous().transpose(2, 3)
    found = proximities_of_multiples(coefficient, vectors, goal, causal=False)
    assert torch.equal(found, due)


def test_calls_repeat_themselves() -> None:
    """Two calls give the same bits, whatever the number of threads."""
    parts = draw(1, 1, 2, 9, 200).float(), draw(2, 1, 2, 200, 16).float()
    goal = Goal(draw(3, 1, 9, 16).float())
    first = proximities_of_multiples(*parts, goal, causal=False)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        again = proximities_of_multiples(*parts, goal, causal=False)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(first, again)


@given(seed=st.integers(0, 2**16), width=st.integers(1, 300), dtype=DTYPES)
@settings(deadline=None, max_examples=60)
def test_coordinates_are_sorted_by_sign_and_size(
    seed: int, width: int, dtype: torch.dtype
) -> None:
    """Every coordinate once; sizes ascend up to the fineness of the sort."""
    whole = draw(seed, 1, 4, width).to(dtype)
    patterns, order, sizes, split = (array[0] for array in Goal(whole).sorted)
    for i, values in enumerate(whole[0].numpy()):
        nothing = np.finfo(sizes.dtype).max
        real = sizes[i] < nothing
        assert sorted(order[i][real]) == list(range(width))
        np.testing.assert_array_equal(np.abs(values)[order[i][real]], sizes[i][real])
        signs = values[order[i]] >= 0
        assert signs[: split[i]][real[: split[i]]].all()
        assert not signs[split[i] :][real[split[i] :]].any()
        for part in (sizes[i][: split[i]], sizes[i][split[i] :]):
            part = part[part < nothing]
            smallest = np.abs(values).max() * 2.0**-31
            later = np.minimum.accumulate(part[::-1])[::-1]
            assert (part <= np.maximum(later * (1 + 2.0**-4), smallest)).all()
        bits = np.unpackbits(patterns[i][:, None], 1, 4, "little").ravel()[:width]
        np.testing.assert_array_equal(bits, values >= 0)


@given(seed=st.integers(0, 2**16), width=st.integers(1, 90), dtype=DTYPES)
@settings(deadline=None, max_examples=30)
def test_single_parts_in_one_pass(seed: int, width: int, dtype: torch.dtype) -> None:
    """`proximity` is the plain one."""
    part, whole = (draw(seed + i, 2, 7, width).to(dtype) for i in range(2))
    due = contributions.proximity(part, whole)
    torch.testing.assert_close(proximity(part, whole), due, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("nothing", [torch.nan, torch.inf])
def test_what_is_no_number_does_no_harm_elsewhere(nothing: float) -> None:
    """A whole that is no number spoils its own row only: its closure is refused."""
    coefficient, vectors = draw(0, 1, 1, 9, 40).float(), draw(3, 1, 1, 40, 24).float()
    whole = draw(6, 1, 9, 24).float()
    due = proximities_of_multiples(coefficient, vectors, Goal(whole), causal=False)
    spoilt = whole.clone()
    spoilt[0, 2, 3:] = nothing

    found = proximities_of_multiples(coefficient, vectors, Goal(spoilt), causal=False)

    others = [0, 1, 3, 4, 5, 6, 7, 8]
    assert torch.equal(found[:, :, others], due[:, :, others])
