#!/usr/bin/env python3
"""Train Gantry's traffic detector from scratch on one GPU.

usage: train.py PACK OUT --minutes 20 [--size n] [--batch 64] [--simulated-share 0.15] [--resume OUT/last.pt] [--stop-after 9]
       [--init ema.pt]

The learning rate follows the clock: --minutes is the length of the whole training, over as many sittings as it takes, and
counts from the first step: reading pictures and compiling are not in it. --stop-after ends this sitting early and leaves
OUT/last.pt to resume from. OUT/ema.pt (float16) is what export.py reads. --init begins a new training at the weights of an
earlier one.

Compiling takes minutes on a new machine. So that none of them is lost, two processes can share a training:

    train.py PACK OUT --minutes 20 --eager &        # starts at once, without compiled kernels
    train.py PACK OUT --minutes 20 --take-over      # compiles meanwhile, then goes on from where the other one is

--compile-only fills the compiler's cache before there are pictures.
"""
import argparse
import json
import math
import os
import pathlib
import time

import torch

import augment
import dataset
from evaluate import average_precision, read_average
from loss import detection_loss
from model import Yolo11, anchor_points

EMA_DECAY = 0.9998
WARM_UP = 500  # steps
PLAIN_FROM = 0.85  # share of the training after which pictures come one by one, without mosaic
WEIGHT_DECAY = 0.05


def build_optimizer(net, lr):
    """`lr`: a tensor on a GPU, so that a captured step sees its changes; a number on a CPU."""
    decay = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim <= 1]
    groups = [{"params": decay, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}]
    on_gpu = next(net.parameters()).is_cuda
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.999), fused=on_gpu, capturable=on_gpu)


class Step:
    """One step of training: batch, forward, loss, backward, update, average. On a GPU the whole of it is captured once as
    a CUDA graph and replayed, because launching its thousand kernels one by one takes longer than running them."""

    WARM_UP = 4  # steps before the capture, in which kernels are compiled and chosen

    def __init__(self, net, ema, optimizer, batches, compiled):
        self.net, self.optimizer, self.batches = net, optimizer, batches
        self.device = next(net.parameters()).device
        self.on_gpu = self.device.type == "cuda"
        self.forward = torch.compile(net, dynamic=False) if compiled else net
        self.criterion = torch.compile(detection_loss, dynamic=False) if compiled else detection_loss
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
        """Runs WARM_UP steps and captures the next."""
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
    """Whole files only: whoever waits for them may read them as soon as they are there."""
    state = {"net": net.state_dict(), "ema": ema.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "elapsed": elapsed}
    average = {k: v.half() if v.is_floating_point() else v for k, v in ema.state_dict().items()}
    for name, content in (("last.pt", state), ("ema.pt", average)):
        torch.save(content, folder / f"{name}.part")
        os.replace(folder / f"{name}.part", folder / name)


def restore(path, device, net, ema, optimizer):
    """Loads a sitting's state into the tensors that are there, which a captured step goes on using. -> step, elapsed"""
    saved = torch.load(path, map_location=device)
    net.load_state_dict(saved["net"])
    ema.load_state_dict(saved["ema"])
    params = [p for group in optimizer.param_groups for p in group["params"]]
    if not optimizer.state:
        optimizer.load_state_dict(saved["optimizer"])
    else:
        for index, values in saved["optimizer"]["state"].items():
            for name, value in values.items():
                optimizer.state[params[index]][name].copy_(value)
    return saved["step"], saved["elapsed"]


class Baton:
    """How a training passes from one process to another, through files in OUT."""

    def __init__(self, folder):
        self.wanted, self.passed = folder / "wanted", folder / "passed"

    def ask(self, patience=120.0):
        """Asks whoever trains in this folder for the state; True once last.pt is the newest there is."""
        self.passed.unlink(missing_ok=True)
        self.wanted.touch()
        give_up = time.time() + patience
        while time.time() < give_up:
            if self.passed.exists():
                return True
            time.sleep(0.02)
        self.wanted.unlink(missing_ok=True)
        return False

    def is_wanted(self):
        return self.wanted.exists()

    def hand_over(self):
        self.wanted.unlink()
        self.passed.touch()


def compile_only(size, batch, device):
    """Runs forward, loss and backward once on noise of the shapes that training has."""
    classes = len(dataset.NAMES)
    net = Yolo11(size, classes).to(device).to(memory_format=torch.channels_last)
    images = torch.rand(batch, 3, dataset.SIZE, dataset.SIZE, device=device).to(torch.bfloat16, memory_format=torch.channels_last)
    lists = []
    for capacity in (augment.Augment.OBJECTS * batch // 64, augment.Augment.REGIONS * batch // 64):
        corner = torch.rand(capacity, 2, device=device) * 500
        lists.append({
            "image": torch.randint(batch, (capacity,), device=device), "cls": torch.randint(classes, (capacity,), device=device),
            "box": torch.cat((corner, corner + 60), 1), "valid": torch.ones(capacity, dtype=torch.bool, device=device),
        })
    begun = time.time()
    with torch.autocast(device.type, torch.bfloat16, cache_enabled=False):
        maps = torch.compile(net, dynamic=False)(images)
    anchors = sum(m.shape[2] * m.shape[3] for m in maps)
    known = torch.ones(batch, anchors, classes, device=device)
    loss, _ = torch.compile(detection_loss, dynamic=False)([m.float() for m in maps], *lists, known)
    loss.backward()
    torch.cuda.synchronize()
    print(f"compiled in {time.time() - begun:.0f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--stop-after", type=float, help="minutes of training; end this sitting then")
    parser.add_argument("--size", default="n", choices=("n", "s"))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--simulated-share", type=float, default=0.15, help="of all draws, for pictures of source 'sim'")
    parser.add_argument("--resume", type=pathlib.Path)
    parser.add_argument("--init", type=pathlib.Path, help="an ema.pt whose weights to begin with")
    parser.add_argument("--eager", action="store_true", help="don't compile; slower by the step, but starts at once")
    parser.add_argument("--take-over", action="store_true", help="go on with the training that another process began in OUT")
    parser.add_argument("--compile-only", action="store_true", help="fill the compiler's cache and stop")
    parser.add_argument("--steps", type=int, help="end after so many steps (for a try)")
    parser.add_argument("--limit", type=int, help="read so many pictures only (for a try)")
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(1 if args.take_over else 0)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    if args.compile_only:
        compile_only(args.size, args.batch, device)
        return
    args.out.mkdir(parents=True, exist_ok=True)

    begun = time.time()
    pictures = dataset.load(args.pack, "train", limit=args.limit)
    validation = dataset.load(args.pack, "val", limit=args.limit)
    print(f"{len(pictures)} training pictures, {len(validation)} for validation, {time.time() - begun:.0f} s", flush=True)
    weights = dataset.draw_weights(pictures, args.simulated_share)
    cutouts = augment.Cutouts(pictures).to(device)
    pictures = pictures.to(device)

    classes = len(dataset.NAMES)
    net = Yolo11(args.size, classes).to(device).to(memory_format=torch.channels_last)
    if args.init:
        net.load_state_dict(read_average(args.init))
    ema = Yolo11(args.size, classes).to(device).to(memory_format=torch.channels_last)
    ema.load_state_dict(net.state_dict())
    on_gpu = device.type == "cuda"
    lr = torch.tensor(args.lr, device=device) if on_gpu else args.lr
    optimizer = build_optimizer(net, lr)
    step, before = 0, 0.0
    if args.resume:
        step, before = restore(args.resume, device, net, ema, optimizer)
    with torch.no_grad():
        net.eval()
        points, _ = anchor_points(net(torch.zeros(1, 3, dataset.SIZE, dataset.SIZE, device=device)))
        net.train()
    batches = augment.Augment(pictures, cutouts, weights, args.batch, points)
    one = Step(net, ema, optimizer, batches, compiled=on_gpu and not args.eager)
    baton = Baton(args.out)

    def set_rate(rate):
        for group in optimizer.param_groups:
            if on_gpu:
                group["lr"] = lr
                lr.fill_(rate)
            else:
                group["lr"] = rate

    def averaging(at):
        return 1 - EMA_DECAY * (1 - math.exp(-(at + 1) / 2000))

    if on_gpu:
        set_rate(args.lr / WARM_UP)
        one.average_weight.fill_(averaging(step))
        one.capture()
        step += Step.WARM_UP
        print(f"captured a step, {time.time() - begun:.0f} s after the start", flush=True)
    if args.take_over:
        if not baton.ask():
            raise SystemExit(f"nobody trains in {args.out}")
        step, before = restore(args.out / "last.pt", device, net, ema, optimizer)
        print(f"took over at step {step}, {before:.0f} s", flush=True)

    total = args.minutes * 60
    sitting = (args.stop_after or math.inf) * 60
    start, last, first_step, settled = time.time(), time.time(), step, False
    while True:
        spent = time.time() - start
        progress = (before + spent) / total
        if progress >= 1 or spent >= sitting or (args.steps and step - first_step >= args.steps):
            break
        set_rate(args.lr * min(1, (step + 1) / WARM_UP) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))))
        if not settled and progress >= PLAIN_FROM:
            batches.settle()
            settled = True
        one.run(averaging(step))
        step += 1
        if step % 16 == 0:
            if on_gpu:
                torch.cuda.synchronize()  # or the host runs ahead, and the clock says nothing
            if not args.take_over and baton.is_wanted():
                save(args.out, net, ema, optimizer, step, before + time.time() - start)
                baton.hand_over()
                print(f"handed over at step {step}", flush=True)
                return
        if step % 500 == 0 or not on_gpu or step - first_step == 50:
            now, box_cls_dfl = time.time(), [round(v, 3) for v in one.parts.tolist()]
            print(f"step {step} {progress:.3f} box, cls, dfl {box_cls_dfl} {now - last:.1f} s since last", flush=True)
            last = now
        if step % 2000 == 0:
            save(args.out, net, ema, optimizer, step, before + time.time() - start)
    minutes = round((before + time.time() - start) / 60, 2)
    save(args.out, net, ema, optimizer, step, before + time.time() - start)
    report = {"step": step, "minutes": minutes}
    for name, wanted in (("real", False), ("simulated", True)):
        rows = [i for i, s in enumerate(validation.sources) if (s == "sim") == wanted]
        ap, objects = average_precision(ema, validation.subset(rows))
        report[name] = {n: {"ap50": round(float(a), 4), "objects": int(o)} for n, a, o in zip(dataset.NAMES, ap, objects) if o}
    print(json.dumps(report), flush=True)
    (args.out / "report.json").write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
