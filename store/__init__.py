"""flowglass.store: traced prompts on disk, and SQL over them. Needs no torch.

>>> from flowglass.store import open_store
>>> store = open_store("runs/")  # doctest: +SKIP
>>> store.sql("select model, status, n_prompts from runs").df()  # doctest: +SKIP
"""

from .errors import StoreError
from .schema import TABLES
from .store import Store, open_store

__all__ = ["TABLES", "Store", "StoreError", "open_store"]
