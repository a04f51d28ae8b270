#!/usr/bin/env python3
"""Writes coco_expectation.json: a small made-up data set, detections on it, and what pycocotools says of them.

usage: make_coco_expectation.py > coco_expectation.json      (needs pycocotools; only to make the file anew)

Boxes lie on quarter pixels and scores on 1/64, so that every figure is exact in binary and ties are common.
"""
import contextlib, copy, io, json, random
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

random.seed(20)
CLASSES, IMAGES = 5, 40
images, annotations, results = [], [], []
for i in range(1, IMAGES + 1):
    images.append(dict(id=i, file_name=f'{i}.jpg', width=640, height=480))
    for _ in range(random.choice([0, 1, 3, 8, 20])):
        side = random.choice([8, 20, 40, 70, 120, 250])
        w, h = (max(4, int(side * random.uniform(.6, 1.6) * 4)) / 4 for _ in range(2))
        x, y = int(random.uniform(0, 600) * 4) / 4, int(random.uniform(0, 440) * 4) / 4
        category = random.randrange(CLASSES - 1)  # the last class is never there and only ever guessed
        crowd = int(random.random() < .08)
        area = w * h * random.choice([1, .5])
        annotations.append(dict(id=len(annotations) + 1, image_id=i, category_id=category, bbox=[x, y, w, h], area=area, iscrowd=crowd))
        for _ in range(random.choice([0, 1, 1, 2, 3])):
            jitter = random.choice([.02, .1, .25])
            dx, dy, dw, dh = (int(random.uniform(-jitter, jitter) * side * 4) / 4 for _ in range(4))
            results.append(dict(image_id=i, category_id=category if random.random() < .85 else random.randrange(CLASSES),
                                bbox=[x + dx, y + dy, max(1, w + dw), max(1, h + dh)], score=random.randrange(1, 64) / 64))
# One crowded picture goes over the limit of 100 detections a class.
for k in range(130):
    results.append(dict(image_id=1, category_id=0, bbox=[k * 4, k, 30, 30], score=random.randrange(1, 64) / 64))
truth = dict(images=images, annotations=annotations, categories=[dict(id=c, name=f'class{c}') for c in range(CLASSES)])
with contextlib.redirect_stdout(io.StringIO()):
    coco = COCO()
    coco.dataset = copy.deepcopy(truth)
    coco.createIndex()
    e = COCOeval(coco, coco.loadRes(copy.deepcopy(results)), 'bbox')
    e.evaluate(); e.accumulate(); e.summarize()
per_class = [[float(p[p > -1].mean()) if (p > -1).any() else -1 for p in (e.eval['precision'][:, :, c, 0, 2], e.eval['precision'][:1, :, c, 0, 2])] for c in range(CLASSES)]
names = ['map50_95', 'map50', 'map75', 'small', 'medium', 'large']
expected = dict(zip(names, map(float, e.stats[:6])), recall=float(e.stats[8]), per_class=per_class)
print(json.dumps(dict(truth=truth, results=results, expected=expected), separators=(',', ':')).replace('},{', '},\n{'))
