"""Models whose parts add up to the last bit, and would mean something else: refused.

Closure sees none of this: the writes are right, but where they come from is not what
an edge would say.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from flowglass.pipeline.errors import ModelError
from flowglass.pipeline.model import prepare

from .checks import closure
from .families import build
from .own_llama import of_layer_0, own_attention, own_ffn

MIX = "tokens mix outside the attention patterns"


def back(x: Tensor, steps: int, *, dim: int) -> Tensor:
    """What stands some tokens before; ahead where steps are negative."""
    shifted = x.roll(steps, dim)
    place = torch.arange(x.shape[dim])
    gone = place < steps if steps > 0 else place >= len(place) + steps
    shape = [1] * x.ndim
    shape[dim] = -1
    return shifted.masked_fill(gone.view(shape), 0)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda _, x: x.transpose(2, 3).reshape(x.shape), id="interleaved"),
        pytest.param(lambda _, x: x + 0.7 * back(x, 1, dim=1), id="the token before"),
        pytest.param(lambda _, x: x.flip(2), id="another head's"),
        pytest.param(lambda _, x: x.sort(-1).values, id="sorted"),
        pytest.param(lambda _, x: x.relu(), id="bent"),
        pytest.param(
            lambda _, x: x.square() / x.norm(dim=-1, keepdim=True), id="sized"
        ),
    ],
)
def test_what_only_scales_with_the_heads_outputs_is_no_gate(change: Any) -> None:
    """A gate multiplies every coordinate by a number of its own; these do not."""
    with pytest.raises(
        ModelError, match=r"layers\.0 .*no linear image of the attention"
    ):
        prepare(own_attention(outputs=change), name="fooling")


def test_a_gate_is_one() -> None:
    """By what stands beside the outputs: position, head and coordinate."""

    def gate(_: nn.Module, x: Tensor) -> Tensor:
        return x * torch.linspace(0.2, 1.7, x[0].numel()).view(x.shape[1:]).to(x)

    loaded = prepare(own_attention(outputs=gate), name="gated")
    assert all(layer.attention.gated for layer in loaded.anatomy.layers)
    assert closure(loaded) < 1e-12


def half_and_half() -> Any:
    """Values are half those of layer 0: a value residual."""
    first = of_layer_0()
    return lambda attention, v: 0.5 * v + 0.5 * first(attention, v)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"values": half_and_half()}, id="a value residual"),
        pytest.param({"values": of_layer_0()}, id="shared values"),
        pytest.param({"reads": of_layer_0()}, id="another state"),
    ],
)
def test_values_of_another_layer_are_refused(change: Any) -> None:
    """An edge would start at a state that was not read."""
    with pytest.raises(ModelError, match=r"layers\.1: .*another layer's state"):
        prepare(own_attention(**change), name="fooling")


def test_an_ffn_that_reads_another_layers_state_is_refused() -> None:
    """As with the attention: it is no write of what stands in its layer."""
    model = build("llama", dtype=torch.float64)
    first, second = model.model.layers
    read, plain, kept = first.forward, second.mlp.forward, {}

    def keeps(state: Tensor, **more: Any) -> Any:
        kept["state"] = state.clone()
        return read(state, **more)

    first.forward = keeps
    second.mlp.forward = lambda x: plain(x + kept["state"])
    with pytest.raises(
        ModelError, match=r"layers\.1: what it writes depends on another"
    ):
        prepare(model, name="fooling")


@pytest.mark.parametrize("steps", [1, 8, -1, -8])
def test_mixing_tokens_is_seen_far_and_both_ways(steps: int) -> None:
    """In what the FFN reads, eight tokens back or ahead."""
    model = own_ffn(lambda x: x + 0.5 * back(x, steps, dim=1))
    with pytest.raises(ModelError, match=MIX):
        prepare(model, name="fooling")


def test_mixing_values_is_seen_far() -> None:
    """In the values, eight tokens back."""
    model = own_attention(values=lambda _, v: v + 0.5 * back(v, 8, dim=2))
    with pytest.raises(ModelError, match=f"{MIX}.*values"):
        prepare(model, name="fooling")


def test_a_key_that_is_no_token_is_refused() -> None:
    """A learnt key beside those of the tokens has no place in a route."""
    with pytest.raises(ModelError, match="8 keys at 7 tokens"):
        prepare(own_attention(null_key=True), name="fooling")


class ReadsBefore(nn.Module):
    """A parallel layer with a module that reads stream plus attention all the same."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer, self.dropout = layer, nn.Dropout(0.0)

    def forward(self, hidden_states: Tensor, **more: Any) -> Tensor:
        own = self.layer
        write, _ = own.self_attn(
            hidden_states=own.input_layernorm(hidden_states), **more
        )
        mid = self.dropout(hidden_states + write)
        found: Tensor = mid + own.mlp(own.post_attention_layernorm(hidden_states))
        return found


def test_a_block_is_parallel_if_its_ffn_does_not_follow() -> None:
    """Not whoever reads the state between counts, but what the FFN does."""
    model = build("llama", dtype=torch.float64)
    layers = model.model.layers
    for i, layer in enumerate(layers):
        layers[i] = ReadsBefore(layer)
    loaded = prepare(model, name="parallel")
    assert loaded.anatomy.block_kind == "parallel"
    assert closure(loaded) < 1e-12


class ExpertsAsModules(nn.Module):
    """A mixture of two experts, each a pair of linear maps that sees its own tokens."""

    def __init__(self, bias: float) -> None:
        super().__init__()
        self.up = nn.ModuleList(nn.Linear(32, 40) for _ in range(2))
        self.down = nn.ModuleList(nn.Linear(40, 32) for _ in range(2))
        self.gate = nn.Linear(32, 2)
        nn.init.constant_(self.gate.bias, bias)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(-1, 32)
        weight, choice = self.gate(flat).softmax(-1).max(-1)
        found = torch.zeros_like(flat)
        for e in range(2):
            at = (choice == e).nonzero()[:, 0]
            if len(at):
                found[at] = self.down[e](F.relu(self.up[e](flat[at])))
        return (found * weight[:, None]).view_as(x)


def test_experts_that_are_modules_are_one_node() -> None:
    """Where they cannot be taken apart the FFN's write is still exact."""
    model: PreTrainedModel = build("llama")
    torch.manual_seed(0)
    for layer in model.model.layers:
        layer.mlp = ExpertsAsModules(0.0)
    loaded = prepare(model, name="experts")
    assert loaded.anatomy.opaque
    assert closure(loaded) < 2e-5


class Layout(nn.Module):
    """A Llama layer whose parts come in another order."""

    def __init__(self, layer: Any, order: str) -> None:
        super().__init__()
        self.layer, self.order = layer, order

    def forward(self, hidden_states: Tensor, **more: Any) -> Tensor:
        own, x = self.layer, hidden_states

        def attn(state: Tensor) -> Tensor:
            found: Tensor = own.self_attn(
                hidden_states=own.input_layernorm(state), **more
            )[0]
            return found

        def ffn(state: Tensor) -> Tensor:
            found: Tensor = own.mlp(own.post_attention_layernorm(state))
            return found

        if self.order == "ffn first":
            x = x + ffn(x)
            return x + attn(x)
        mid = x + attn(x)
        return mid + ffn(mid) + self.second(x)

    def second(self, x: Tensor) -> Tensor:
        """One more FFN, which reads what the attention read."""
        found: Tensor = self.other(x)
        return found


@pytest.mark.parametrize("order", ["ffn first", "two ffns"])
def test_an_ffn_in_another_place_is_refused(order: str) -> None:
    """Before the attention, or beside it and behind it at once."""
    model = build("llama", dtype=torch.float64)
    layers = model.model.layers
    for i, layer in enumerate(layers):
        layers[i] = Layout(layer, order)
        layers[i].other = nn.Sequential(nn.Linear(32, 40), nn.ReLU(), nn.Linear(40, 32))
        layers[i].other.double()
    message = (
        "reads what its FFN wrote" if order == "ffn first" else "more than resid_mid"
    )
    with pytest.raises(ModelError, match=rf"layers\.0: .*{message}"):
        prepare(model, name="fooling")


def test_values_with_anothers_heads_outputs_are_refused() -> None:
    """What layer 0's heads gave is no state of layer 1."""
    kept = {}

    def keeps(attention: nn.Module, output: Tensor) -> Tensor:
        if attention.layer_idx == 0:
            kept["it"] = output[:, :, :2].transpose(1, 2)
        return output

    def adds(attention: nn.Module, v: Tensor) -> Tensor:
        return v + 0.5 * kept["it"] if attention.layer_idx else v

    with pytest.raises(ModelError, match=r"layers\.1: .*another layer's state"):
        prepare(own_attention(values=adds, outputs=keeps), name="fooling")


@pytest.mark.parametrize("vocab", [2, 3, 5])
def test_a_small_vocabulary_hides_nothing(vocab: int) -> None:
    """Tokens differ from those they are compared with, be there only two."""
    model = own_ffn(lambda x: x + 0.5 * back(x, 1, dim=1))
    model.resize_token_embeddings(vocab)
    with pytest.raises(ModelError, match=MIX):
        prepare(model, name="fooling")


def test_an_adapter_that_is_not_merged_is_refused() -> None:
    """Its two halves would pass for neurons."""
    from peft import LoraConfig, get_peft_model

    model = build("llama")
    get_peft_model(model, LoraConfig(r=2, target_modules=["down_proj"]))
    with pytest.raises(ModelError, match="merge_and_unload"):
        prepare(model, name="adapted")


def test_compiled_layers_are_told_of() -> None:
    """Their modules do not run where hooks can see them."""
    model = build("llama")
    layers = model.model.layers
    for i, layer in enumerate(layers):
        layers[i] = torch.compile(layer, backend="eager")
    with pytest.raises(ModelError):
        closure(prepare(model, name="compiled"))


def test_a_hook_on_a_norm_is_left_alone() -> None:
    """Measuring a norm does not call the hooks that stand on it."""
    model = build("gemma2")
    seen: list[torch.Size] = []

    def hook(_: nn.Module, __: object, output: Tensor) -> None:
        seen.append(output[:, -1, :].shape)

    model.model.layers[1].post_feedforward_layernorm.register_forward_hook(hook)
    prepare(model, name="hooked")
    assert seen
