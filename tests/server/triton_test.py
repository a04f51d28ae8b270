#!/usr/bin/env python3
"""The real tritonclient against a running server with the bundled model: a simulated street in, boxes out.

triton_test.py GANTRY     exits with 77 where tritonclient is missing
"""
import struct
import sys
import time
import zlib

from live_server import MODEL as BUNDLED, Server, packages

packages("numpy", "tritonclient.http")
import numpy as np  # noqa: E402
import tritonclient.http as triton  # noqa: E402
from tritonclient.utils import InferenceServerException  # noqa: E402

MODEL = "gantry-traffic-n"


def png(pixels):
    """A PNG of a [height, width, 3] picture."""
    def part(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(rows, 1)) + part(b"IEND", b"")


def image_input(pictures):
    tensor = triton.InferInput("image", [len(pictures)], "BYTES")
    tensor.set_data_from_numpy(np.array(pictures, dtype=np.object_))
    return tensor


def pixel_input(pixels, binary=True):
    tensor = triton.InferInput("pixels", list(pixels.shape), "UINT8")
    tensor.set_data_from_numpy(pixels, binary_data=binary)
    return tensor


def refused(call, status, *words):
    try:
        call()
    except InferenceServerException as error:
        assert error.status() == str(status), (error.status(), error.message())
        assert any(word in error.message() for word in words), error.message()
        return
    raise AssertionError(f"{words} was taken")


def check(server):
    client = triton.InferenceServerClient(server.url.removeprefix("http://"))
    bearer = {"Authorization": "Bearer " + server.token}

    def infer(inputs, model=MODEL, headers=bearer, **more):
        return client.infer(model, inputs, headers=dict(headers), **more)

    assert client.is_server_live()
    end = time.monotonic() + 60
    while not client.is_server_ready():
        assert time.monotonic() < end, "never ready"
        time.sleep(0.1)
    assert client.is_model_ready(MODEL, headers=dict(bearer))
    assert client.get_server_metadata(headers=dict(bearer))["name"] == "gantry"
    assert client.get_model_metadata(MODEL, headers=dict(bearer))["outputs"][1]["name"] == "boxes"

    # A camera's own picture, as JPEG, gives the boxes that the camera's own results have, within what JPEG changes.
    while True:
        status, jpeg = server.ask("GET", "/api/v1/cameras/north/snapshot.jpg")
        if status == 200:
            break
        assert time.monotonic() < end, "no picture of the camera"
        time.sleep(0.1)
    assert jpeg.startswith(b"\xff\xd8")
    before = server.json("/api/v1/system")["pictures"]
    result = infer([image_input([jpeg])], request_id="mine")
    answer = result.get_response()
    assert answer["id"] == "mine" and answer["model_name"] == MODEL, answer
    count = int(result.as_numpy("num_detections")[0, 0])
    boxes, scores, classes = (result.as_numpy(name) for name in ("boxes", "scores", "classes"))
    assert boxes.shape == (1, count, 4) and scores.shape == classes.shape == (1, count), answer
    assert count > 0, "a simulated junction has something in it"
    assert (scores > 0.25).all() and (np.diff(scores[0]) <= 0).all(), scores
    assert (boxes[..., 2:] >= boxes[..., :2]).all() and boxes.min() >= 0, boxes

    # The same pixels as PNG, as a tensor in binary, and as a batch, agree to the bit.
    rng = np.random.default_rng(1)
    street = np.repeat(np.repeat(rng.integers(0, 255, (45, 80, 3), dtype=np.uint8), 8, 0), 8, 1)
    low = {"conf": 0.001, "max_det": 20}
    as_png = infer([image_input([png(street)])], parameters=low).as_numpy("boxes")
    as_pixels = infer([pixel_input(street)], parameters=low).as_numpy("boxes")
    assert as_png.shape[1] > 0 and np.array_equal(as_png, as_pixels), (as_png, as_pixels)
    batch = infer([pixel_input(np.stack([street, street[::-1], street]))], parameters=low)
    assert batch.as_numpy("num_detections").shape == (3, 1)
    assert np.allclose(batch.as_numpy("boxes")[0], batch.as_numpy("boxes")[2], atol=0.5)
    small = infer([pixel_input(street[:4, :5].copy(), binary=False)],
                  outputs=[triton.InferRequestedOutput("scores", binary_data=False),
                           triton.InferRequestedOutput("boxes", binary_data=True)])
    assert small.as_numpy("scores").ndim == 2 and small.as_numpy("boxes").shape[-1] == 4
    assert small.as_numpy("classes") is None
    for priority in range(5):
        infer([image_input([jpeg])], priority=priority, timeout=20_000_000)

    refused(lambda: infer([image_input([jpeg])], timeout=1), 504, "expired", "predicted_late")
    refused(lambda: infer([image_input([jpeg])], priority=9), 400, "parameters.priority")
    refused(lambda: infer([image_input([jpeg])], model="nothing"), 404, "there is no model nothing")
    refused(lambda: infer([image_input([b"\xff\xd8\xff garbage"])]), 400, "not a picture")
    refused(lambda: infer([image_input([jpeg[:200]])]), 400, "not a picture", "picture 0")
    refused(lambda: infer([pixel_input(np.zeros((4, 4, 4), np.uint8))]), 400, "the last side is 3")
    refused(lambda: infer([image_input([jpeg]), pixel_input(street)]), 400, "one is expected")
    refused(lambda: infer([image_input([jpeg])], request_compression_algorithm="gzip"), 415, "compressed")
    refused(lambda: infer([image_input([jpeg])], headers={}), 401, "Authorization")
    viewer = {"Authorization": "Bearer " + server.tokens["viewer"]}
    refused(lambda: infer([image_input([jpeg])], headers=viewer), 403, "operator")
    lying = triton.InferInput("image", [2], "BYTES")
    lying.set_data_from_numpy(np.array([jpeg, jpeg], dtype=np.object_))
    lying._raw_data = lying._raw_data[:-10]
    lying._parameters["binary_data_size"] = len(lying._raw_data)
    refused(lambda: infer([lying]), 400, "longer than what came")

    # Every picture that entered is in the books.
    after = server.json("/api/v1/system")["pictures"]
    assert after["in_flight"] == 0, after
    assert after["received"] == after["published"] + after["dropped_total"], after
    assert after["received"] - before["received"] == 13 and after["dropped_total"] - before["dropped_total"] == 1, (before, after)
    # The camera beside it was served all the while.
    assert server.json("/api/v1/cameras/north/stats")["state"] == "live"


def main():
    config = BUNDLED + "defaults: {fps: 2, deadline_ms: 5000}\ncameras: {north: {source: 'scene://junction'}}\n"
    with Server(sys.argv[1], config, roles=("viewer", "operator")) as server:
        check(server)
    print("ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
