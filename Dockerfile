# One image for everything of ours: the code server, the webservers, the daemon and migrations.

FROM python:3.13-slim-trixie AS environment
WORKDIR /opt/stock-assets
RUN python -m venv .venv
COPY requirements.lock ./
RUN .venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
COPY pyproject.toml ./
COPY embedded embedded
COPY resources resources
COPY stock_assets stock_assets
RUN .venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation --editable . \
    # The calendar takes three seconds to build: once, here.
    && XDG_CACHE_HOME=/opt/cache .venv/bin/python -c "from resources.calendar import krx_calendar; krx_calendar()"

FROM python:3.13-slim-trixie
RUN useradd --uid 10001 --create-home stock-assets
WORKDIR /opt/stock-assets
COPY --from=environment /opt/stock-assets /opt/stock-assets
COPY --from=environment /opt/cache /opt/cache
COPY dagster.yaml workspace.yaml .env.example ./
COPY deploy/workspace.yaml deploy/workspace.yaml
COPY examples examples
COPY sql sql
# A volume made here starts with this owner.
RUN install --directory --owner stock-assets .local
ENV PATH=/opt/stock-assets/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    XDG_CACHE_HOME=/opt/cache \
    DAGSTER_HOME=/opt/stock-assets \
    DAGSTER_STORAGE_DIR=/opt/stock-assets/.local/dagster \
    DAGSTER_DISABLE_TELEMETRY=yes \
    # The container is given every variable; nothing writes or reads .env.
    STOCK_ASSETS_ENVIRONMENT=given
USER stock-assets
VOLUME /opt/stock-assets/.local
EXPOSE 4000
# Each service of docker-compose.yml says what it runs; by itself, the image is the code server.
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s \
    CMD ["dagster", "api", "grpc-health-check", "-p", "4000"]
CMD ["dagster", "code-server", "start", "--host", "0.0.0.0", "--port", "4000", "--module-name", "stock_assets.definitions", "--location-name", "stock_assets"]
