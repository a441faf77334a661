"""The backend as the add-on sees it: its process, the connection to it, and a job that a modal operator ticks.

May import stdlib, numpy, zmq and `wire`. Free of bpy; nothing here blocks: every `tick` keeps to a time budget.
"""
