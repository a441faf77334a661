"""Operators: read the context, build frozen parameters, call a function, report. May import bpy."""
