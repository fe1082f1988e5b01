"""Watch a picture being painted: every step is an event of a gRPC stream."""

import queue
from pathlib import Path

import numpy as np
import tritonclient.grpc as triton

events = queue.Queue()
prompt = triton.InferInput("prompt", [1], "BYTES")
prompt.set_data_from_numpy(np.array([b"a large red circle"], dtype=object))
with triton.InferenceServerClient("127.0.0.1:8001") as client:
    client.start_stream(lambda result, error: events.put(error or result))
    client.async_stream_infer("demo", [prompt])
    while (event := events.get()).as_numpy("image") is None:
        print(f"step {event.as_numpy('step')[0]} of {event.as_numpy('steps')[0]}")
Path("grpc_stream.png").write_bytes(event.as_numpy("image")[0])
