"""The Blender extension's entry point: Blender wants it beside the manifest. The add-on lives in `blender_addon/`."""

from .blender_addon.registration import register, unregister

__all__ = ["register", "unregister"]
