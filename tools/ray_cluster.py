"""A Ray cluster on this machine for tests and benchmarks: `python tools/ray_cluster.py --workers 2`.

A head without processors and workers with one each. Prints the address, and lives as long as its standard input.
"""

from __future__ import annotations

import argparse
import sys

from ray.cluster_utils import Cluster


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 100_000_000}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(options.workers):
        cluster.add_node(num_cpus=1, object_store_memory=100_000_000)
    cluster.wait_for_nodes(timeout=180)
    print(cluster.address, flush=True)
    sys.stdin.read()
    cluster.shutdown()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
