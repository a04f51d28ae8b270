"""Task-aligned assignment (Feng et al., TOOD, ICCV 2021) and the three losses: CIoU, distribution focal, BCE.

Everything has a fixed shape and never waits for the device: the objects of a batch lie in one padded list, and instead of
collecting the anchors inside each box, all anchors are scored and those outside count as zero. A compiler can fuse it.
"""
import math

import torch
import torch.nn.functional as F

from model import BINS, anchor_points, decode_boxes, split_maps

TOPK = 10  # anchors an object may claim
ALPHA, BETA = 0.5, 6.0
VEHICLES = slice(1, None)  # every class but the first, person: a rider and what is ridden share anchors
GAINS = {"box": 7.5, "cls": 0.5, "dfl": 1.5}


def iou_xyxy(a, b, eps=1e-7):
    """IoU of broadcastable boxes [...,4], and the union's parts that CIoU needs."""
    lt = torch.maximum(a[..., :2], b[..., :2])
    rb = torch.minimum(a[..., 2:], b[..., 2:])
    wh = (rb - lt).clamp(min=0)
    inter = wh[..., 0] * wh[..., 1]
    wh_a = (a[..., 2:] - a[..., :2]).clamp(min=1e-6)
    wh_b = (b[..., 2:] - b[..., :2]).clamp(min=1e-6)
    return inter / (wh_a[..., 0] * wh_a[..., 1] + wh_b[..., 0] * wh_b[..., 1] - inter + eps), wh_a, wh_b


def ciou_xyxy(a, b, eps=1e-7):
    """Complete IoU (Zheng et al., AAAI 2020)."""
    iou, wh_a, wh_b = iou_xyxy(a, b, eps)
    hull = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    diagonal = hull.pow(2).sum(-1) + eps
    centre = ((a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2).pow(2).sum(-1)
    v = 4 / math.pi**2 * (torch.atan(wh_b[..., 0] / wh_b[..., 1]) - torch.atan(wh_a[..., 0] / wh_a[..., 1])).pow(2)
    with torch.no_grad():
        alpha = v / (1 - iou + v + eps)
    return iou - centre / diagonal - alpha * v


@torch.no_grad()
def assign(scores, boxes, points, objects):
    """scores [B,A,C] probabilities; boxes [B,A,4] px; points [A,2] px; objects: dict of padded lists
    {image [G] int64, cls [G] int64, box [G,4] px, valid [G] bool}.

    Returns target scores [B,A,C], target boxes [B,A,4], foreground [B,A] bool.
    """
    b, a, c = scores.shape
    image, cls, gt, valid = objects["image"], objects["cls"], objects["box"], objects["valid"]
    margin = torch.minimum(points[None] - gt[:, None, :2], gt[:, None, 2:] - points[None]).amin(-1)
    inside = (margin > 1e-6) & valid[:, None]
    overlap = iou_xyxy(boxes[image], gt[:, None])[0] * inside
    metric = scores.transpose(1, 2)[image, cls].pow(ALPHA) * overlap.pow(BETA)

    # The TOPK best anchors of each object. Ten passes of max are cheaper than one sort of 8,400.
    values, indices, rest = [], [], metric
    for _ in range(TOPK):
        v, i = rest.max(-1)
        values.append(v)
        indices.append(i)
        rest = rest.scatter(1, i[:, None], -1.0)
    values, indices = torch.stack(values, 1), torch.stack(indices, 1)
    chosen = values > 1e-9  # [G,TOPK]

    # An anchor that several objects claim goes to the one it overlaps most; among equals, to the first.
    claimed = overlap.gather(1, indices)
    slot = image[:, None] * a + indices
    best = torch.full((b * a,), -1.0, device=gt.device).scatter_reduce(
        0, slot.flatten(), torch.where(chosen, claimed, -1.0).flatten(), "amax"
    )
    chosen = chosen & (claimed >= best[slot])
    g = torch.arange(len(image), device=gt.device)[:, None].expand_as(indices)
    nobody = len(image)
    owner = torch.full((b * a,), nobody, device=gt.device).scatter_reduce(
        0, slot.flatten(), torch.where(chosen, g, nobody).flatten(), "amin"
    )
    chosen = chosen & (owner[slot] == g)

    foreground = owner < nobody
    owner = torch.where(foreground, owner, 0)
    peak_metric = (values * chosen).amax(1)
    peak_overlap = (claimed * chosen).amax(1)
    scale = peak_overlap / (peak_metric + 1e-9)
    anchor_metric = torch.zeros(b * a, device=gt.device).scatter_reduce(
        0, slot.flatten(), (values * chosen).flatten(), "amax"
    )
    strength = anchor_metric * scale[owner] * foreground
    target_scores = (cls[owner][:, None] == torch.arange(c, device=gt.device)).float() * strength[:, None]
    return target_scores.view(b, a, c), gt[owner].view(b, a, 4), foreground.view(b, a)


def detection_loss(maps, objects, ignored, known):
    """maps: three raw maps; objects: see assign(); ignored: like objects without cls, regions whose background is
    unknown; known [B,A,C] float: 1 where the class is labelled around that anchor; the others get no negative loss
    there, save that a labelled vehicle is no other vehicle. Returns the sum and its parts (detached)."""
    points, strides = anchor_points(maps)
    box_logits, cls_logits = split_maps(maps)
    box_logits, cls_logits = box_logits.float(), cls_logits.float()
    boxes = decode_boxes(box_logits, points, strides)
    target_scores, target_boxes, foreground = assign(cls_logits.detach().sigmoid(), boxes.detach(), points, objects)

    b, a, _ = cls_logits.shape
    region = ignored["box"]
    within = torch.minimum(points[None] - region[:, None, :2], region[:, None, 2:] - points[None]).amin(-1) > 0
    hits = torch.zeros(b, a, device=points.device).index_add(
        0, ignored["image"], (within & ignored["valid"][:, None]).float()
    )
    # Whoever labelled an object as one vehicle said that it is no other, whatever else the source left out.
    known = known.clone()
    known[..., VEHICLES] = torch.where(foreground[..., None], 1.0, known[..., VEHICLES])
    counts = known * ((hits == 0) | foreground)[..., None]

    total = target_scores.sum().clamp(min=1)
    loss_cls = (F.binary_cross_entropy_with_logits(cls_logits, target_scores, reduction="none") * counts).sum() / total
    weight = target_scores.sum(-1) * foreground
    safe_targets = torch.where(foreground[..., None], target_boxes, boxes.detach())
    loss_box = ((1 - ciou_xyxy(boxes / strides[:, None], safe_targets / strides[:, None])) * weight).sum() / total

    distance = torch.cat((points - safe_targets[..., :2], safe_targets[..., 2:] - points), -1) / strides[:, None]
    distance = distance.clamp(0, BINS - 1 - 0.01)
    low = distance.long()
    fraction = distance - low
    log_p = box_logits.log_softmax(-1)
    left = log_p.gather(-1, low[..., None]).squeeze(-1)
    right = log_p.gather(-1, low[..., None] + 1).squeeze(-1)
    loss_dfl = (-(left * (1 - fraction) + right * fraction).mean(-1) * weight).sum() / total
    loss = GAINS["box"] * loss_box + GAINS["cls"] * loss_cls + GAINS["dfl"] * loss_dfl
    return loss, torch.stack((loss_box, loss_cls, loss_dfl)).detach()
