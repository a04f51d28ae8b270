#!/usr/bin/env python3
"""Train Gantry's traffic detector from scratch on one GPU.

usage: train.py PACK OUT --minutes 20 [--size n] [--batch 64] [--simulated-share 0.2] [--resume OUT/last.pt] [--stop-after 9]

The learning rate follows the clock: --minutes is the length of the whole training, over as many sittings as it takes;
--stop-after ends this sitting early and leaves OUT/last.pt to resume from. OUT/ema.pt (float16) is what export.py reads.
"""
import argparse
import json
import math
import pathlib
import time

import torch

import augment
import dataset
from evaluate import average_precision
from loss import detection_loss
from model import Yolo11, anchor_points

EMA_DECAY = 0.9998
WARM_UP = 500  # steps
PLAIN_FROM = 0.85  # share of the training after which pictures come one by one, without mosaic


def build_optimizer(net, lr):
    decay = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim <= 1]
    groups = [{"params": decay, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.999), fused=next(net.parameters()).is_cuda)


def save(folder, net, ema, optimizer, step, elapsed):
    torch.save(
        {"net": net.state_dict(), "ema": ema.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "elapsed": elapsed},
        folder / "last.pt",
    )
    torch.save({k: v.half() if v.is_floating_point() else v for k, v in ema.state_dict().items()}, folder / "ema.pt")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--stop-after", type=float, help="minutes; end this sitting then")
    parser.add_argument("--size", default="n", choices=("n", "s"))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--simulated-share", type=float, default=0.2, help="of all draws, for pictures of source 'sim'")
    parser.add_argument("--resume", type=pathlib.Path)
    parser.add_argument("--steps", type=int, help="end after so many steps (for a try)")
    parser.add_argument("--limit", type=int, help="read so many pictures only (for a try)")
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    args.out.mkdir(parents=True, exist_ok=True)

    begun = time.time()
    pictures = dataset.load(args.pack, "train", limit=args.limit)
    validation = dataset.load(args.pack, "val", limit=args.limit)
    print(f"{len(pictures)} training pictures, {len(validation)} for validation, {time.time() - begun:.0f} s", flush=True)
    weights = dataset.draw_weights(pictures, args.simulated_share)
    pictures = pictures.to(device)

    classes = len(dataset.NAMES)
    net = Yolo11(args.size, classes).to(device).to(memory_format=torch.channels_last)
    ema = Yolo11(args.size, classes).to(device)
    ema.load_state_dict(net.state_dict())
    optimizer = build_optimizer(net, args.lr)
    step, before = 0, 0.0
    if args.resume:
        saved = torch.load(args.resume, map_location=device)
        net.load_state_dict(saved["net"])
        ema.load_state_dict(saved["ema"])
        optimizer.load_state_dict(saved["optimizer"])
        step, before = saved["step"], saved["elapsed"]
    averaged = [(a, b) for a, b in zip(ema.state_dict().values(), net.state_dict().values()) if a.is_floating_point()]
    ema_tensors, net_tensors = [a for a, _ in averaged], [b for _, b in averaged]

    with torch.no_grad():
        net.eval()
        points, _ = anchor_points(net(torch.zeros(1, 3, dataset.SIZE, dataset.SIZE, device=device)))
        net.train()
    batches = augment.Augment(pictures, weights, args.batch, points)
    on_gpu = device.type == "cuda"
    forward = torch.compile(net) if on_gpu else net
    criterion = torch.compile(detection_loss, dynamic=False) if on_gpu else detection_loss

    total = args.minutes * 60
    sitting_end = (args.stop_after or math.inf) * 60
    start, last, first_step = time.time(), time.time(), step
    while True:
        elapsed = before + time.time() - start
        progress = elapsed / total
        if progress >= 1 or time.time() - begun >= sitting_end or (args.steps and step - first_step >= args.steps):
            break
        batches.mosaic = progress < PLAIN_FROM
        lr = args.lr * min(1, (step + 1) / WARM_UP) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in optimizer.param_groups:
            group["lr"] = lr
        images, objects, regions, known = batches.next()
        with torch.autocast(device.type, torch.bfloat16):
            maps = forward(images)
        loss, parts = criterion([m.float() for m in maps], objects, regions, known)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optimizer.step()
        step += 1
        with torch.no_grad():
            torch._foreach_lerp_(ema_tensors, net_tensors, 1 - EMA_DECAY * (1 - math.exp(-step / 2000)))
        if step % 200 == 0 or not on_gpu or step - first_step in (2, 20):
            now, box_cls_dfl = time.time(), [round(v, 3) for v in parts.tolist()]
            print(f"step {step} {progress:.3f} lr {lr:.5f} box, cls, dfl {box_cls_dfl} {now - last:.1f} s since last", flush=True)
            last = now
        if step % 2000 == 0:
            save(args.out, net, ema, optimizer, step, before + time.time() - start)
    save(args.out, net, ema, optimizer, step, before + time.time() - start)
    ap, objects = average_precision(ema, validation)
    report = {n: {"ap50": round(float(a), 4), "objects": int(o)} for n, a, o in zip(dataset.NAMES, ap, objects)}
    print(json.dumps({"step": step, "minutes": round((before + time.time() - start) / 60, 2), "validation": report}), flush=True)
    (args.out / "report.json").write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
