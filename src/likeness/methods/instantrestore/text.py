"""The text encoder of CLIP (Radford et al. 2021), without its tokeniser: InstantRestore has one fixed prompt."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.methods.instantrestore.config import TextConfig

# "A high-quality photo of a person; professional, 8k" in CLIP's byte pairs, padded with 0 to the 77 places
WORDS = (49406, 320, 1400, 268, 3027, 1125, 539, 320, 2533, 282, 4774, 267, 279, 330, 49407)
PROMPT = WORDS + (0,) * (77 - len(WORDS))


class SelfAttention(nn.Module):
    """Each place sees itself and those before it: (B, N, dim) -> the same."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.out_proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        b, n, dim = x.shape
        projections = (self.q_proj, self.k_proj, self.v_proj)
        q, k, v = (project(x).view(b, n, self.heads, -1).transpose(1, 2) for project in projections)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out_proj(mixed.transpose(1, 2).reshape(b, n, dim))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """Two linear layers with GELU between them."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))  # type: ignore[no-any-return]


class Layer(nn.Module):
    """Pre-norm self-attention, then two linear layers."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(config.dim)
        self.self_attn = SelfAttention(config.dim, config.heads)
        self.layer_norm2 = nn.LayerNorm(config.dim)
        self.mlp = FeedForward(config.dim, config.feedforward)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))  # type: ignore[no-any-return]


class Embeddings(nn.Module):
    """Word numbers (B, N) -> (B, N, dim), their places added."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(config.words, config.dim)
        self.position_embedding = nn.Embedding(config.positions, config.dim)

    def forward(self, ids: Tensor) -> Tensor:
        return self.token_embedding(ids) + self.position_embedding.weight[: ids.shape[1]]  # type: ignore[no-any-return]


class Layers(nn.Module):
    """One layer after the other."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class TextModel(nn.Module):
    """Word numbers (B, N) -> the last layer's states (B, N, dim), normalised."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = Layers(config)
        self.final_layer_norm = nn.LayerNorm(config.dim)

    def forward(self, ids: Tensor) -> Tensor:
        return self.final_layer_norm(self.encoder(self.embeddings(ids)))  # type: ignore[no-any-return]


class TextEncoder(nn.Module):
    """``forward(ids)``: word numbers -> (1, N, dim). The names around the model are those of the released keys."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.text_model = TextModel(config)

    def forward(self, ids: tuple[int, ...]) -> Tensor:
        device = self.text_model.final_layer_norm.weight.device
        return self.text_model(torch.tensor([ids], device=device))  # type: ignore[no-any-return]
