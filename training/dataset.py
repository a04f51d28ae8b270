"""Reads packed pictures (pack.py) into memory: uint8 pixels, padded label lists, and how often to draw each picture."""
import collections
import json
import pathlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch

NAMES = ("person", "bicycle", "car", "motorcycle", "bus", "truck")
VIEWS_OF_A_CAMERA = 150  # pictures of one fixed camera that are worth as much as so many views of their own
SIZE = 640  # pixels; pictures are letterboxed to SIZE x SIZE
GREY = 114


class Pictures:
    """images [N,3,SIZE,SIZE] uint8 RGB; content [N,4]: the part that is no padding, xyxy px; labels and ignore [N,M,5] (class,
    xyxy px; class -1 pads); known [N,C] float; sources and cameras: lists of N names (camera None: a view of its own)."""

    def __init__(self, images, content, labels, ignore, known, sources, cameras):
        self.images, self.content, self.labels, self.ignore, self.known = images, content, labels, ignore, known
        self.sources, self.cameras = sources, cameras

    def to(self, device):
        tensors = (self.images, self.content, self.labels, self.ignore, self.known)
        return Pictures(*(t.to(device) for t in tensors), self.sources, self.cameras)

    def subset(self, rows):
        tensors = (self.images, self.content, self.labels, self.ignore, self.known)
        names = (self.sources, self.cameras)
        return Pictures(*(t[rows] for t in tensors), *([n[i] for i in rows] for n in names))

    def __len__(self):
        return len(self.images)


def load(folder, split, workers=16, limit=None):
    rows = []
    for index in sorted(pathlib.Path(folder).glob("*.json")):
        blob = index.with_suffix(".bin").read_bytes()
        rows += [(blob, r) for r in json.loads(index.read_text()) if r["split"] == split]
    rows = rows[:limit]
    images = torch.full((len(rows), 3, SIZE, SIZE), GREY, dtype=torch.uint8)

    def one(i):
        blob, row = rows[i]
        data = np.frombuffer(blob, np.uint8, row["bytes"], row["offset"])
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR)[:, :, ::-1]
        h, w = picture.shape[:2]
        scale = SIZE / max(h, w)
        if scale != 1:
            how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            picture = cv2.resize(np.ascontiguousarray(picture), (round(w * scale), round(h * scale)), interpolation=how)
        h, w = picture.shape[:2]
        y, x = (SIZE - h) // 2, (SIZE - w) // 2
        images[i, :, y : y + h, x : x + w] = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)

        def corners(boxes):
            b = np.array(boxes, np.float32).reshape(-1, 5)
            cx, cy, bw, bh = b[:, 1] * w + x, b[:, 2] * h + y, b[:, 3] * w, b[:, 4] * h
            return np.stack((b[:, 0], cx - bw / 2, cy - bh / 2, cx + bw / 2, cy + bh / 2), 1)

        return corners(row["labels"]), corners([[0, *b] for b in row["ignore"]]), [x, y, x + w, y + h]

    with ThreadPoolExecutor(workers) as pool:
        parsed = list(pool.map(one, range(len(rows))))

    def padded(lists):
        most = max([len(b) for b in lists] + [1])
        out = torch.full((len(lists), most, 5), -1.0)
        for i, b in enumerate(lists):
            out[i, : len(b)] = torch.from_numpy(b)
        return out

    known = torch.zeros(len(rows), len(NAMES))
    for i, (_, row) in enumerate(rows):
        known[i, row["known"]] = 1
    labels, ignore = padded([p[0] for p in parsed]), padded([p[1] for p in parsed])
    content = torch.tensor([p[2] for p in parsed], dtype=torch.float32).reshape(-1, 4)
    return Pictures(images, content, labels, ignore, known, [r["source"] for _, r in rows], [r.get("camera") for _, r in rows])


def draw_weights(pictures, simulated_share):
    """Repeat-factor sampling (Gupta et al., LVIS, CVPR 2019): a picture is drawn as often as its rarest class wants,
    sqrt(threshold / frequency), and the more often the more classes its source labelled. A fixed camera shows little that is
    new after VIEWS_OF_A_CAMERA pictures. Pictures of source "sim" together get `simulated_share` of all draws."""
    cls = pictures.labels[..., 0].long()
    has = torch.stack([(cls == c).any(1) for c in range(len(NAMES))], 1).float()
    simulated = torch.tensor([s == "sim" for s in pictures.sources])
    frequency = has[~simulated].mean(0).clamp(min=1e-4)
    factor = (0.5 / frequency).sqrt().clamp(min=1, max=4)
    weight = torch.where(has.sum(1) > 0, (has * factor).amax(1), torch.tensor(0.5))
    weight *= 0.5 + pictures.known.mean(1)
    shown = collections.Counter(pictures.cameras)
    weight *= torch.tensor([min(1.0, VIEWS_OF_A_CAMERA / shown[c]) if c else 1.0 for c in pictures.cameras])
    if simulated.any() and not simulated.all():
        weight[simulated] *= simulated_share / (1 - simulated_share) * weight[~simulated].sum() / weight[simulated].sum()
    return weight
