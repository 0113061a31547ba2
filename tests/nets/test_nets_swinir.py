"""SwinIR: windows, masks, sizes, and reading its configuration."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from likeness.nets.swinir import OUTSIDE, SwinIR, SwinIRConfig, join, offsets, read_swinir_config, shift_mask, split
from parity_fixture import table_fill

SMALL = SwinIRConfig(img_size=16, embed_dim=12, depths=(2, 3), num_heads=(2, 3), mlp_dim=24, features=8)


def filled(config: SwinIRConfig) -> SwinIR:
    net = SwinIR(config)
    for key, value in net.named_parameters():
        value.data = table_fill({"key": key, "shape": list(value.shape)})
    return net.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def net() -> SwinIR:
    return filled(SMALL)


def photos(count: int, height: int = 128, width: int = 128) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def test_windows_come_back_where_they_were() -> None:
    grid = torch.arange(2 * 16 * 24 * 3).view(2, 16, 24, 3)
    windows = split(grid, 8)
    assert windows.shape == (12, 64, 3)
    assert torch.equal(windows[1].view(8, 8, 3), grid[0, :8, 8:16])
    assert torch.equal(join(windows, 8, 16, 24), grid)


def test_offsets_number_the_steps_from_key_to_query() -> None:
    index = offsets(8)
    assert index[0, 0] == 7 * 15 + 7
    assert index[8 * 5 + 2, 8 * 1 + 3] == (4 + 7) * 15 + (-1 + 7)
    assert len(set(index.flatten().tolist())) == 15 * 15


def test_the_mask_parts_what_the_roll_brought_together() -> None:
    height, width, window, shift = 16, 24, 8, 4
    place = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"), -1)
    rolled = split(place.roll((-shift, -shift), (0, 1))[None], window)  # where each token comes from
    apart = (rolled[:, :, None] - rolled[:, None, :]).abs().amax(-1) >= window
    mask = shift_mask(height, width, window, shift)
    assert set(mask.flatten().tolist()) == {0.0, OUTSIDE}
    assert torch.equal(mask == OUTSIDE, apart)


def test_stored_and_recomputed_masks_agree(net: SwinIR) -> None:
    larger, x = filled(replace(SMALL, img_size=24)), photos(1)
    assert torch.equal(larger(x), net(x))  # the first recomputes its masks for 16 tokens, the second has them
    wide = photos(1, 64, 128)
    assert net(wide).shape == wide.shape


def test_a_batch_gives_what_each_picture_gives_alone(net: SwinIR) -> None:
    x = photos(3)
    together = net(x)
    assert (together[0] - together[1]).abs().max() > 1e-2
    for index in range(3):  # up to rounding: other sizes of a product are summed in another order
        torch.testing.assert_close(net(x[index : index + 1])[0], together[index], rtol=0, atol=1e-5)


def test_windows_that_are_the_whole_picture_are_not_moved() -> None:
    state = SwinIR(replace(SMALL, img_size=8)).state_dict()
    assert not any(key.endswith("attn_mask") for key in state)
    assert "layers.1.residual_group.blocks.1.attn_mask" in SwinIR(SMALL).state_dict()


@pytest.mark.parametrize("shape", [(1, 3, 128, 100), (1, 1, 64, 64), (3, 64, 64), (1, 3, 0, 64)])
def test_other_shapes_are_refused(net: SwinIR, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="multiples of 64"):
        net(torch.zeros(shape))


def test_it_runs_under_autocast(net: SwinIR) -> None:
    x = photos(1)
    with torch.autocast("cpu", torch.bfloat16):
        out = net(x)
    torch.testing.assert_close(out.float(), net(x), rtol=0, atol=0.1)


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, img_size=8), replace(SMALL, scale=4), SwinIRConfig()])
def test_sizes_are_read_from_keys_and_shapes(config: SwinIRConfig) -> None:
    with torch.device("meta"):
        state = SwinIR(config).state_dict()
    assert read_swinir_config(state) == config
    assert read_swinir_config({key: value for key, value in state.items() if key != "conv_last.weight"}) is None
    assert read_swinir_config({}) is None
