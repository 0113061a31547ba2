"""The landmark network behind LMD: stacked hourglasses that draw one heatmap for each of 98 points and the outline.

FAN (Bulat, Tzimiropoulos, ICCV 2017) with coordinates and outlines as inputs (Wang, Bo, Fuxin: Adaptive Wing Loss, ICCV
2019), trained on WFLW. Names, and hence keys, are those of the released ``alignment_WFLW_4HG.pth``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE = 256  # pixels of the picture; the heatmaps have a quarter of them
LEVELS = 4  # halvings in an hourglass
OUTLINE = 0.05  # from here on a place counts as part of the outline


class CoordConv(nn.Module):
    """A convolution that is told where it is: x, the row, the column, the distance from the centre, each in [-1, 1].

    With ``outlined`` two more channels: row and column where the heatmap of the outlines is above ``OUTLINE``, else 0.
    """

    def __init__(self, inputs: int, outputs: int, size: int = 1, stride: int = 1, outlined: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs + (5 if outlined else 3), outputs, size, stride, padding=size // 2)

    def forward(self, x: Tensor, outline: Tensor | None = None) -> Tensor:
        """``outline``: (B, 1, H, W), the last heatmap of the hourglass before."""
        batch, _, height, width = x.shape
        row = torch.linspace(-1, 1, height, dtype=x.dtype, device=x.device).view(1, 1, -1, 1)
        column = torch.linspace(-1, 1, width, dtype=x.dtype, device=x.device).view(1, 1, 1, -1)
        row, column = row.expand(batch, 1, height, width), column.expand(batch, 1, height, width)
        distance = (row.square() + column.square()).sqrt()
        channels = [x, row, column, distance / distance.max()]
        if outline is not None:
            inside = outline.clamp(0, 1) > OUTLINE
            channels += [torch.where(inside, row, 0), torch.where(inside, column, 0)]
        return self.conv(torch.cat(channels, dim=1))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Three 3x3 convolutions one after another, of 1/2, 1/4 and 1/4 of the outputs, all kept; around a shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half, quarter = outputs // 2, outputs // 4
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, half, 3, padding=1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(half), nn.Conv2d(half, quarter, 3, padding=1, bias=False)
        self.bn3, self.conv3 = nn.BatchNorm2d(quarter), nn.Conv2d(quarter, quarter, 3, padding=1, bias=False)
        self.downsample = None
        if inputs != outputs:
            # Not in place: the input is needed again.
            self.downsample = nn.Sequential(
                nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, outputs, 1, bias=False)
            )

    def forward(self, x: Tensor) -> Tensor:
        first = self.conv1(F.relu(self.bn1(x)))
        second = self.conv2(F.relu(self.bn2(first)))
        third = self.conv3(F.relu(self.bn3(second)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.cat([first, second, third], dim=1) + shortcut


class Hourglass(nn.Module):
    """Down ``LEVELS`` halvings and up again, each level with a way straight across."""

    def __init__(self, width: int, outlined: bool) -> None:
        super().__init__()
        self.coordconv = CoordConv(width, width, outlined=outlined)
        for level in range(LEVELS, 0, -1):
            for part in ("b1", "b2", "b3"):
                self.add_module(f"{part}_{level}", Block(width, width))
        self.b2_plus_1 = Block(width, width)

    def forward(self, x: Tensor, outline: Tensor | None) -> Tensor:
        return self._level(LEVELS, self.coordconv(x, outline))

    def _level(self, level: int, x: Tensor) -> Tensor:
        across = self.get_submodule(f"b1_{level}")(x)
        low = self.get_submodule(f"b2_{level}")(F.avg_pool2d(x, 2))
        low = self._level(level - 1, low) if level > 1 else self.b2_plus_1(low)
        low = self.get_submodule(f"b3_{level}")(low)
        return across + F.interpolate(low, scale_factor=2)  # type: ignore[no-any-return]


class FAN(nn.Module):
    """``forward(x)``: (B, 3, 256, 256) RGB in [0, 1] -> the heatmaps of each hourglass, (B, points + 1, 64, 64) each.

    The last hourglass is the best; the last heatmap is that of the outlines. Height and width are multiples of 64.
    """

    def __init__(self, modules: int = 4, points: int = 98, width: int = 256) -> None:
        super().__init__()
        self.modules_count, self.points = modules, points
        self.conv1 = CoordConv(3, width // 4, size=7, stride=2)
        self.bn1 = nn.BatchNorm2d(width // 4)
        self.conv2 = Block(width // 4, width // 2)
        self.conv3 = Block(width // 2, width // 2)
        self.conv4 = Block(width // 2, width)
        for i in range(modules):
            self.add_module(f"m{i}", Hourglass(width, outlined=i > 0))
            self.add_module(f"top_m_{i}", Block(width, width))
            self.add_module(f"conv_last{i}", nn.Conv2d(width, width, 1))
            self.add_module(f"bn_end{i}", nn.BatchNorm2d(width))
            self.add_module(f"l{i}", nn.Conv2d(width, points + 1, 1))
            if i + 1 < modules:
                self.add_module(f"bl{i}", nn.Conv2d(width, width, 1))
                self.add_module(f"al{i}", nn.Conv2d(points + 1, width, 1))

    def forward(self, x: Tensor) -> list[Tensor]:
        h = F.relu(self.bn1(self.conv1(x)))
        h = self.conv4(self.conv3(F.avg_pool2d(self.conv2(h), 2)))
        found: list[Tensor] = []
        for i in range(self.modules_count):
            part = self.get_submodule(f"m{i}")(h, found[-1][:, -1:] if found else None)
            part = self.get_submodule(f"conv_last{i}")(self.get_submodule(f"top_m_{i}")(part))
            part = F.relu(self.get_submodule(f"bn_end{i}")(part))
            found.append(self.get_submodule(f"l{i}")(part))
            if i + 1 < self.modules_count:
                h = h + self.get_submodule(f"bl{i}")(part) + self.get_submodule(f"al{i}")(found[-1])
        return found


def fan_input(pictures: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1] -> (B, 3, 256, 256) as the published scripts feed it: 8 bit, bilinear, 8 bit again.

    From 512 pixels it gives OpenCV's numbers; from other sizes OpenCV rounds some by a level the other way.
    """
    levels = (pictures.float() * 255).round().clamp(0, 255)
    levels = F.interpolate(levels, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    return (levels + 0.5).floor() / 255


def decode(heatmaps: Tensor) -> Tensor:
    """Heatmaps (B, N, H, W), without that of the outlines -> (B, N, 2) x and y, 0 at the left or upper edge, to W, H.

    The highest place of each map, moved by a quarter towards its higher neighbours. The neighbours are those of the
    published scripts, looked up in the flattened map: at the end of a row the next one's begin; and if for any point of
    a picture the place below (above) lies outside, the last (first) number of the map stands in for that neighbour of
    all its points. After the very last place, where the scripts fail, comes the first.
    """
    flat, width = heatmaps.flatten(2), heatmaps.shape[-1]
    count = flat.shape[-1]
    peak = flat.argmax(-1, keepdim=True)
    below, above = peak + width, peak - width
    below = torch.where((below >= count).any(1, keepdim=True), count - 1, below)
    above = torch.where((above <= 0).any(1, keepdim=True), 0, above)
    right, left = (peak + 1) % count, (peak - 1) % count
    slope_x = flat.gather(-1, right) - flat.gather(-1, left)
    slope_y = flat.gather(-1, below) - flat.gather(-1, above)
    place = torch.cat([peak % width, peak // width], dim=-1)
    return place + 0.25 * torch.cat([slope_x, slope_y], dim=-1).sign() + 0.5


def find_landmarks(net: FAN, pictures: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1], one aligned face each -> (B, 98, 2) float32 x and y in pixels of the picture.

    The points of WFLW, 0 at the picture's left or upper edge, as the published scripts count (OpenCV's pixel centres
    are 0.5 less). Raises ValueError for another shape.
    """
    if pictures.ndim != 4 or pictures.shape[1] != 3:
        raise ValueError(f"pictures must be (B, 3, H, W), got {tuple(pictures.shape)}")
    heatmaps = net(fan_input(pictures))[-1][:, :-1]
    height, width = heatmaps.shape[-2:]
    scale = torch.tensor([pictures.shape[-1] / width, pictures.shape[-2] / height], device=heatmaps.device)
    return decode(heatmaps.float()) * scale


# The iBUG scheme's 68 points among WFLW's 98. Outline, nose, eyes and mouth are marked at the same places in both
# (every second point of the outline; of each lid the middle is left out); a brow has one row of points in iBUG, but an
# upper and a lower edge in WFLW, hence the mean of two.
_FIRST = (
    *range(0, 33, 2),
    *(33, 34, 35, 36, 37),
    *(42, 43, 44, 45, 46),
    *range(51, 60),
    *(60, 61, 63, 64, 65, 67),
    *(68, 69, 71, 72, 73, 75),
    *range(76, 96),
)
_SECOND = (*_FIRST[:17], 33, 41, 40, 39, 38, 50, 49, 48, 47, 46, *_FIRST[27:])


def to_68(points: Tensor) -> Tensor:
    """WFLW's points (..., 98, 2) -> those of the iBUG scheme (..., 68, 2), which DFDNet and others ask for.

    Raises ValueError for another number of points.
    """
    if points.shape[-2:] != (98, 2):
        raise ValueError(f"points must be (..., 98, 2), got {tuple(points.shape)}")
    first = torch.tensor(_FIRST, device=points.device)
    second = torch.tensor(_SECOND, device=points.device)
    return (points.index_select(-2, first) + points.index_select(-2, second)) / 2


def find_landmarks_68(net: FAN, crops: Tensor) -> Tensor:
    """(B, 3, 512, 512) RGB in [0, 1], aligned -> (B, 68, 2) float32 x and y in pixels of the crop, iBUG's order.

    0 is the centre of the first pixel, as in ``faces``. These are not the landmarks that DFDNet's authors used (another
    network, for 68 points): boxes made from them may differ by a few pixels.
    """
    return to_68(find_landmarks(net, crops)) - 0.5
