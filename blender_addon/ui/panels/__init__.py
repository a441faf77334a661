"""Panels of the sidebar's Marionet tab: they draw state and settings, and decide nothing. May import bpy."""
