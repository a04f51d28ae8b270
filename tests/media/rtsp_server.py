#!/usr/bin/python3
"""A camera for the tests: GStreamer's RTSP server on loopback.

Prints "port N" when it listens. Streams (H.264, a key frame each half second, unless said otherwise):
  /plain    --width x --height at --fps, for ever
  /resize   320x240, then 640x360, and back, every second
  /broken   flips bytes of the coded video
  /hevc     H.265
  /file     the file named by --file, once
  /grey     pictures of one grey each; with --drawn FILE, a line "GREY NANOSECONDS" when each is drawn (monotonic clock)
With --user and --password it wants them (digest) for /plain.
Needs the system's Python (python3-gi); exits with 77 where GStreamer's server is missing.
"""
import argparse
import itertools
import os
import sys
import time

try:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    gi.require_version("GstRtsp", "1.0")
    from gi.repository import GLib, Gst, GstRtsp, GstRtspServer
except (ImportError, ValueError) as error:
    print(f"skip {error}", flush=True)
    sys.exit(77)

H264 = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} bframes=0 threads=1 sliced-threads=false ! video/x-h264,profile=baseline"
PAY = "h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1"


class Camera(GstRtspServer.RTSPMediaFactory):
    """One pipeline shared by all that watch."""

    def __init__(self, launch, on_media=None):
        super().__init__()
        self.set_launch(f"( {launch} )")
        self.set_shared(True)
        if on_media:
            self.connect("media-configure", on_media)


def resize(_factory, media):
    caps = media.get_element().get_by_name("size")
    sizes = [(640, 360), (320, 240)]

    def change():
        width, height = sizes[0]
        sizes.reverse()
        caps.set_property("caps", Gst.Caps.from_string(f"video/x-raw,width={width},height={height},framerate=20/1"))
        return True

    timer = GLib.timeout_add(1000, change)
    media.connect("unprepared", lambda *_: GLib.source_remove(timer))


def grey(drawn):
    """Each picture another grey, written down with its time."""
    lines = open(drawn or os.devnull, "w", buffering=1)
    greys = itertools.cycle(range(10, 250, 12))

    def on_media(_factory, media):
        media.get_element().get_parent().set_latency(0)  # sent when drawn, not a period later
        source = media.get_element().get_by_name("picture")

        def draw(_pad, info):
            found, pixels = info.get_buffer().map(Gst.MapFlags.READ)
            if found:
                lines.write(f"{pixels.data[0]} {time.monotonic_ns()}\n")
                info.get_buffer().unmap(pixels)
            source.set_property("foreground-color", 0xFF000000 | next(greys) * 0x010101)  # of the next picture
            return Gst.PadProbeReturn.OK

        source.get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER, draw)

    return on_media


def lock(server, camera, user, password):
    allowed = GstRtspServer.RTSPPermissions()
    allowed.add_role("viewer")
    for what in ("access", "construct"):
        allowed.add_permission_for_role("viewer", f"media.factory.{what}", True)
    camera.set_permissions(allowed)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    auth.add_digest(user, password, token)
    server.set_auth(auth)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", default="0")
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--fps", type=int, default=20)
    parser.add_argument("--file")
    parser.add_argument("--drawn")
    parser.add_argument("--user")
    parser.add_argument("--password")
    args = parser.parse_args()
    Gst.init(None)

    test = (f"videotestsrc is-live=true pattern=ball ! "
            f"video/x-raw,format=I420,width={args.width},height={args.height},framerate={args.fps}/1")
    h264 = H264.format(gop=max(1, args.fps // 2))
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(args.port)
    mounts = server.get_mount_points()
    plain = Camera(f"{test} ! {h264} ! {PAY}")
    mounts.add_factory("/plain", plain)
    mounts.add_factory("/broken", Camera(f"{test} ! {h264} ! breakmydata skip=60000 probability=0.002 ! {PAY}"))
    mounts.add_factory("/hevc", Camera(f"{test} ! x265enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! "
                                       "h265parse config-interval=-1 ! rtph265pay name=pay0 pt=96 config-interval=-1"))
    mounts.add_factory("/resize", Camera(
        "videotestsrc is-live=true pattern=ball ! capsfilter name=size caps=video/x-raw,width=320,height=240,framerate=20/1 ! "
        f"videoconvert ! {h264} ! {PAY}", resize))
    mounts.add_factory("/grey", Camera(
        f"videotestsrc name=picture is-live=true pattern=solid-color ! video/x-raw,format=I420,width={args.width},"
        f"height={args.height},framerate={args.fps}/1 ! {h264} ! {PAY}", grey(args.drawn)))
    if args.file:
        mounts.add_factory("/file", Camera(f"filesrc location={args.file} ! qtdemux ! {PAY}"))

    if args.user:
        lock(server, plain, args.user, args.password)
    server.attach(None)
    print(f"port {server.get_bound_port()}", flush=True)
    GLib.MainLoop().run()


main()
