"""A job of numbered parts on Ray Data: workers hold their state and take one part at a time.

Ray starts the workers where there are cores, gives them parts, and repeats the parts of workers and machines that
end. So a part may run twice, and must have the same effect then.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from fer_service.contract.errors import ClusterError

logger = logging.getLogger(__name__)

PART: Final = "part"
_MAX_CORES: Final = 4  # of a worker: the GIL is full at 5.7 (docs/decisions/gpu-host.md)
_MAX_BLOCKS: Final = 10_000
_RETRIES: Final = 50  # of a part; a machine that ends takes several


def run_parts(
    worker: type, arguments: Mapping[str, Any], parts: Sequence[int], *, workers: int | None, gpus: float
) -> Iterator[dict[str, Any]]:
    """Run parts on the cluster to which this process is connected.

    Args:
        worker: A class whose objects are made with `arguments` and `threads`, the cores that they may use. They
            are called with {"part": number} and return a dictionary of numbers.
        arguments: What its objects are made with.
        parts: Numbers of the parts.
        workers: Maximum number of workers; None takes all cores that the cluster has now. With more, a cluster
            that grows by itself gets more machines.
        gpus: GPUs per worker; a fraction shares one.

    Yields:
        What the workers return, in any order. What is not taken yet holds them up.

    Raises:
        ClusterError: no machine has a core, or the same part failed again and again.
    """
    import ray
    from ray.exceptions import RayError

    machines = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    machines = [cores for cores in machines if cores]
    if not machines:
        raise ClusterError("no machine of the Ray cluster has a core")
    cores = min(_MAX_CORES, *machines)
    if (free := ray.available_resources().get("CPU", 0)) < cores:
        logger.warning("the cluster has %g free cores and a worker takes %d; the job waits for them", free, cores)
    now = sum(machine // cores for machine in machines)
    most = workers or now
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    rows = ray.data.from_items([{PART: part} for part in parts], override_num_blocks=min(len(parts), _MAX_BLOCKS))
    with warnings.catch_warnings():
        # Ray 2.64 will take the last argument by another way.
        warnings.filterwarnings("ignore", "`ray_remote_args` is deprecated")
        done = rows.map(
            worker,
            fn_constructor_kwargs={**arguments, "threads": cores},
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=most, initial_size=min(now, most, len(parts))),
            num_cpus=cores,
            num_gpus=gpus,
            max_task_retries=_RETRIES,
        )
    try:
        yield from done.iter_rows()
    except RayError as error:
        # The lines before the last are the worker's traceback.
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ClusterError(f"the job failed: {reason[-1]}") from error
