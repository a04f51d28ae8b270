#!/usr/bin/env python3
"""Pack a data set into a few large files, so that training reads it at once and a copy to a GPU machine is one transfer.

usage: pack.py DATASET_DIR OUT_DIR [--tier1-only] [--chunk-mb 50] [--name NAME] [--max-side 640]

DATASET_DIR holds images/{train,val}/*.jpg, labels/{train,val}/*.txt (YOLO: class xc yc w h, normalised) and, optionally,
ignore/{train,val}/*.txt (xc yc w h of regions whose background is unknown), per_image.json ({stem: {labelled_classes}})
and sources.json ({sources: {NAME: {provenance_tier}}}; a picture's source is its stem up to "__").
OUT_DIR gets NAME-NN.bin (JPEGs one after another) and NAME-NN.json (one object a picture).
"""
import argparse
import json
import pathlib

import cv2
import numpy as np

JPEG_QUALITY = 90


def rows_of(path):
    return [[float(v) for v in line.split()] for line in path.read_text().splitlines() if line.strip()] if path.exists() else []


def shrink(data, max_side):
    """The JPEG itself where it is small enough, else one of `max_side` pixels on its longer side."""
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    scale = max_side / max(picture.shape[:2])
    if scale >= 1:
        return data
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def fixed_camera(source, camera):
    """The camera that stood still for this picture, or None where each picture is a view of its own."""
    return None if camera is None or camera.split(":")[0] in ("photo", "contributor") else f"{source}/{camera}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--tier1-only", action="store_true", help="leave out sources whose provenance tier is 2")
    parser.add_argument("--chunk-mb", type=float, default=50)
    parser.add_argument("--name", default="data", help="of the files, and the source of pictures whose stem names none")
    parser.add_argument("--max-side", type=int, help="pixels; larger pictures are stored at this size")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    per_image_path = args.dataset / "per_image.json"
    per_image = json.loads(per_image_path.read_text()) if per_image_path.exists() else {}
    sources_path = args.dataset / "sources.json"
    sources = json.loads(sources_path.read_text())["sources"] if sources_path.exists() else {}

    rows, blob, chunk = [], bytearray(), 0

    def flush():
        nonlocal rows, blob, chunk
        if rows:
            (args.out / f"{args.name}-{chunk:02d}.bin").write_bytes(blob)
            (args.out / f"{args.name}-{chunk:02d}.json").write_text(json.dumps(rows))
            chunk += 1
        rows, blob = [], bytearray()

    pictures = 0
    for split in ("val", "train"):
        for image in sorted((args.dataset / "images" / split).glob("*.jpg")):
            stem = image.stem
            source = stem.split("__")[0] if "__" in stem else args.name
            if args.tier1_only and sources.get(source, {}).get("provenance_tier", 1) != 1:
                continue
            data = image.read_bytes()
            if args.max_side:
                data = shrink(data, args.max_side)
            if blob and len(blob) + len(data) > args.chunk_mb * 1e6:
                flush()
            rows.append(
                {
                    "split": split,
                    "source": source,
                    "camera": fixed_camera(source, per_image.get(stem, {}).get("camera")),
                    "offset": len(blob),
                    "bytes": len(data),
                    "labels": [r[:5] for r in rows_of(args.dataset / "labels" / split / f"{stem}.txt")],
                    "ignore": [r[-4:] for r in rows_of(args.dataset / "ignore" / split / f"{stem}.txt")],
                    "known": per_image.get(stem, {}).get("labelled_classes", [0, 1, 2, 3, 4, 5]),
                }
            )
            blob += data
            pictures += 1
    flush()
    print(f"{pictures} pictures in {chunk} chunks")


if __name__ == "__main__":
    main()
