# syntax=docker/dockerfile:1

FROM rust:1.95-slim-bookworm AS builder
WORKDIR /build
# The program carries the list of its dependencies, which is all that a scanner finds in the image.
RUN cargo install cargo-auditable --version 0.7.7 --locked
COPY . .
# The caches outlive the build; what the image needs is copied out of them in the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target,sharing=locked \
    cargo auditable build --release --locked --bin oncall-grants \
    && install -D target/release/oncall-grants /image/oncall-grants \
    && install -d -m 0750 /image/data

# The C runtime and certificate authorities; no shell, no package manager, not root.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=builder /image/oncall-grants /usr/local/bin/oncall-grants
COPY --from=builder --chown=65532:65532 /image/data /var/lib/oncall-grants

# Loopback would not be reachable from outside the container. Every address, of IPv4 and IPv6; of IPv4 alone where there is
# nothing else. This wins over `listen` in the file.
ENV ONCALL_GRANTS_LISTEN=[::]:8080
EXPOSE 8080

# The default store, sqlite:oncall-grants.db, lands here. The path is not set by the environment, which would win over
# a PostgreSQL address in the file.
WORKDIR /var/lib/oncall-grants
VOLUME /var/lib/oncall-grants

USER 65532:65532
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s --retries=3 \
    CMD ["/usr/local/bin/oncall-grants", "healthcheck"]

# The configuration is expected at /etc/oncall-grants/oncall-grants.toml.
ENTRYPOINT ["/usr/local/bin/oncall-grants"]
CMD ["serve"]
