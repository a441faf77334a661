"""Batch conversion: many clips to animation files, on one machine or many, resumed where it stopped.

May import `backend.export`, `backend.visualization`, `backend.pipeline` and what they rest on; `ray` and `fsspec` only in
the modules that exist for them. One clip's way: `inputs` lists it, `planning` gives it a name and a key, `steps` does
its work in whichever process the executor has (`pool` or `ray_engine`), `scheduler` decides what comes next, `records`
remembers, `report` and `page` tell.
"""
