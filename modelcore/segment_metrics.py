"""What `segment` tells Prometheus, on Triton's metrics port, of the pictures that it keeps. Is handed `pb_utils`."""

import threading
from typing import Any

from modelcore.vision.embedding_cache import CacheCounts

HITS = "triptych_segment_cache_hits_total"
MISSES = "triptych_segment_cache_misses_total"
NBYTES = "triptych_segment_cache_bytes"


class CacheMetrics:
    def __init__(self, pb_utils: Any) -> None:
        families = pb_utils.MetricFamily
        self._families = [
            families(name=HITS, description="Pictures that needed no encoder", kind=families.COUNTER),
            families(name=MISSES, description="Pictures that were encoded", kind=families.COUNTER),
            families(name=NBYTES, description="Bytes of the pictures that are kept", kind=families.GAUGE),
        ]
        self._hits, self._misses, self._nbytes = (family.Metric(labels={}) for family in self._families)
        self._told = CacheCounts(0, 0, 0)
        self._lock = threading.Lock()

    def tell(self, counts: CacheCounts) -> None:
        """Counters only grow: two threads may come here with counts in the wrong order."""
        with self._lock:
            self._hits.increment(max(0, counts.hits - self._told.hits))
            self._misses.increment(max(0, counts.misses - self._told.misses))
            self._nbytes.set(counts.nbytes)
            most = CacheCounts(max(counts.hits, self._told.hits), max(counts.misses, self._told.misses), counts.nbytes)
            self._told = most
