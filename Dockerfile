# docker build --tag mas-video .          For NVIDIA GPUs: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130
# docker run --rm --init --network none --shm-size 2g --user "$(id -u):$(id -g)" --volume "$PWD:/data" mas-video \
#     mas-labels make --manifest folder --root videos --out labels

# DL3008, a version for each of Debian's packages: it serves only the newest
FROM debian:13-slim AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ make python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/mas-video
COPY . .
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN MAS_REQUIRE_NATIVE=1 PIP_EXTRA_INDEX_URL="$TORCH_INDEX" PIP_NO_CACHE_DIR=1 make install-headless \
        EXTRAS=train,inspect,dask,eval,onnx,tensorboard,parquet,hub,webdataset \
    && .venv/bin/python -m compileall -q mas_labels mas_train

FROM debian:13-slim
LABEL org.opencontainers.image.title="mas-video" \
      org.opencontainers.image.description="Self-supervised video features from motion and appearance statistics" \
      org.opencontainers.image.licenses="MIT"
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/mas-video /opt/mas-video
# HOME: with --user nobody has a home, and matplotlib wants one
ENV PATH=/opt/mas-video/.venv/bin:$PATH HOME=/tmp
USER 1000:1000
WORKDIR /data
CMD ["mas-labels", "doctor"]
