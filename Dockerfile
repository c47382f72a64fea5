# The command structsr, on the CPU:
#
#     docker build -t structsr .
#     docker run --rm -u "$(id -u):$(id -g)" -v "$PWD:/data" structsr upscale in.tif out.ome.zarr
#
# For NVIDIA cards add --build-arg TORCH=https://download.pytorch.org/whl/cu128 to the
# first and --gpus all to the second.

FROM python:3.13-bookworm AS build
COPY . /source
# git, which this image has, tells the version
RUN git config --global --add safe.directory /source \
    && pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /source

FROM python:3.13-slim-bookworm
ARG TORCH=https://download.pytorch.org/whl/cpu
RUN pip install --no-cache-dir torch torchvision --index-url "$TORCH"
RUN --mount=from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir "$(ls /wheels/*.whl)[formats,report,zoo]"
# whoever runs it has no home here
ENV HOME=/tmp STRUCTSR_MODELS=/data/models
WORKDIR /data
ENTRYPOINT ["structsr"]
CMD ["--help"]
