# cmae_mm with everything around it. See docs/install.md.
#
#   docker build -t cmae_mm .                                  # CPU
#   docker build -t cmae_mm --build-arg CUDA=1 .               # GPUs; compiles for them
ARG CUDA=0
FROM debian:bookworm-slim AS base-0
# The tag says the toolkit; torch 2.11 is built for CUDA 13.0.
FROM nvidia/cuda:13.0.1-devel-ubuntu22.04 AS base-1

FROM base-${CUDA}
ARG CUDA
ENV DEBIAN_FRONTEND=noninteractive
RUN apt-get update && apt-get install -y --no-install-recommends \
        ca-certificates g++ git libgl1 libglib2.0-0 make python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/cmae_mm
COPY . .
# The compiled operators are for the GPUs of these generations.
ENV FORCE_CUDA=${CUDA} TORCH_CUDA_ARCH_LIST="8.0 8.6 9.0 10.0"
RUN make setup && rm -rf /root/.cache
ENV PATH=/opt/cmae_mm/.venv/bin:$PATH
CMD ["cmae", "--help"]
