"""Mosaic of four, scale, shift, flip, colour and noise, in one pass over the output on the device.

The pixels go through one Triton kernel that reads the uint8 pictures where they lie and writes the bfloat16 batch once;
`render_reference` is the same in plain PyTorch, for machines without a GPU and as the kernel's test.
"""
import math

import torch

from dataset import GREY, SIZE

try:
    import triton
    import triton.language as tl
except ImportError:  # CPU-only machines train in tests alone
    triton = None


def draw_parameters(batch, mosaic, device):
    """Random geometry and colour of a batch. Geometry maps a source pixel p to p * scale + shift in its quadrant.
    Makes no tensor from host data, so that a CUDA graph may capture it."""

    def r(*shape):
        return torch.rand(*shape, device=device)

    tiles = 4 if mosaic else 1
    if mosaic:
        centre = SIZE * (0.3 + 0.4 * r(batch, 2))
        zoom = 0.62 * torch.exp((r(batch, 1) * 2 - 1) * math.log(1.7))
        scale = zoom * torch.exp((r(batch, 4) * 2 - 1) * 0.2)
        tile = torch.arange(4, device=device)
        left, top = tile % 2 == 0, tile < 2
        jx, jy = r(batch, 4) * 0.15 * SIZE, r(batch, 4) * 0.2 * SIZE
        tx = torch.where(left, centre[:, :1] - SIZE * scale + jx, centre[:, :1] - jx)
        ty = torch.where(top, centre[:, 1:] - SIZE * scale + jy, centre[:, 1:] - jy)
    else:
        centre = torch.full((batch, 2), 2.0 * SIZE, device=device)  # everything lies in the first quadrant
        scale = torch.exp((r(batch, 1) * 2 - 1) * 0.35)
        tx, ty = (SIZE - SIZE * scale) * r(batch, 1), (SIZE - SIZE * scale) * r(batch, 1)
    colour = torch.cat(
        (
            0.4 + 1.2 * r(batch, 1),  # saturation
            0.5 + r(batch, 1),  # brightness
            1 + 0.1 * (r(batch, 3) - 0.5),  # tint
            (r(batch, 1) < 0.3) * 0.03 * r(batch, 1),  # noise, standard deviation
        ),
        1,
    )
    return {
        "tiles": tiles,
        "centre": centre,
        "scale": scale,
        "tx": tx,
        "ty": ty,
        "flip": r(batch) < 0.5,
        "colour": colour,
    }


def place_boxes(boxes, p, least_visible=0.3):
    """boxes [B,T,M,5] (class, xyxy px of the source; -1 pads) -> the same in the output, clipped to their quadrant and
    flipped; class -1 where too little is left. Returns [B,T*M,5]."""
    b, t, m, _ = boxes.shape
    scale, tx, ty = p["scale"][..., None], p["tx"][..., None], p["ty"][..., None]
    x1, x2 = boxes[..., 1] * scale + tx, boxes[..., 3] * scale + tx
    y1, y2 = boxes[..., 2] * scale + ty, boxes[..., 4] * scale + ty
    area = (x2 - x1) * (y2 - y1)
    cx, cy = p["centre"][:, 0].clamp(max=SIZE), p["centre"][:, 1].clamp(max=SIZE)
    zero, size = torch.zeros_like(cx), torch.full_like(cx, SIZE)
    lo_x = torch.stack((zero, cx, zero, cx), 1)[:, :t, None]
    hi_x = torch.stack((cx, size, cx, size), 1)[:, :t, None]
    lo_y = torch.stack((zero, zero, cy, cy), 1)[:, :t, None]
    hi_y = torch.stack((cy, cy, size, size), 1)[:, :t, None]
    x1, x2 = torch.minimum(torch.maximum(x1, lo_x), hi_x), torch.minimum(torch.maximum(x2, lo_x), hi_x)
    y1, y2 = torch.minimum(torch.maximum(y1, lo_y), hi_y), torch.minimum(torch.maximum(y2, lo_y), hi_y)
    keep = (boxes[..., 0] >= 0) & ((x2 - x1) * (y2 - y1) > least_visible * area) & (x2 - x1 > 3) & (y2 - y1 > 3)
    flip = p["flip"][:, None, None]
    x1, x2 = torch.where(flip, SIZE - x2, x1), torch.where(flip, SIZE - x1, x2)
    cls = torch.where(keep, boxes[..., 0], -1.0)
    return torch.stack((cls, x1, y1, x2, y2), -1).view(b, t * m, 5)


def pad_list(boxes, capacity):
    """[B,M,5] with holes -> one padded list of the whole batch {image, cls, box, valid}, `capacity` long."""
    b, m, _ = boxes.shape
    flat = boxes.reshape(b * m, 5)
    image = torch.arange(b, device=boxes.device).repeat_interleave(m)
    missing = (flat[:, 0] < 0).to(torch.uint8)
    order = missing.sort(stable=True)[1][:capacity]
    if len(order) < capacity:
        order = torch.cat((order, order.new_zeros(capacity - len(order))))
    valid = (flat[order, 0] >= 0) & (torch.arange(capacity, device=boxes.device) < (missing == 0).sum())
    return {
        "image": image[order],
        "cls": flat[order, 0].clamp(min=0).long(),
        "box": flat[order, 1:],
        "valid": valid,
    }


def render_reference(images, index, p):
    """images [N,3,S,S] uint8; index [B,T] int64 -> [B,3,S,S] float 0…1, without noise."""
    b, t = index.shape
    device = images.device
    out_xy = torch.arange(SIZE, device=device, dtype=torch.float32)
    col = torch.where(p["flip"][:, None], SIZE - 1 - out_xy, out_xy.expand(b, SIZE))  # [B,S]
    row = out_xy.expand(b, SIZE)
    right = col >= p["centre"][:, :1]
    below = row >= p["centre"][:, 1:]
    tile = right[:, None, :].long() + 2 * below[:, :, None].long()  # [B,S,S]
    if t == 1:
        tile = torch.zeros_like(tile)
    pick = torch.arange(b, device=device)[:, None, None]
    scale, tx, ty = p["scale"][pick, tile], p["tx"][pick, tile], p["ty"][pick, tile]
    sx = (col[:, None, :] + 0.5 - tx) / scale - 0.5
    sy = (row[:, :, None] + 0.5 - ty) / scale - 0.5
    x0, y0 = sx.floor(), sy.floor()
    fx, fy = sx - x0, sy - y0
    source = index[pick, tile]

    def tap(y, x):
        ok = (x >= 0) & (x < SIZE) & (y >= 0) & (y < SIZE)
        value = images[source, :, y.clamp(0, SIZE - 1).long(), x.clamp(0, SIZE - 1).long()].float()
        return torch.where(ok[..., None], value, float(GREY))

    top = tap(y0, x0) * (1 - fx)[..., None] + tap(y0, x0 + 1) * fx[..., None]
    bottom = tap(y0 + 1, x0) * (1 - fx)[..., None] + tap(y0 + 1, x0 + 1) * fx[..., None]
    rgb = (top * (1 - fy)[..., None] + bottom * fy[..., None]) / 255
    colour = p["colour"][:, None, None, :]
    mean = rgb.mean(-1, keepdim=True)
    rgb = (mean + (rgb - mean) * colour[..., 0:1]) * colour[..., 1:2] * colour[..., 2:5]
    return rgb.clamp(0, 1).permute(0, 3, 1, 2)


if triton is not None:

    @triton.jit
    def _tap(base, y, x, plane, inside, SIZE: tl.constexpr, GREY: tl.constexpr):
        ok = inside & (x >= 0) & (x < SIZE) & (y >= 0) & (y < SIZE)
        return tl.load(base + plane * SIZE * SIZE + y * SIZE + x, mask=ok, other=GREY).to(tl.float32)

    @triton.jit
    def _render(images, index, centre, scale, tx, ty, flip, colour, out, seed_at, T: tl.constexpr, SIZE: tl.constexpr,
                GREY: tl.constexpr, BLOCK: tl.constexpr):
        """One program renders BLOCK pixels of one picture. out: [B,S,S,3] bfloat16 (channels last)."""
        b = tl.program_id(0)
        pixel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
        inside = pixel < SIZE * SIZE
        row = pixel // SIZE
        col = pixel % SIZE
        flipped = tl.load(flip + b)
        x = tl.where(flipped != 0, SIZE - 1 - col, col).to(tl.float32)
        y = row.to(tl.float32)
        if T == 4:
            tile = (x >= tl.load(centre + 2 * b)).to(tl.int32) + 2 * (y >= tl.load(centre + 2 * b + 1)).to(tl.int32)
        else:
            tile = tl.zeros([BLOCK], tl.int32)
        s = tl.load(scale + b * T + tile)
        sx = (x + 0.5 - tl.load(tx + b * T + tile)) / s - 0.5
        sy = (y + 0.5 - tl.load(ty + b * T + tile)) / s - 0.5
        x0f = tl.floor(sx)
        y0f = tl.floor(sy)
        fx = sx - x0f
        fy = sy - y0f
        x0 = x0f.to(tl.int32)
        y0 = y0f.to(tl.int32)
        base = images + tl.load(index + b * T + tile).to(tl.int64) * (3 * SIZE * SIZE)
        r = (_tap(base, y0, x0, 0, inside, SIZE, GREY) * (1 - fx) + _tap(base, y0, x0 + 1, 0, inside, SIZE, GREY) * fx) * (1 - fy) + (
            _tap(base, y0 + 1, x0, 0, inside, SIZE, GREY) * (1 - fx) + _tap(base, y0 + 1, x0 + 1, 0, inside, SIZE, GREY) * fx) * fy
        g = (_tap(base, y0, x0, 1, inside, SIZE, GREY) * (1 - fx) + _tap(base, y0, x0 + 1, 1, inside, SIZE, GREY) * fx) * (1 - fy) + (
            _tap(base, y0 + 1, x0, 1, inside, SIZE, GREY) * (1 - fx) + _tap(base, y0 + 1, x0 + 1, 1, inside, SIZE, GREY) * fx) * fy
        u = (_tap(base, y0, x0, 2, inside, SIZE, GREY) * (1 - fx) + _tap(base, y0, x0 + 1, 2, inside, SIZE, GREY) * fx) * (1 - fy) + (
            _tap(base, y0 + 1, x0, 2, inside, SIZE, GREY) * (1 - fx) + _tap(base, y0 + 1, x0 + 1, 2, inside, SIZE, GREY) * fx) * fy
        r, g, u = r / 255, g / 255, u / 255
        mean = (r + g + u) / 3
        saturation = tl.load(colour + 6 * b)
        gain = tl.load(colour + 6 * b + 1)
        sigma = tl.load(colour + 6 * b + 5)
        r = (mean + (r - mean) * saturation) * gain * tl.load(colour + 6 * b + 2)
        g = (mean + (g - mean) * saturation) * gain * tl.load(colour + 6 * b + 3)
        u = (mean + (u - mean) * saturation) * gain * tl.load(colour + 6 * b + 4)
        if sigma > 0:
            seed = tl.load(seed_at)
            at = b * SIZE * SIZE + pixel
            r += sigma * tl.randn(seed, at)
            g += sigma * tl.randn(seed + 1, at)
            u += sigma * tl.randn(seed + 2, at)
        place = out + (b.to(tl.int64) * SIZE * SIZE + pixel) * 3
        tl.store(place, tl.minimum(tl.maximum(r, 0.0), 1.0).to(out.dtype.element_ty), mask=inside)
        tl.store(place + 1, tl.minimum(tl.maximum(g, 0.0), 1.0).to(out.dtype.element_ty), mask=inside)
        tl.store(place + 2, tl.minimum(tl.maximum(u, 0.0), 1.0).to(out.dtype.element_ty), mask=inside)


def render(images, index, p, seed):
    """As render_reference, with noise; bfloat16, channels last. On a GPU through the kernel. seed: int32 [1]."""
    if not images.is_cuda:
        return render_reference(images, index, p)
    b, t = index.shape
    out = torch.empty((b, SIZE, SIZE, 3), dtype=torch.bfloat16, device=images.device)
    block = 1024
    _render[(b, triton.cdiv(SIZE * SIZE, block))](
        images, index.contiguous(), p["centre"].contiguous(), p["scale"].contiguous(), p["tx"].contiguous(),
        p["ty"].contiguous(), p["flip"].to(torch.int32), p["colour"].contiguous(), out, seed, t, SIZE, GREY, block)
    return out.permute(0, 3, 1, 2)


class Augment:
    """Draws augmented batches from Pictures on their device. `points` [A,2]: the anchors' centres in pixels."""

    OBJECTS, REGIONS = 2048, 1024  # capacity of the lists of one batch of 64; what is over becomes unlabelled

    def __init__(self, pictures, weights, batch, points):
        self.points = points
        device = pictures.images.device
        self.pictures, self.batch = pictures, batch
        self.cumulative = (weights / weights.sum()).cumsum(0).to(device)
        self.seed = torch.zeros(1, dtype=torch.int32, device=device)
        self.objects, self.regions = self.OBJECTS * batch // 64, self.REGIONS * batch // 64
        self.mosaic = True

    def next(self):
        """-> images [B,3,S,S], objects, ignored regions (padded lists), known [B,A,C]."""
        device = self.pictures.images.device
        p = draw_parameters(self.batch, self.mosaic, device)
        # Inverse transform sampling: a picture is drawn in proportion to its weight.
        drawn = torch.searchsorted(self.cumulative, torch.rand(self.batch, p["tiles"], device=device))
        index = drawn.clamp(max=len(self.pictures) - 1)
        self.seed += 3
        images = render(self.pictures.images, index, p, self.seed)
        objects = pad_list(place_boxes(self.pictures.labels[index], p), self.objects)
        regions = pad_list(place_boxes(self.pictures.ignore[index], p, least_visible=0.0), self.regions)
        return images, objects, regions, self._known(index, p)

    def _known(self, index, p):
        """Which classes are labelled where each anchor lies [B,A,C]: every tile of a mosaic has its own answer."""
        flip = p["flip"][:, None]
        x = torch.where(flip, SIZE - self.points[:, 0], self.points[:, 0])
        tile = (x >= p["centre"][:, :1]).long() + 2 * (self.points[:, 1] >= p["centre"][:, 1:]).long()
        return self.pictures.known[index.gather(1, tile)]
