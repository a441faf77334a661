"""The wire: the versioned messages between the add-on and the backend, and their codec. docs/wire_protocol.md rules.

May import stdlib and numpy; pyzmq in `transport` only. Free of bpy: the backend imports this room.
"""
