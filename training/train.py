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
    """`lr`: a tensor on a GPU, so that a captured step sees its changes; a number on a CPU."""
    decay = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim <= 1]
    groups = [{"params": decay, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}]
    on_gpu = next(net.parameters()).is_cuda
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.999), fused=on_gpu, capturable=on_gpu)


class Step:
    """One step of training: batch, forward, loss, backward, update, average. On a GPU the whole of it is captured once as
    a CUDA graph and replayed, because launching its thousand kernels one by one takes longer than running them."""

    WARM_UP = 4  # steps before the capture, in which kernels are compiled and chosen

    def __init__(self, net, ema, optimizer, batches):
        self.net, self.optimizer, self.batches = net, optimizer, batches
        self.device = next(net.parameters()).device
        self.on_gpu = self.device.type == "cuda"
        self.forward = torch.compile(net) if self.on_gpu else net
        self.criterion = torch.compile(detection_loss, dynamic=False) if self.on_gpu else detection_loss
        pairs = [(a, b) for a, b in zip(ema.state_dict().values(), net.state_dict().values()) if a.is_floating_point()]
        self.averages, self.values = [a for a, _ in pairs], [b for _, b in pairs]
        self.average_weight = torch.zeros((), device=self.device)
        self.parts = torch.zeros(3, device=self.device)
        self.graph = None

    def _body(self):
        images, objects, regions, known = self.batches.next()
        with torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False):
            maps = self.forward(images)
        loss, parts = self.criterion([m.float() for m in maps], objects, regions, known)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 10.0)
        self.optimizer.step()
        with torch.no_grad():
            change = torch._foreach_sub(self.values, self.averages)
            torch._foreach_mul_(change, self.average_weight)
            torch._foreach_add_(self.averages, change)
            self.parts.copy_(parts)

    def capture(self):
        """Runs WARM_UP steps and captures the next. To be called again when the batches change their kind."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(self.WARM_UP):
                self.optimizer.zero_grad(set_to_none=True)
                self._body()
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.synchronize()
        self.optimizer.zero_grad(set_to_none=True)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self._body()

    def run(self, average_weight):
        self.average_weight.fill_(average_weight)
        if self.graph is not None:
            self.graph.replay()
        else:
            self.optimizer.zero_grad(set_to_none=True)
            self._body()


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
    ema = Yolo11(args.size, classes).to(device).to(memory_format=torch.channels_last)
    ema.load_state_dict(net.state_dict())
    on_gpu = device.type == "cuda"
    lr = torch.tensor(args.lr, device=device) if on_gpu else args.lr
    optimizer = build_optimizer(net, lr)
    step, before = 0, 0.0
    if args.resume:
        saved = torch.load(args.resume, map_location=device)
        net.load_state_dict(saved["net"])
        ema.load_state_dict(saved["ema"])
        optimizer.load_state_dict(saved["optimizer"])
        step, before = saved["step"], saved["elapsed"]
    with torch.no_grad():
        net.eval()
        points, _ = anchor_points(net(torch.zeros(1, 3, dataset.SIZE, dataset.SIZE, device=device)))
        net.train()
    batches = augment.Augment(pictures, weights, args.batch, points)
    one = Step(net, ema, optimizer, batches)

    total = args.minutes * 60
    sitting_end = (args.stop_after or math.inf) * 60
    start, last, first_step = time.time(), time.time(), step
    while True:
        elapsed = before + time.time() - start
        progress = elapsed / total
        if progress >= 1 or time.time() - begun >= sitting_end or (args.steps and step - first_step >= args.steps):
            break
        rate = args.lr * min(1, (step + 1) / WARM_UP) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in optimizer.param_groups:
            if on_gpu:
                group["lr"] = lr
                lr.fill_(rate)
            else:
                group["lr"] = rate
        mosaic = progress < PLAIN_FROM
        if on_gpu and (one.graph is None or mosaic != batches.mosaic):
            batches.mosaic = mosaic
            one.average_weight.fill_(1 - EMA_DECAY * (1 - math.exp(-(step + 1) / 2000)))
            one.capture()
            step += Step.WARM_UP
            print(f"captured a step after {time.time() - start:.1f} s", flush=True)
        batches.mosaic = mosaic
        one.run(1 - EMA_DECAY * (1 - math.exp(-(step + 1) / 2000)))
        step += 1
        if on_gpu and step % 16 == 0:
            torch.cuda.synchronize()  # or the host runs ahead, and the clock says nothing
        if step % 500 == 0 or not on_gpu or step - first_step == 50:
            now, box_cls_dfl = time.time(), [round(v, 3) for v in one.parts.tolist()]
            print(f"step {step} {progress:.3f} lr {rate:.5f} box, cls, dfl {box_cls_dfl} {now - last:.1f} s since last", flush=True)
            last = now
        if step % 4000 == 0:
            save(args.out, net, ema, optimizer, step, before + time.time() - start)
    save(args.out, net, ema, optimizer, step, before + time.time() - start)
    ap, objects = average_precision(ema, validation)
    report = {n: {"ap50": round(float(a), 4), "objects": int(o)} for n, a, o in zip(dataset.NAMES, ap, objects)}
    print(json.dumps({"step": step, "minutes": round((before + time.time() - start) / 60, 2), "validation": report}), flush=True)
    (args.out / "report.json").write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
