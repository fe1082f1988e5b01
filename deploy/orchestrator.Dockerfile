# The REST service: no torch, no Triton, no model. Built from the project's root.
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1
WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY modelcore modelcore
COPY orchestrator orchestrator
RUN python -m pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt ".[orchestrator]" \
    && python -I -c "import orchestrator.app" \
    && useradd --system --uid 10001 --no-create-home triptych \
    && install --directory --owner triptych /state
COPY families /families

ENV TRIPTYCH_STATE_FOLDER=/state
WORKDIR /
USER 10001
EXPOSE 8080
# Listens on 127.0.0.1 until told otherwise; docker-compose.yml does, because there the network around it is private.
CMD ["python", "-m", "orchestrator"]
