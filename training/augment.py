"""Augmented batches, drawn and rendered on the device in one pass over the output.

A picture of the batch is a pile of layers, each a rectangle that shows a part of some training picture, scaled, flipped and
coloured in its own way: one or four tiles of a mosaic at the bottom, then objects cut out of other pictures, then patches that
hide parts of objects. The data set is small and a network of 2.6 M parameters knows it by heart after a hundred epochs,
so no vehicle should be seen twice in the same colours, place, shape and company.

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

TILES, PASTES, PATCHES = 4, 3, 2  # layers of a picture, from the bottom up
LAYERS = TILES + PASTES + PATCHES
COLOUR = 12  # a layer's colour: a 3x3 matrix row by row, then an offset
LEAST_VISIBLE = 0.3  # an object of which less is inside its layer is no object; the rest of it is nobody's
MOST_COVERED = 0.6  # nor is one that later layers cover by more
PASTED = torch.tensor([0.05, 0.17, 0.15, 0.23, 0.22, 0.18])  # how often an object pasted in is of each class
LEAST_PASTED = 24  # pixels: shorter side of what is worth pasting


def colours(shape, device):
    """Random colour changes [*shape,COLOUR]: hue, saturation, tint, contrast and gain as one affine map of RGB."""

    def r(low, high):
        return low + (high - low) * torch.rand(*shape, device=device)

    angle = torch.where(r(0, 1) < 0.2, r(-math.pi, math.pi), r(-0.3, 0.3))
    saturation = torch.where(r(0, 1) < 0.1, torch.zeros_like(angle), r(0.3, 1.6))
    contrast, gain = r(0.6, 1.4), r(0.55, 1.4)
    tint = 1 + 0.2 * (torch.rand(*shape, 3, device=device) - 0.5)
    cos, sin = angle.cos() * saturation, angle.sin() * saturation / math.sqrt(3)
    grey = (1 - cos) / 3  # rotation about the grey axis, its components across that axis times the saturation
    rows = (cos + grey, grey - sin, grey + sin, grey + sin, cos + grey, grey - sin, grey - sin, grey + sin, cos + grey)
    matrix = torch.stack(rows, -1).unflatten(-1, (3, 3)) * tint[..., :, None] * (contrast * gain)[..., None, None]
    offset = (0.45 * (1 - contrast) * gain)[..., None].expand(*shape, 3)
    return torch.cat((matrix.flatten(-2), offset), -1)


class Geometry:
    """Where each layer lies and what it shows. rect [B,L,4]: xyxy px of the output; scale, shift [B,L,2]: a source pixel p
    comes to lie at p * scale + shift (a negative scale flips); index [B,L]: its source picture."""

    def __init__(self, rect, scale, shift, index):
        self.rect, self.scale, self.shift, self.index = rect, scale, shift, index

    def __add__(self, above):
        pairs = ((self.rect, above.rect), (self.scale, above.scale), (self.shift, above.shift), (self.index, above.index))
        return Geometry(*(torch.cat(p, 1) for p in pairs))

    def place(self, boxes):
        """Source boxes [B,L,M,4] -> output, not clipped."""
        a = boxes[..., :2] * self.scale[:, :, None] + self.shift[:, :, None]
        b = boxes[..., 2:] * self.scale[:, :, None] + self.shift[:, :, None]
        return torch.cat((torch.minimum(a, b), torch.maximum(a, b)), -1)


def flipped(scale, shift, mirror, width):
    """The same place with left and right exchanged where `mirror`; `width`: of what the scale and shift apply to, from 0."""
    x = torch.where(mirror, shift[..., 0] + width * scale[..., 0], shift[..., 0])
    s = torch.where(mirror, -scale[..., 0], scale[..., 0])
    return torch.stack((s, scale[..., 1]), -1), torch.stack((x, shift[..., 1]), -1)


# None of these makes a tensor from host data, so that a CUDA graph may capture them.
def draw_tiles(content, index, mosaic):
    """content [N,4]: the part of each picture that is no padding; index [B,TILES]; mosaic [B] bool."""
    batch, device = len(index), index.device

    def r(*shape):
        return torch.rand(*shape, device=device)

    centre = SIZE * (0.3 + 0.4 * r(batch, 2))
    zero, size = torch.zeros_like(centre), torch.full_like(centre, SIZE)
    low, high = torch.stack((zero, centre), 1), torch.stack((centre, size), 1)  # [B,2,2]: (first, second), (x, y)
    column = torch.arange(TILES, device=device) % 2
    row = torch.arange(TILES, device=device) // 2
    four = torch.stack((low[:, column, 0], low[:, row, 1], high[:, column, 0], high[:, row, 1]), -1)
    one = torch.zeros_like(four)
    one[:, 0, 2:] = SIZE
    rect = torch.where(mosaic[:, None, None], four, one)

    # A tile of a mosaic is smaller than a picture alone, but now and then as large.
    together = 0.75 * torch.exp((r(batch, 1) * 2 - 1) * math.log(2.0)) * torch.exp((r(batch, TILES) * 2 - 1) * 0.3)
    alone = torch.exp((r(batch, TILES) * 2 - 1) * 0.5)
    stretch = torch.exp((r(batch, TILES) * 2 - 1) * 0.2)  # several sources store pictures squeezed into a square
    zoom = torch.where(mosaic[:, None], together, alone)
    scale = torch.stack((zoom * stretch, zoom / stretch), -1)
    shown = content[index]
    free = (rect[..., 2:] - rect[..., :2]) - (shown[..., 2:] - shown[..., :2]) * scale
    shift = rect[..., :2] + free * r(batch, TILES, 2) - shown[..., :2] * scale
    scale, shift = flipped(scale, shift, r(batch, TILES) < 0.5, SIZE)
    return Geometry(rect, scale, shift, index)


def draw_pastes(image, box, chance):
    """image [B,PASTES] and box [B,PASTES,4]: an object each, from anywhere; each is there by `chance`, else empty."""
    batch, device = len(image), image.device

    def r(*shape):
        return torch.rand(*shape, device=device)

    side = box[..., 2:] - box[..., :2]
    zoom = torch.exp(math.log(0.35) + r(batch, PASTES) * math.log(1.5 / 0.35))
    stretch = torch.exp((r(batch, PASTES) * 2 - 1) * 0.15)
    scale = torch.stack((zoom * stretch, zoom / stretch), -1)
    corner = (SIZE - side * scale * 0.7) * r(batch, PASTES, 2) - side * scale * 0.15
    shift = corner - box[..., :2] * scale
    margin = side * scale * 0.12 * r(batch, PASTES, 2)
    rect = torch.cat((corner - margin, corner + side * scale + margin), -1).clamp(0, SIZE)
    rect = rect * (r(batch, PASTES, 1) < chance)
    # Mirrored about the middle of its own box, so that it stays where it is.
    mirror = r(batch, PASTES) < 0.5
    x = torch.where(mirror, shift[..., 0] + (box[..., 0] + box[..., 2]) * scale[..., 0], shift[..., 0])
    scale = torch.stack((torch.where(mirror, -scale[..., 0], scale[..., 0]), scale[..., 1]), -1)
    return Geometry(rect, scale, torch.stack((x, shift[..., 1]), -1), image)


def draw_patches(boxes, index, chance):
    """boxes [B,M,5] in the output (class -1: none): each patch hides a part of one of them; index: what it shows."""
    batch, device = len(boxes), boxes.device

    def r(*shape):
        return torch.rand(*shape, device=device)

    there = boxes[:, None, :, 0] >= 0
    pick = (r(batch, PATCHES, boxes.shape[1]) * there).argmax(-1)
    box = boxes[..., 1:].gather(1, pick[..., None].expand(-1, -1, 4))
    side = box[..., 2:] - box[..., :2]
    half = side * (0.1 + 0.25 * r(batch, PATCHES, 2))
    middle = box[..., :2] + side * r(batch, PATCHES, 2)
    rect = torch.cat((middle - half, middle + half), -1).clamp(0, SIZE)
    rect = rect * (there.any(-1)[..., None] & (r(batch, PATCHES, 1) < chance))
    scale = torch.ones(batch, PATCHES, 2, device=device)
    return Geometry(rect, scale, SIZE * (r(batch, PATCHES, 2) - 0.5), index)


def intersection(a, b):
    """Areas of broadcastable boxes' intersections."""
    side = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    return side.clamp(min=0).prod(-1)


def place_boxes(boxes, layers, least_visible=LEAST_VISIBLE):
    """boxes [B,L,M,5] (class, xyxy px of the source; -1 pads) -> the same in the output, clipped to their layers; class -1
    where too little is left. Returns [B,L,M,5]."""
    whole = layers.place(boxes[..., 1:])
    rect = layers.rect[:, :, None]
    inside = torch.cat((torch.maximum(whole[..., :2], rect[..., :2]), torch.minimum(whole[..., 2:], rect[..., 2:])), -1)
    side = inside[..., 2:] - inside[..., :2]
    seen = side.clamp(min=0).prod(-1)
    keep = (boxes[..., 0] >= 0) & (seen > least_visible * (whole[..., 2:] - whole[..., :2]).prod(-1)) & (side > 3).all(-1)
    return torch.cat((torch.where(keep, boxes[..., 0], -1.0)[..., None], inside), -1)


def covered(boxes, first, layers):
    """Share of boxes [B,M,4] that the layers from number `first` on cover, at most."""
    rect = layers.rect[:, None, first:]
    area = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1e-6).prod(-1)
    return intersection(boxes[:, :, None], rect).sum(-1) / area


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


def layer_at(x, y, rect):
    """Number of the topmost layer at points x, y [B,...], 0 where there is none. rect [B,L,4]."""
    top = torch.zeros_like(x, dtype=torch.long)
    for k in range(rect.shape[1]):
        r = rect[:, k].reshape(len(rect), *[1] * (x.ndim - 1), 4)
        top = torch.where((x >= r[..., 0]) & (x < r[..., 2]) & (y >= r[..., 1]) & (y < r[..., 3]), k, top)
    return top


def render_reference(images, layers, colour, coarse):
    """images [N,3,S,S] uint8; colour [B,L,COLOUR]; coarse [B,L] >= 1: source pixels between the ones that are read, whose
    values the others are interpolated from -> [B,3,S,S] float 0…1, without noise."""
    b = len(layers.index)
    device = images.device
    at = torch.arange(SIZE, device=device, dtype=torch.float32)
    x, y = at.expand(b, SIZE, SIZE), at[:, None].expand(b, SIZE, SIZE)
    top = layer_at(x, y, layers.rect)
    pick = torch.arange(b, device=device)[:, None, None]
    scale, shift, step = layers.scale[pick, top], layers.shift[pick, top], coarse[pick, top]
    sx = ((x + 0.5 - shift[..., 0]) / scale[..., 0] - 0.5) / step
    sy = ((y + 0.5 - shift[..., 1]) / scale[..., 1] - 0.5) / step
    x0, y0 = sx.floor(), sy.floor()
    fx, fy = sx - x0, sy - y0
    source = layers.index[pick, top]

    def tap(row, column):
        column, row = (column * step + 0.5).floor(), (row * step + 0.5).floor()
        ok = (column >= 0) & (column < SIZE) & (row >= 0) & (row < SIZE)
        value = images[source, :, row.clamp(0, SIZE - 1).long(), column.clamp(0, SIZE - 1).long()].float()
        return torch.where(ok[..., None], value, float(GREY))

    upper = tap(y0, x0) * (1 - fx)[..., None] + tap(y0, x0 + 1) * fx[..., None]
    lower = tap(y0 + 1, x0) * (1 - fx)[..., None] + tap(y0 + 1, x0 + 1) * fx[..., None]
    rgb = (upper * (1 - fy)[..., None] + lower * fy[..., None]) / 255
    change = colour[pick, top]
    rgb = (change[..., :9].unflatten(-1, (3, 3)) @ rgb[..., None])[..., 0] + change[..., 9:]
    return rgb.clamp(0, 1).permute(0, 3, 1, 2)


if triton is not None:

    @triton.jit
    def _tap(base, y, x, ok, SIZE: tl.constexpr, GREY: tl.constexpr):
        return tl.load(base + y * SIZE + x, mask=ok, other=GREY).to(tl.float32)

    @triton.jit
    def _bilinear(base, y0, y1, x0, x1, fy, fx, ok00, ok01, ok10, ok11, SIZE: tl.constexpr, GREY: tl.constexpr):
        upper = _tap(base, y0, x0, ok00, SIZE, GREY) * (1 - fx) + _tap(base, y0, x1, ok01, SIZE, GREY) * fx
        lower = _tap(base, y1, x0, ok10, SIZE, GREY) * (1 - fx) + _tap(base, y1, x1, ok11, SIZE, GREY) * fx
        return (upper * (1 - fy) + lower * fy) / 255

    @triton.jit
    def _render(images, index, rect, scale, shift, coarse, colour, sigmas, out, seed_at, L: tl.constexpr, SIZE: tl.constexpr,
                GREY: tl.constexpr, BLOCK: tl.constexpr):
        """One program renders BLOCK pixels of one picture. out: [B,S,S,3] bfloat16 (channels last)."""
        b = tl.program_id(0)
        pixel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
        inside = pixel < SIZE * SIZE
        x = (pixel % SIZE).to(tl.float32)
        y = (pixel // SIZE).to(tl.float32)
        top = tl.zeros([BLOCK], tl.int32)
        for k in tl.static_range(L):
            r = rect + (b * L + k) * 4
            here = (x >= tl.load(r)) & (x < tl.load(r + 2)) & (y >= tl.load(r + 1)) & (y < tl.load(r + 3))
            top = tl.where(here, k, top)
        layer = b * L + top
        step = tl.load(coarse + layer)
        sx = ((x + 0.5 - tl.load(shift + 2 * layer)) / tl.load(scale + 2 * layer) - 0.5) / step
        sy = ((y + 0.5 - tl.load(shift + 2 * layer + 1)) / tl.load(scale + 2 * layer + 1) - 0.5) / step
        x0f = tl.floor(sx)
        y0f = tl.floor(sy)
        fx = sx - x0f
        fy = sy - y0f
        x0 = tl.floor(x0f * step + 0.5).to(tl.int32)
        x1 = tl.floor((x0f + 1) * step + 0.5).to(tl.int32)
        y0 = tl.floor(y0f * step + 0.5).to(tl.int32)
        y1 = tl.floor((y0f + 1) * step + 0.5).to(tl.int32)
        in_x0 = inside & (x0 >= 0) & (x0 < SIZE)
        in_x1 = inside & (x1 >= 0) & (x1 < SIZE)
        in_y0 = (y0 >= 0) & (y0 < SIZE)
        in_y1 = (y1 >= 0) & (y1 < SIZE)
        ok00 = in_x0 & in_y0
        ok01 = in_x1 & in_y0
        ok10 = in_x0 & in_y1
        ok11 = in_x1 & in_y1
        base = images + tl.load(index + layer).to(tl.int64) * (3 * SIZE * SIZE)
        plane = SIZE * SIZE
        r = _bilinear(base, y0, y1, x0, x1, fy, fx, ok00, ok01, ok10, ok11, SIZE, GREY)
        g = _bilinear(base + plane, y0, y1, x0, x1, fy, fx, ok00, ok01, ok10, ok11, SIZE, GREY)
        u = _bilinear(base + 2 * plane, y0, y1, x0, x1, fy, fx, ok00, ok01, ok10, ok11, SIZE, GREY)
        c = colour + layer * 12
        red = tl.load(c) * r + tl.load(c + 1) * g + tl.load(c + 2) * u + tl.load(c + 9)
        green = tl.load(c + 3) * r + tl.load(c + 4) * g + tl.load(c + 5) * u + tl.load(c + 10)
        blue = tl.load(c + 6) * r + tl.load(c + 7) * g + tl.load(c + 8) * u + tl.load(c + 11)
        sigma = tl.load(sigmas + b)
        if sigma > 0:
            seed = tl.load(seed_at)
            at = b * SIZE * SIZE + pixel
            red += sigma * tl.randn(seed, at)
            green += sigma * tl.randn(seed + 1, at)
            blue += sigma * tl.randn(seed + 2, at)
        place = out + (b.to(tl.int64) * SIZE * SIZE + pixel) * 3
        tl.store(place, tl.minimum(tl.maximum(red, 0.0), 1.0).to(out.dtype.element_ty), mask=inside)
        tl.store(place + 1, tl.minimum(tl.maximum(green, 0.0), 1.0).to(out.dtype.element_ty), mask=inside)
        tl.store(place + 2, tl.minimum(tl.maximum(blue, 0.0), 1.0).to(out.dtype.element_ty), mask=inside)


def run_kernel(images, layers, colour, coarse, sigma, seed, out, block):
    b, count = layers.index.shape
    _render[(b, triton.cdiv(SIZE * SIZE, block))](
        images, layers.index.contiguous(), layers.rect.contiguous(), layers.scale.contiguous(), layers.shift.contiguous(),
        coarse.contiguous(), colour.contiguous(), sigma.contiguous(), out, seed, count, SIZE, GREY, block)


def render(images, layers, colour, coarse, sigma, seed):
    """As render_reference, with noise of deviation sigma [B]; bfloat16, channels last. On a GPU through the kernel.
    seed: int32 [1]."""
    if not images.is_cuda:
        return render_reference(images, layers, colour, coarse)
    out = torch.empty((len(layers.index), SIZE, SIZE, 3), dtype=torch.bfloat16, device=images.device)
    run_kernel(images, layers, colour, coarse, sigma, seed, out, 1024)
    return out.permute(0, 3, 1, 2)


class Cutouts:
    """The objects of real pictures that are worth pasting into others: large enough, and nothing labelled before them.
    image [K], cls [K], box [K,4]; cumulative [K]: to draw them by, class by class as PASTED says."""

    def __init__(self, pictures):
        boxes = pictures.labels[..., 1:]
        side = (boxes[..., 2:] - boxes[..., :2]).amin(-1)
        area = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1e-6).prod(-1)
        there = pictures.labels[..., 0] >= 0
        alone = torch.zeros_like(there)
        for i in range(len(pictures)):  # picture by picture, or the pairs would not fit
            n = int(there[i].sum())
            shared = intersection(boxes[i, :n, None], boxes[i, None, :n]).sum(1) - area[i, :n]
            alone[i, :n] = shared < 0.2 * area[i, :n]
        real = torch.tensor([s != "sim" for s in pictures.sources], device=boxes.device)
        image, slot = (there & alone & (side >= LEAST_PASTED) & real[:, None]).nonzero(as_tuple=True)
        self.image, self.cls, self.box = image, pictures.labels[image, slot, 0], boxes[image, slot]
        count = torch.bincount(self.cls.long(), minlength=len(PASTED)).clamp(min=1)
        weight = (PASTED.to(count.device) / count)[self.cls.long()]
        self.cumulative = (weight / weight.sum()).cumsum(0)

    def to(self, device):
        self.image, self.cls, self.box = self.image.to(device), self.cls.to(device), self.box.to(device)
        self.cumulative = self.cumulative.to(device)
        return self


def draw(cumulative, *shape):
    """Inverse transform sampling: a row is drawn in proportion to its weight."""
    at = torch.searchsorted(cumulative, torch.rand(*shape, device=cumulative.device))
    return at.clamp(max=len(cumulative) - 1)


class Augment:
    """Draws augmented batches from Pictures on their device. `points` [A,2]: the anchors' centres in pixels. `mosaic` and
    `crowding` are chances, tensors on the device, so that a captured step sees their changes."""

    OBJECTS, REGIONS = 1536, 1024  # capacity of the lists of one batch of 64; what is over becomes unlabelled

    def __init__(self, pictures, cutouts, weights, batch, points):
        self.points = points
        device = pictures.images.device
        self.pictures, self.cutouts, self.batch = pictures, cutouts, batch
        self.cumulative = (weights / weights.sum()).cumsum(0).to(device)
        self.seed = torch.zeros(1, dtype=torch.int32, device=device)
        self.objects, self.regions = self.OBJECTS * batch // 64, self.REGIONS * batch // 64
        self.mosaic = torch.tensor(0.75, device=device)
        self.crowding = torch.tensor(1.0, device=device)

    def settle(self):
        """From here on pictures come one by one, hardly anything pasted in."""
        self.mosaic.fill_(0.0)
        self.crowding.fill_(0.25)

    def layers(self):
        """-> the layers' geometry, objects [B,M,5] and ignored regions [B,M,5] in the output."""
        b, device, pictures = self.batch, self.points.device, self.pictures
        tiles = draw_tiles(pictures.content, draw(self.cumulative, b, TILES), torch.rand(b, device=device) < self.mosaic)
        cut = draw(self.cutouts.cumulative, b, PASTES)
        pastes = draw_pastes(self.cutouts.image[cut], self.cutouts.box[cut], 0.35 * self.crowding)
        below = place_boxes(pictures.labels[tiles.index], tiles)
        pasted = place_boxes(torch.cat((self.cutouts.cls[cut, None], self.cutouts.box[cut]), -1)[:, :, None], pastes)
        placed = torch.cat((below.flatten(1, 2), pasted.flatten(1, 2)), 1)
        patches = draw_patches(placed, draw(self.cumulative, b, PATCHES), 0.5 * self.crowding)
        layers = tiles + pastes + patches

        hidden = torch.cat(
            [covered(below.flatten(1, 2)[..., 1:], TILES, layers)]
            + [covered(pasted[:, k, :, 1:], TILES + k + 1, layers) for k in range(PASTES)],
            1,
        )
        objects = placed.clone()
        objects[..., 0] = torch.where(hidden > MOST_COVERED, -1.0, placed[..., 0])
        # What is left of an object that is none any more is no background either; nor is what a patch happens to show.
        remains = torch.cat([place_boxes(pictures.labels[tiles.index], tiles, 0.0).flatten(1, 2), pasted.flatten(1, 2)], 1)
        remains[..., 0] = torch.where(objects[..., 0] >= 0, -1.0, remains[..., 0])
        shown = torch.cat((torch.where(layers.rect[:, -PATCHES:, 2:3] > 0, 0.0, -1.0), layers.rect[:, -PATCHES:]), -1)
        ignored = place_boxes(pictures.ignore[tiles.index], tiles, 0.0).flatten(1, 2)
        return layers, objects, torch.cat((ignored, remains, shown), 1)

    def next(self):
        """-> images [B,3,S,S], objects, ignored regions (padded lists), known [B,A,C]."""
        b, device = self.batch, self.points.device
        layers, objects, regions = self.layers()
        self.seed += 3
        blurred = torch.where(torch.rand(b, LAYERS, device=device) < 0.2, 1 + 2 * torch.rand(b, LAYERS, device=device), 0.0)
        coarse = (blurred / layers.scale.abs().amin(-1)).clamp(min=1)
        sigma = (torch.rand(b, device=device) < 0.3) * 0.04 * torch.rand(b, device=device)
        images = render(self.pictures.images, layers, colours((b, LAYERS), device), coarse, sigma, self.seed)
        return images, pad_list(objects, self.objects), pad_list(regions, self.regions), self._known(layers)

    def _known(self, layers):
        """Which classes are labelled where each anchor lies [B,A,C]: every layer but the patches has its own answer."""
        b, a = len(layers.index), len(self.points)
        x, y = self.points[:, 0].expand(b, a), self.points[:, 1].expand(b, a)
        return self.pictures.known[layers.index.gather(1, layer_at(x, y, layers.rect[:, :-PATCHES]))]
