"""Batch conversion: many clips to animation files, on one machine or many, resumed where it stopped.

May import `backend.export`, `backend.visualization`, `backend.pipeline` and what they rest on; `ray` and `fsspec`
only in the modules that exist for them. The stages of one clip: `inputs` lists it, `planning` gives it a name and a
key, `steps` does its work in whichever process the executor has (`local_executor` or `ray_executor`),
`clip_scheduler` decides what comes next, `records` keeps what was done.
"""
