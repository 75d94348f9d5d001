# Makes an image whose gateways s6 supervises: it adds s6-overlay and hermes-s6 to a Debian
# image that has Hermes in /opt/hermes. It takes our archives from dist/, which make dist
# fills. It works with old builders, too:
#
#     make dist && docker build --build-arg BASE=IMAGE -t NAME .
#
# If your image has s6-overlay already, you need a few lines of this only:
# docs/adopting.md.
ARG BASE=debian:bookworm-slim

# This stage keeps the archives and xz out of the image.
FROM ${BASE} AS unpacked
USER root
RUN command -v xz >/dev/null || { apt-get update && apt-get install -y --no-install-recommends xz-utils; }
WORKDIR /archives
ARG S6_OVERLAY_VERSION=3.2.3.2
ARG S6_OVERLAY=https://github.com/just-containers/s6-overlay/releases/download/v${S6_OVERLAY_VERSION}
# Download the archives of all three architectures, because a builder may not know in time
# which one it builds for. The checksums come from the same place as the archives. To trust
# one release and no other, keep its .sha256 files beside this file and COPY them.
ADD ${S6_OVERLAY}/s6-overlay-noarch.tar.xz ${S6_OVERLAY}/s6-overlay-noarch.tar.xz.sha256 \
    ${S6_OVERLAY}/s6-overlay-x86_64.tar.xz ${S6_OVERLAY}/s6-overlay-x86_64.tar.xz.sha256 \
    ${S6_OVERLAY}/s6-overlay-aarch64.tar.xz ${S6_OVERLAY}/s6-overlay-aarch64.tar.xz.sha256 \
    ${S6_OVERLAY}/s6-overlay-arm.tar.xz ${S6_OVERLAY}/s6-overlay-arm.tar.xz.sha256 ./
# The default works if dist/ has one version only.
ARG HERMES_S6_VERSION=*
COPY dist/hermes-s6-${HERMES_S6_VERSION}-*.tar.xz dist/hermes-s6-${HERMES_S6_VERSION}-*.tar.xz.sha256 ./
RUN set -eu; \
    case $(dpkg --print-architecture) in \
    amd64) overlay=x86_64 ours=x86_64 ;; \
    arm64) overlay=aarch64 ours=aarch64 ;; \
    armhf) overlay=arm ours=armhf ;; \
    *) echo "no archives for $(dpkg --print-architecture)" >&2; exit 1 ;; \
    esac; \
    mkdir /unpacked; \
    for archive in s6-overlay-noarch.tar.xz "s6-overlay-$overlay.tar.xz" hermes-s6-*-"$ours.tar.xz"; do \
        sha256sum -c "$archive.sha256"; \
        tar -C /unpacked -Jxpf "$archive"; \
    done

FROM ${BASE}
USER root
COPY --from=unpacked /unpacked/ /
# Gateways run as this account.
RUN id hermes >/dev/null 2>&1 || useradd --uid 10000 --user-group --home-dir /opt/data --no-create-home hermes
# The hook makes every s6-overlay 3 start the registrar and the reconciler. It leaves the
# reconciler out if HERMES_FOLLOW is 0. It adds the dashboard if HERMES_DASHBOARD asks for it.
ENV HERMES_HOME=/opt/data S6_STAGE2_HOOK=/etc/s6-overlay/stage2-hook
VOLUME /opt/data
# The container is unhealthy if a gateway that should be up is not. Docker only shows that. A
# swarm restarts an unhealthy container. That would end all gateways because of one that was
# given up, and that one would be given up again. So give a swarm another command:
# deploy/swarm.yaml. With --health-cmd 'hermes-svstat --check=ready' the check also sees
# whether gateways answer, if they report that. Do not restart a container for that either: it
# does not repair what they connect to.
HEALTHCHECK --interval=30s --timeout=10s --start-period=5m --retries=3 CMD ["hermes-svstat", "--check"]
ENTRYPOINT ["/init"]
