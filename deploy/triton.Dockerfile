# NVIDIA's Triton and, on top, what our python models import. Built from the project's root.
FROM nvcr.io/nvidia/tritonserver:26.09-py3

USER root
WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY modelcore modelcore
# Into the container's own Python 3.12: the stub is linked to it and looks nowhere else. Hence --break-system-packages.
# --no-deps keeps NVIDIA's numpy, the one its stub was built for; our "numpy<2" is about the older embedded Triton.
# It also leaves out the clients that no stub imports. The last line fails the build if that is ever not so.
# torch draws noise and steps schedulers, a few thousand numbers at a time: its CPU build is all that is needed.
RUN python3 -m pip install --no-cache-dir --break-system-packages --no-deps --constraint constraints.txt \
        --index-url https://download.pytorch.org/whl/cpu torch \
    && python3 -m pip install --no-cache-dir --break-system-packages --no-deps --constraint constraints.txt \
        pillow tokenizers . \
        diffusers filelock fsspec huggingface_hub importlib_metadata jinja2 markupsafe mpmath networkx packaging \
        pyyaml regex requests safetensors sympy tqdm typing_extensions urllib3 charset-normalizer \
        anyio certifi h11 httpcore2 httpx2 idna truststore \
    && python3 -I -c "import modelcore.stub, modelcore.images, modelcore.text.limits, modelcore.text.tokenizing, modelcore.vision.clip" \
    && python3 -I -c "import modelcore.pipeline_stub, modelcore.image_stub, modelcore.segment_stub"

WORKDIR /opt/tritonserver
# NVIDIA's image brings this user, with id 1000.
USER triton-server
EXPOSE 8000 8001 8002
