"""Run with: python -m pytest training (needs torch, torchvision, opencv-python-headless, onnx, onnxruntime; no GPU)."""
import os

os.environ.setdefault("TRITON_INTERPRET", "1")
import copy

import numpy as np
import pytest
import torch

import augment
import dataset
import export
import train
from evaluate import average_precision
from loss import TOPK, assign, detection_loss, iou_xyxy
from model import Yolo11, anchor_points, decode_boxes, fold_batch_norm, split_maps


def points_of_640():
    return anchor_points([torch.zeros(1, 1, n, n) for n in (80, 40, 20)])


def test_assign_agrees_with_plain_loops():
    torch.manual_seed(1)
    points, _ = points_of_640()
    points = points[::7]
    a, c, g = len(points), 3, 6
    boxes = torch.cat((points - torch.rand(2, a, 2) * 90, points + torch.rand(2, a, 2) * 90), -1)
    scores = torch.rand(2, a, c)
    corner = torch.rand(g, 2) * 400
    objects = {
        "image": torch.tensor([0, 0, 0, 1, 1, 0]),
        "cls": torch.tensor([0, 1, 2, 0, 1, 0]),
        "box": torch.cat((corner, corner + 60 + torch.rand(g, 2) * 200), 1),
        "valid": torch.tensor([True, True, True, True, True, False]),
    }
    target, _, foreground = assign(scores, boxes, points, objects)

    claims = {}
    for k in range(g):
        if not objects["valid"][k]:
            continue
        b, gt = objects["image"][k].item(), objects["box"][k]
        inside = ((points > gt[:2]) & (points < gt[2:])).all(1)
        overlap = iou_xyxy(boxes[b], gt[None])[0] * inside
        metric = scores[b, :, objects["cls"][k]].sqrt() * overlap**6
        for i in metric.topk(TOPK)[1].tolist():
            if metric[i] > 1e-9:
                claims.setdefault((b, i), []).append((overlap[i].item(), -k, k, metric[i].item()))
    owner = {at: max(who) for at, who in claims.items()}
    assert foreground.nonzero().tolist() == [list(at) for at in sorted(owner)]
    for k in range(g - 1):
        mine = {at: o for at, o in owner.items() if o[2] == k}
        if mine:
            peak_metric, peak_overlap = max(o[3] for o in mine.values()), max(o[0] for o in mine.values())
            for (b, i), o in mine.items():
                want = o[3] * peak_overlap / (peak_metric + 1e-9)
                assert target[b, i, objects["cls"][k]].item() == pytest.approx(want, rel=1e-4)
                assert target[b, i].sum().item() == pytest.approx(want, rel=1e-4)


def test_loss_falls_on_one_picture_and_unknown_classes_get_no_gradient():
    torch.manual_seed(2)
    net = Yolo11("n", 3)
    x = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        anchors = sum(m.shape[2] * m.shape[3] for m in net(x))
    objects = {
        "image": torch.tensor([0]), "cls": torch.tensor([1]), "box": torch.tensor([[20.0, 30.0, 90.0, 100.0]]), "valid": torch.tensor([True]),
    }
    regions = {"image": torch.tensor([0]), "box": torch.zeros(1, 4), "valid": torch.tensor([False])}
    known = torch.tensor([1.0, 1.0, 0.0]).expand(1, anchors, 3)  # of person, bicycle, car
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    first = None
    for _ in range(25):
        loss, _ = detection_loss([m.float() for m in net(x)], objects, regions, known)
        first = first or loss.item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.6 * first
    maps = [m.detach().float().requires_grad_() for m in net(x)]
    detection_loss(maps, objects, regions, known)[0].backward()
    # The unlabelled class hears only that the labelled vehicle is none of it.
    told = sum((m.grad[:, -1] != 0).sum().item() for m in maps)
    assert 0 < told <= TOPK
    assert all((m.grad[:, -3] != 0).all() for m in maps)
    known = torch.tensor([0.0, 1.0, 1.0]).expand(1, anchors, 3)
    maps = [m.detach().float().requires_grad_() for m in net(x)]
    detection_loss(maps, objects, regions, known)[0].backward()
    assert all(m.grad[:, -3].abs().sum() == 0 for m in maps)  # but a rider may sit on it


def some_layers(batch, pictures, mosaic):
    """A pile of every kind of layer, as Augment draws them, from pictures without padding."""
    content = torch.tensor([0.0, 0, dataset.SIZE, dataset.SIZE]).expand(pictures, 4)
    pick = lambda n: torch.randint(0, pictures, (batch, n))
    tiles = augment.draw_tiles(content, pick(augment.TILES), torch.full((batch,), mosaic))
    corner = torch.rand(batch, augment.PASTES, 2) * 400
    pastes = augment.draw_pastes(pick(augment.PASTES), torch.cat((corner, corner + 150), -1), 1.0)
    objects = torch.tensor([[[2.0, 100, 100, 400, 300]]]).expand(batch, 1, 5)
    return tiles + pastes + augment.draw_patches(objects, pick(augment.PATCHES), 1.0)


@pytest.mark.parametrize("mosaic", (True, False))
def test_kernel_agrees_with_the_reference(mosaic):
    pytest.importorskip("triton")
    torch.manual_seed(3)
    images = torch.randint(0, 256, (5, 3, dataset.SIZE, dataset.SIZE), dtype=torch.uint8)
    layers = some_layers(2, len(images), mosaic)
    colour = augment.colours(layers.index.shape, "cpu")
    coarse = 1 + 2 * (torch.rand(layers.index.shape) < 0.5) * torch.rand(layers.index.shape)
    out = torch.empty((2, dataset.SIZE, dataset.SIZE, 3))
    augment.run_kernel(images, layers, colour, coarse, torch.zeros(2), torch.ones(1, dtype=torch.int32), out, 65536)
    difference = (out.permute(0, 3, 1, 2) - augment.render_reference(images, layers, colour, coarse)).abs()
    # Where a coordinate falls on the edge between two source pixels, rounding may choose either.
    assert difference.mean() < 1e-5 and (difference > 1e-3).float().mean() < 1e-4


def test_boxes_follow_the_pixels():
    """A white square on black keeps its box through scale, stretch, shift, crop and flip, as a tile and pasted in."""
    torch.manual_seed(4)
    images = torch.zeros(2, 3, dataset.SIZE, dataset.SIZE, dtype=torch.uint8)
    images[0, :, 200:300, 250:400] = 255
    box = torch.tensor([250.0, 200, 400, 300])
    content = torch.tensor([[0.0, 0, dataset.SIZE, dataset.SIZE]]).expand(2, 4)
    as_it_is = torch.eye(3).flatten().tolist() + [0.0] * 3
    seen = 0
    for _ in range(20):
        for kind in ("tile", "paste"):
            black = torch.ones(1, augment.TILES, dtype=torch.long)
            tiles = augment.draw_tiles(content, black - 1 if kind == "tile" else black, torch.tensor([False]))
            pastes = augment.draw_pastes(
                torch.zeros(1, augment.PASTES, dtype=torch.long), box.expand(1, augment.PASTES, 4), 0.0 if kind == "tile" else 1.0)
            pastes.rect[:, 1:] = 0  # one is enough
            layers = tiles + pastes
            shape = layers.index.shape
            x = augment.render_reference(images, layers, torch.tensor(as_it_is).expand(*shape, 12), torch.ones(shape))[0, 0]
            boxes = torch.cat((torch.zeros(1), box)).expand(1, shape[1], 1, 5)
            placed = augment.place_boxes(boxes, layers)[0, 0 if kind == "tile" else augment.TILES, 0]
            if placed[0] < 0:
                continue
            ys, xs = torch.nonzero(x > 0.9, as_tuple=True)
            lit = torch.tensor([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]).float()
            assert (placed[1:] - lit).abs().max() < 2
            seen += 1
    assert seen > 20


def test_what_is_hidden_is_no_object_and_no_background():
    layers = augment.Geometry(
        torch.tensor([[[0.0, 0, 640, 640], [100, 100, 180, 200]]]), torch.ones(1, 2, 2), torch.zeros(1, 2, 2), torch.zeros(1, 2, dtype=torch.long))
    boxes = torch.tensor([[[100.0, 100, 200, 200], [140, 100, 240, 200], [300, 300, 400, 400]]])
    assert torch.allclose(augment.covered(boxes, 1, layers), torch.tensor([[0.8, 0.4, 0.0]]))


def test_batches_label_what_they_show():
    """Pictures of two sources, in one of which nobody labelled buses, through the whole pipeline."""
    torch.manual_seed(6)
    n, size = 6, dataset.SIZE
    labels = torch.tensor([[2.0, 200, 200, 300, 300], [3.0, 400, 100, 500, 160]]).expand(n, 2, 5).clone()
    known = torch.ones(n, len(dataset.NAMES))
    known[::2, 4] = 0
    pictures = dataset.Pictures(
        torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8), torch.tensor([[0.0, 140, 640, 500]]).expand(n, 4), labels,
        torch.full((n, 1, 5), -1.0), known, ["a"] * n, [None] * n)
    batches = augment.Augment(pictures, augment.Cutouts(pictures), torch.ones(n), 8, points_of_640()[0])
    for settled in (False, True):
        if settled:
            batches.settle()
        images, objects, regions, told = batches.next()
        assert images.shape == (8, 3, size, size) and 0 <= images.min() and images.max() <= 1
        assert objects["valid"].sum() >= 8 and told.shape == (8, 8400, len(dataset.NAMES))
        boxes = objects["box"][objects["valid"]]
        assert (boxes[:, 2:] > boxes[:, :2]).all() and boxes.min() >= 0 and boxes.max() <= size
        assert set(objects["cls"][objects["valid"]].tolist()) <= {2, 3}
        assert (told[..., [0, 1, 2, 3, 5]] == 1).all() and 0 < told[..., 4].mean() < 1


def test_ignored_regions_excuse_and_a_missed_object_costs():
    """A net that finds the labelled square, one in an ignored region and nothing else is perfect; without the region it
    is not."""

    class Found(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))

        def forward(self, x):
            maps = [torch.full((len(x), 64 + len(dataset.NAMES), n, n), -20.0) for n in (80, 40, 20)]
            for row, col, score in ((10, 10, 2.0), (30, 30, 3.0)):  # boxes of 32 pixels: two cells to each side
                maps[0][:, [2 + 16 * side for side in range(4)], row, col] = 20.0
                maps[0][:, 64 + 2, row, col] = score
            return maps

    box = lambda n: torch.tensor([[[2.0, 8 * n - 12, 8 * n - 12, 8 * n + 20, 8 * n + 20]]])
    nothing = torch.full((1, 1, 5), -1.0)
    for ignore, want in ((box(30), 1.0), (nothing, 0.5)):
        pictures = dataset.Pictures(
            torch.zeros(1, 3, dataset.SIZE, dataset.SIZE, dtype=torch.uint8), torch.tensor([[0.0, 0, 640, 640]]), box(10), ignore, torch.ones(1, len(dataset.NAMES)), ["a"], [None])
        ap, objects = average_precision(Found(), pictures)
        assert objects[2] == 1 and ap[2] == pytest.approx(want, abs=1e-6)


def test_a_sitting_goes_on_in_the_tensors_of_another(tmp_path):
    def sitting():
        net, ema = Yolo11("n", 6), Yolo11("n", 6)
        optimizer = train.build_optimizer(net, 1e-3)
        sum(m.sum() for m in net(torch.rand(1, 3, 64, 64))).backward()
        optimizer.step()
        return net, ema, optimizer

    first, second = sitting(), sitting()
    train.save(tmp_path, *first, 7, 3.5)
    tensors = [*second[0].parameters(), *(v for s in second[2].state.values() for v in s.values())]
    assert train.restore(tmp_path / "last.pt", "cpu", *second) == (7, 3.5)
    assert all(a is b for a, b in zip(tensors, [*second[0].parameters(), *(v for s in second[2].state.values() for v in s.values())]))
    states = [[s[k] for s in o.state.values() for k in ("step", "exp_avg", "exp_avg_sq")] for _, _, o in (first, second)]
    assert all(torch.equal(a, b) for a, b in zip(*states))
    assert all(torch.equal(a, b) for a, b in zip(first[0].parameters(), second[0].parameters()))


def test_folding_and_export_keep_the_answers(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    torch.manual_seed(5)
    net = Yolo11("n", len(dataset.NAMES)).train()
    for _ in range(2):
        net(torch.rand(2, 3, 64, 64))  # moves the running statistics off their start
    net.eval()
    torch.save(net.state_dict(), tmp_path / "ema.pt")
    x = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        maps = net(x)
        folded = fold_batch_norm(copy.deepcopy(net))(x)
        points, strides = anchor_points(maps)
        box_logits, cls_logits = split_maps(maps)
        want = torch.cat((decode_boxes(box_logits, points, strides), cls_logits.sigmoid()), -1)
    assert max((a - b).abs().max() for a, b in zip(maps, folded)) < 1e-3
    import sys

    out = tmp_path / "model.onnx"
    sys.argv = ["export.py", str(tmp_path / "ema.pt"), str(out)]
    export.main()
    got = onnxruntime.InferenceSession(str(out)).run(None, {"images": x.numpy()})[0].transpose(0, 2, 1)
    centre, size = got[..., :2], got[..., 2:4]
    corners = np.concatenate((centre - size / 2, centre + size / 2), -1)
    assert np.abs(corners - want[..., :4].numpy()).max() < 0.5  # float16 weights
    assert np.abs(got[..., 4:] - want[..., 4:].numpy()).max() < 5e-3
