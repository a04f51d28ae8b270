#!/usr/bin/env python3
"""Write a trained detector as ONNX, with weights stored in float16, as Gantry's engines and OpenVINO read it.

usage: export.py ema.pt OUT.onnx [--size n] [--name gantry-traffic-n]

Input `images` float32 [batch,3,height,width] RGB 0…1; output `output0` float32 [batch, 4+classes, anchors]: centre x, centre
y, width, height in pixels of the input, then one probability a class. Batch, height and width are free; the sides must
be multiples of 32. The metadata carries names, stride, imgsz, task and licence.
"""
import argparse
import pathlib

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

import dataset
from evaluate import read_average
from model import BINS, Yolo11, anchor_points, fold_batch_norm


class Deployed(torch.nn.Module):
    """The network with the decode that YOLO11 exports carry, operator by operator, so that every reader of such files
    finds what it knows: maps joined to [B, 4*BINS+C, A], split, the distribution's mean as a 1x1 convolution."""

    def __init__(self, net):
        super().__init__()
        self.net = net
        self.mean = torch.nn.Conv2d(BINS, 1, 1, bias=False)
        self.mean.weight.data = torch.arange(BINS, dtype=torch.float32).view(1, BINS, 1, 1)

    def forward(self, images):
        maps = self.net(images)
        points, strides = anchor_points(maps)
        centres, strides = (points / strides[:, None]).transpose(0, 1)[None], strides[None, None]
        joined = torch.cat([m.view(m.shape[0], 4 * BINS + self.net.classes, -1) for m in maps], 2)
        box, cls = joined.split((4 * BINS, self.net.classes), 1)
        b, _, a = box.shape
        distance = self.mean(box.view(b, 4, BINS, a).transpose(2, 1).softmax(1)).view(b, 4, a)
        left_top, right_bottom = distance.chunk(2, 1)
        x1y1, x2y2 = centres - left_top, centres + right_bottom
        boxes = torch.cat(((x1y1 + x2y2) / 2, x2y2 - x1y1), 1) * strides
        return torch.cat((boxes, cls.sigmoid()), 1)


def store_as_half(model):
    """Large initialisers become float16 with a Cast to float32 behind each; engines fold the Cast at load."""
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.size < 64:
            continue
        half = array.astype(np.float16)
        if not np.isfinite(half).all():
            raise SystemExit(f"{tensor.name} does not fit float16")
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, name + "_fp16"))
        casts.append(helper.make_node("Cast", [name + "_fp16"], [name], name=name + "_cast", to=onnx.TensorProto.FLOAT))
    nodes = casts + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--size", default="n", choices=("n", "s"))
    parser.add_argument("--name", default="gantry-traffic-n")
    args = parser.parse_args()
    net = Yolo11(args.size, len(dataset.NAMES))
    net.load_state_dict(read_average(args.weights))
    deployed = Deployed(fold_batch_norm(net)).eval()
    sample = torch.zeros(1, 3, 640, 640)
    torch.onnx.export(
        deployed, (sample,), str(args.out), opset_version=17, dynamo=False, input_names=["images"], output_names=["output0"],
        dynamic_axes={"images": {0: "batch", 2: "height", 3: "width"}, "output0": {0: "batch", 2: "anchors"}},
    )
    model = onnx.load(args.out)
    store_as_half(model)
    metadata = {
        "description": f"Gantry traffic detector ({args.name}), YOLO11{args.size} architecture, trained from scratch",
        "author": "The Gantry authors",
        "license": "Apache-2.0",
        "task": "detect",
        "stride": "32",
        "batch": "1",
        "imgsz": "[640, 640]",
        "names": str(dict(enumerate(dataset.NAMES))),
        "gantry_name": args.name,
    }
    del model.metadata_props[:]
    helper.set_model_props(model, metadata)
    model.producer_name, model.doc_string = "gantry", ""
    onnx.checker.check_model(model)
    onnx.save(model, args.out)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB, {BINS} bins, {len(dataset.NAMES)} classes")


if __name__ == "__main__":
    main()
