"""One question, one answer, over gRPC."""

from pathlib import Path

import numpy as np
import tritonclient.grpc as triton

prompt = triton.InferInput("prompt", [1], "BYTES")
prompt.set_data_from_numpy(np.array([b"a large red circle"], dtype=object))
seed = triton.InferInput("seed", [1], "INT64")
seed.set_data_from_numpy(np.array([7]))
answer = triton.InferenceServerClient("127.0.0.1:8001").infer("demo_image", [prompt, seed])
Path("grpc_unary.png").write_bytes(answer.as_numpy("image")[0])
print(answer.as_numpy("info")[0].decode())
