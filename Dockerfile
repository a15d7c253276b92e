# The image of the chart. `docker build --tag slipway:0.1.0 .`

# The compiler of rust-toolchain.toml, on the Debian whose OpenSSL the image below has.
FROM rust:1.95.0-slim-bookworm AS build
# librdkafka is C and C++ and is built from source.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends g++ gcc libssl-dev make pkg-config \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /slipway
COPY Cargo.toml Cargo.lock build.rs ./
COPY .cargo .cargo
COPY proto proto
# Cargo looks for every target that Cargo.toml names, also for those that are not built.
COPY benches benches
COPY src src
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/slipway/target \
    cargo build --locked --release --bin slipway \
 && cp target/release/slipway /usr/local/bin/slipway

FROM debian:12-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates libssl3 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local/bin/slipway /usr/local/bin/slipway
# A number, so that Kubernetes can see that it is not root. Nothing is ever written to the file system.
USER 65532:65532
# Events, KEDA, health and metrics.
EXPOSE 8080 6000 9090
ENTRYPOINT ["/usr/local/bin/slipway"]
CMD ["run"]
