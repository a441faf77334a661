"""The service: one ROUTER socket, a bounded job queue on disk, one worker process per device. docs/wire_protocol.md.

May import zmq, psutil, `blender_addon.wire`, `backend.pipeline` (inside the worker only), types and errors.
"""
