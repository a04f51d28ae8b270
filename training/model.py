"""The YOLO11 detector as a PyTorch module with batch norm, and its folded form for export.

Sizes n and s. Module names follow the numbering that YOLO11 exports use (model.0 … model.23), so that folded weights can
be compared tensor by tensor with other implementations of the architecture.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn

STRIDES = (8, 16, 32)
BINS = 16  # steps of the distance distribution on each side of a box
WIDTH = {"n": 0.25, "s": 0.50}


class Conv(nn.Module):
    """Convolution, batch norm, SiLU."""

    def __init__(self, c_in, c_out, k=1, s=1, groups=1, act=True):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, k, s, k // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(c_out, eps=1e-3, momentum=0.03)
        self.act = nn.SiLU(inplace=True) if act else nn.Identity()

    def forward(self, x):
        return self.act(self.bn(self.conv(x)))


class Bottleneck(nn.Module):
    def __init__(self, c, expansion):
        super().__init__()
        hidden = int(c * expansion)
        self.cv1 = Conv(c, hidden, 3)
        self.cv2 = Conv(hidden, c, 3)

    def forward(self, x):
        return x + self.cv2(self.cv1(x))


class C3k(nn.Module):
    def __init__(self, c):
        super().__init__()
        hidden = c // 2
        self.cv1 = Conv(c, hidden)
        self.cv2 = Conv(c, hidden)
        self.cv3 = Conv(2 * hidden, c)
        self.m = nn.Sequential(Bottleneck(hidden, 1.0), Bottleneck(hidden, 1.0))

    def forward(self, x):
        return self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), 1))


class C3k2(nn.Module):
    def __init__(self, c_in, c_out, c3k, expansion=0.5):
        super().__init__()
        self.c = int(c_out * expansion)
        self.cv1 = Conv(c_in, 2 * self.c)
        self.cv2 = Conv(3 * self.c, c_out)
        self.m = nn.ModuleList([C3k(self.c) if c3k else Bottleneck(self.c, 0.5)])

    def forward(self, x):
        parts = list(self.cv1(x).chunk(2, 1))
        for block in self.m:
            parts.append(block(parts[-1]))
        return self.cv2(torch.cat(parts, 1))


class SPPF(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.cv1 = Conv(c, c // 2)
        self.cv2 = Conv(2 * c, c)

    def forward(self, x):
        parts = [self.cv1(x)]
        for _ in range(3):
            parts.append(F.max_pool2d(parts[-1], 5, 1, 2))
        return self.cv2(torch.cat(parts, 1))


class Attention(nn.Module):
    HEAD, KEY = 64, 32

    def __init__(self, c):
        super().__init__()
        self.heads = c // self.HEAD
        self.qkv = Conv(c, c + 2 * self.KEY * self.heads, act=False)
        self.proj = Conv(c, c, act=False)
        self.pe = Conv(c, c, 3, groups=c, act=False)

    def forward(self, x):
        b, c, h, w = x.shape
        qkv = self.qkv(x).view(b, self.heads, 2 * self.KEY + self.HEAD, h * w)
        q, k, v = qkv.split([self.KEY, self.KEY, self.HEAD], 2)
        weights = ((q.transpose(-2, -1) @ k) * self.KEY**-0.5).softmax(-1)
        mixed = (v @ weights.transpose(-2, -1)).reshape(b, c, h, w)
        return self.proj(mixed + self.pe(v.reshape(b, c, h, w)))


class PSABlock(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.attn = Attention(c)
        self.ffn = nn.Sequential(Conv(c, 2 * c), Conv(2 * c, c, act=False))

    def forward(self, x):
        x = x + self.attn(x)
        return x + self.ffn(x)


class C2PSA(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.cv1 = Conv(c, c)
        self.cv2 = Conv(c, c)
        self.m = nn.Sequential(PSABlock(c // 2))

    def forward(self, x):
        a, b = self.cv1(x).chunk(2, 1)
        return self.cv2(torch.cat((a, self.m(b)), 1))


class Detect(nn.Module):
    """The decoupled head. Gives one raw map a stride: 4 * BINS box logits, then the class logits."""

    def __init__(self, channels, classes):
        super().__init__()
        c_box = max(16, channels[0] // 4, 4 * BINS)
        c_cls = max(channels[0], min(classes, 100))
        self.classes = classes
        self.cv2 = nn.ModuleList(
            nn.Sequential(Conv(c, c_box, 3), Conv(c_box, c_box, 3), nn.Conv2d(c_box, 4 * BINS, 1)) for c in channels
        )
        self.cv3 = nn.ModuleList(
            nn.Sequential(
                nn.Sequential(Conv(c, c, 3, groups=c), Conv(c, c_cls)),
                nn.Sequential(Conv(c_cls, c_cls, 3, groups=c_cls), Conv(c_cls, c_cls)),
                nn.Conv2d(c_cls, classes, 1),
            )
            for c in channels
        )
        for box, cls, stride in zip(self.cv2, self.cv3, STRIDES):
            nn.init.constant_(box[-1].bias, 1.0)
            # Prior: about five objects of any class in a 640-pixel picture.
            nn.init.constant_(cls[-1].bias, math.log(5 / classes / (640 / stride) ** 2))

    def forward(self, features):
        return [torch.cat((box(x), cls(x)), 1) for x, box, cls in zip(features, self.cv2, self.cv3)]


class Yolo11(nn.Module):
    def __init__(self, size="n", classes=6):
        super().__init__()
        c = [int(base * WIDTH[size]) for base in (64, 128, 256, 512, 1024)]
        self.classes = classes
        self.model = nn.ModuleList(
            [
                Conv(3, c[0], 3, 2),
                Conv(c[0], c[1], 3, 2),
                C3k2(c[1], c[2], False, 0.25),
                Conv(c[2], c[2], 3, 2),
                C3k2(c[2], c[3], False, 0.25),
                Conv(c[3], c[3], 3, 2),
                C3k2(c[3], c[3], True),
                Conv(c[3], c[4], 3, 2),
                C3k2(c[4], c[4], True),
                SPPF(c[4]),
                C2PSA(c[4]),
                nn.Identity(),
                nn.Identity(),
                C3k2(c[4] + c[3], c[3], False),
                nn.Identity(),
                nn.Identity(),
                C3k2(c[3] + c[3], c[2], False),
                Conv(c[2], c[2], 3, 2),
                nn.Identity(),
                C3k2(c[2] + c[3], c[3], False),
                Conv(c[3], c[3], 3, 2),
                nn.Identity(),
                C3k2(c[3] + c[4], c[4], True),
                Detect((c[2], c[3], c[4]), classes),
            ]
        )

    def forward(self, x):
        """x [B,3,H,W] RGB 0…1, sides multiples of 32 -> three raw maps [B, 4*BINS+classes, H/s, W/s]."""
        m = self.model
        x = m[2](m[1](m[0](x)))
        p3 = m[4](m[3](x))
        p4 = m[6](m[5](p3))
        p5 = m[10](m[9](m[8](m[7](p4))))
        up4 = m[13](torch.cat((F.interpolate(p5, scale_factor=2.0, mode="nearest"), p4), 1))
        out3 = m[16](torch.cat((F.interpolate(up4, scale_factor=2.0, mode="nearest"), p3), 1))
        out4 = m[19](torch.cat((m[17](out3), up4), 1))
        out5 = m[22](torch.cat((m[20](out4), p5), 1))
        return m[23]([out3, out4, out5])


def anchor_points(maps):
    """Centres in pixels of the input [A,2] and strides [A] for raw maps of one picture size."""
    points, strides = [], []
    for m, s in zip(maps, STRIDES):
        h, w = m.shape[-2:]
        y, x = torch.meshgrid(
            torch.arange(h, device=m.device, dtype=torch.float32),
            torch.arange(w, device=m.device, dtype=torch.float32),
            indexing="ij",
        )
        points.append((torch.stack((x, y), -1).view(-1, 2) + 0.5) * s)
        strides.append(torch.full((h * w,), float(s), device=m.device))
    return torch.cat(points), torch.cat(strides)


def split_maps(maps):
    """Raw maps -> box logits [B,A,4,BINS] and class logits [B,A,C]."""
    y = torch.cat([m.flatten(2) for m in maps], 2).transpose(1, 2)
    return y[..., : 4 * BINS].unflatten(-1, (4, BINS)), y[..., 4 * BINS :]


def decode_boxes(box_logits, points, strides):
    """Box logits [B,A,4,BINS] -> xyxy in pixels of the input [B,A,4]: the distribution's mean is the distance."""
    d = (box_logits.float().softmax(-1) * torch.arange(BINS, device=box_logits.device, dtype=torch.float32)).sum(-1)
    d = d * strides[:, None]
    return torch.cat((points - d[..., :2], points + d[..., 2:]), -1)


def fold_batch_norm(net):
    """Folds every batch norm into its convolution, in place; returns the net in eval mode."""
    net.eval()
    for module in net.modules():
        if isinstance(module, Conv):
            k = module.bn.weight / torch.sqrt(module.bn.running_var + module.bn.eps)
            fused = nn.Conv2d(
                module.conv.in_channels,
                module.conv.out_channels,
                module.conv.kernel_size,
                module.conv.stride,
                module.conv.padding,
                groups=module.conv.groups,
            )
            fused.weight.data = module.conv.weight.data * k[:, None, None, None]
            fused.bias.data = module.bn.bias.data - module.bn.running_mean * k
            module.conv, module.bn = fused, nn.Identity()
    return net
