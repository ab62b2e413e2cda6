"""Progress bars for what takes longer than a second, where tqdm is installed."""

from __future__ import annotations

import time
from typing import Any

_PATIENCE = 1.0


class Bar:
    """Told (done, total), it shows a bar from the moment a second has passed. Without tqdm, or where disabled, it does nothing."""

    def __init__(self, what: str, enabled: bool = True):
        self._what = what
        self._start = time.monotonic()
        self._bar: Any = None
        self._enabled = enabled

    def __call__(self, done: int, total: int) -> None:
        if self._bar is None:
            if not self._enabled or time.monotonic() - self._start < _PATIENCE or done >= total:
                return
            try:
                from tqdm.auto import tqdm
            except ImportError:
                self._enabled = False
                return
            self._bar = tqdm(total=total, desc=self._what, initial=done, leave=False)
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: Any) -> None:
        if self._bar is not None:
            self._bar.close()
