# syntax=docker/dockerfile:1
#
# docker build -t jobrelay .
# docker run --read-only -v "$PWD/config:/config:ro" -v jobrelay-data:/data -p 8080:8080 --env-file .env jobrelay
#
# /config holds jobrelay.yaml, rules/ and templates/, readable by user 10001 (`chown -R 10001 config`). In it, `storage: { url: "sqlite:/data/jobrelay.db" }` puts the store on the
# volume, and `server: { listen: "0.0.0.0:8080", token: "${JOBRELAY_TOKEN}" }` lets the port be published. Nothing else is written.

FROM rust:1-slim-bookworm AS build
WORKDIR /build
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin jobrelay \
    && cp target/release/jobrelay /usr/local/bin/jobrelay

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="jobrelay" \
      org.opencontainers.image.description="Watches AvePoint scan jobs and tells the right people when one needs them." \
      org.opencontainers.image.licenses="Apache-2.0"
# The program brings root certificates of its own and uses the system's where there are any: a company's own go into
# /etc/ssl/certs/ca-certificates.crt, by a mount.
RUN useradd --system --uid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin jobrelay \
    && install -d -o jobrelay -g jobrelay -m 0750 /data \
    && install -d /config
COPY --from=build /usr/local/bin/jobrelay /usr/local/bin/jobrelay
USER 10001
WORKDIR /data
VOLUME /data
ENV JOBRELAY_CONFIG=/config/jobrelay.yaml
EXPOSE 8080
STOPSIGNAL SIGTERM
# /readyz needs no token. Another port than 8080: set HEALTH_PORT.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/${HEALTH_PORT:-8080} && printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["jobrelay"]
CMD ["run"]
