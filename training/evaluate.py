"""Average precision at IoU 0.5 (COCO's 101 points) at the end of a training, like `gantry val` save that a box in an
ignored region is excused only where it matches nothing: a hidden car's region may cover a car in front of it."""
import numpy as np
import torch
import torch.nn.functional as F
import torchvision

from dataset import NAMES, SIZE
from loss import iou_xyxy
from model import anchor_points, decode_boxes, split_maps


def share_within(boxes, regions):
    """Share of each box's area that lies in each region: boxes [N,4], regions [M,4] -> [N,M]."""
    lt = torch.maximum(boxes[:, None, :2], regions[None, :, :2])
    rb = torch.minimum(boxes[:, None, 2:], regions[None, :, 2:])
    area = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-6).prod(1)
    return (rb - lt).clamp(min=0).prod(2) / area[:, None]


def read_average(path):
    """The float32 weights of an ema.pt."""
    saved = torch.load(path, map_location="cpu")
    return {k: v.float() if v.is_floating_point() else v for k, v in saved.items()}


@torch.no_grad()
def average_precision(net, pictures, size=SIZE, confidence=0.001, iou=0.5, batch=32):
    """Pictures are scaled to `size` x `size` for the network. -> (AP a class, number of objects a class); only pictures in which the class is labelled count for it. A detection
    that matches no object and lies for the most part in a region of unknown content counts neither way."""
    net.eval()
    device = next(net.parameters()).device
    scores_of, hits_of, objects = [[] for _ in NAMES], [[] for _ in NAMES], np.zeros(len(NAMES), int)
    for start in range(0, len(pictures), batch):
        x = pictures.images[start : start + batch].to(device).float() / 255
        if size != SIZE:
            x = F.interpolate(x, (size, size), mode="bilinear", antialias=size < SIZE)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            maps = net(x)
        maps = [m.float() for m in maps]
        points, strides = anchor_points(maps)
        box_logits, cls_logits = split_maps(maps)
        boxes = decode_boxes(box_logits, points, strides) * (SIZE / size)
        scores = cls_logits.sigmoid()
        for j in range(len(x)):
            labels, ignore = pictures.labels[start + j].to(device), pictures.ignore[start + j].to(device)
            anchor, c = (scores[j] > confidence).nonzero(as_tuple=True)  # a box may be found once a class
            b, s = boxes[j][anchor], scores[j][anchor, c]
            order = torchvision.ops.batched_nms(b, s, c, 0.7)[:300]
            b, s, c = b[order], s[order], c[order].cpu().numpy()
            overlap = iou_xyxy(b[:, None], labels[None, :, 1:])[0].cpu().numpy()
            excused = (share_within(b, ignore[:, 1:]) >= 0.5).any(1).cpu().numpy()
            s, label_cls = s.cpu().numpy(), labels[:, 0].cpu().numpy()
            for k in range(len(NAMES)):
                if not pictures.known[start + j, k]:
                    continue
                truth = np.flatnonzero(label_cls == k)
                objects[k] += len(truth)
                mine = np.flatnonzero(c == k)
                hit, used = np.zeros(len(mine), bool), np.zeros(len(truth), bool)
                for n, row in enumerate(mine):
                    o = np.where(used, -1, overlap[row, truth])
                    if len(o) and o.max() >= iou:
                        used[o.argmax()] = hit[n] = True
                counts = hit | ~excused[mine]
                scores_of[k].append(s[mine][counts])
                hits_of[k].append(hit[counts])
    net.train()
    ap = np.full(len(NAMES), np.nan)
    for k in range(len(NAMES)):
        if not objects[k]:
            continue
        s, h = np.concatenate(scores_of[k]), np.concatenate(hits_of[k])
        h = h[np.argsort(-s, kind="stable")]
        recall = np.cumsum(h) / objects[k]
        precision = np.maximum.accumulate((np.cumsum(h) / np.arange(1, len(h) + 1))[::-1])[::-1]
        at = np.searchsorted(recall, np.linspace(0, 1, 101))
        ap[k] = np.where(at < len(precision), np.append(precision, 0)[np.minimum(at, len(precision))], 0).mean()
    return ap, objects


def main():
    """usage: evaluate.py PACK ema.pt [--size n] [--imgsz 640]   AP50 by source and class on the validation pictures of PACK."""
    import argparse

    import dataset
    from model import Yolo11

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("pack")
    parser.add_argument("weights")
    parser.add_argument("--size", default="n", choices=("n", "s"))
    parser.add_argument("--imgsz", type=int, default=SIZE, help="side of the network's input, a multiple of 32")
    args = parser.parse_args()
    pictures = dataset.load(args.pack, "val")
    net = Yolo11(args.size, len(NAMES)).to("cuda" if torch.cuda.is_available() else "cpu")
    net.load_state_dict(read_average(args.weights))
    real = [s != "sim" for s in pictures.sources]
    groups = {"all real": real, **{s: [q == s for q in pictures.sources] for s in sorted(set(pictures.sources))}}
    print(f"{'source':10} pictures  " + "  ".join(f"{n:>16}" for n in NAMES))
    for name, chosen in groups.items():
        rows = [i for i, c in enumerate(chosen) if c]
        ap, objects = average_precision(net, pictures.subset(rows), args.imgsz)
        cells = [f"{a:.3f} of {o:6d}" if o else "-" for a, o in zip(ap, objects)]
        print(f"{name:10} {len(rows):8d}  " + "  ".join(f"{c:>16}" for c in cells), flush=True)


if __name__ == "__main__":
    main()
