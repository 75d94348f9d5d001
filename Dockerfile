# An image whose gateways s6 runs: s6-overlay and hermes-s6 on top of a Debian that has
# Hermes in /opt/hermes. It takes our archives from dist/, which make dist fills, and
# needs nothing that an old builder lacks:
#
#     make dist && docker build --build-arg BASE=IMAGE -t NAME .
#
# An image that has s6-overlay already takes a few lines of this: docs/adopting.md.
ARG BASE=debian:bookworm-slim

# A stage of its own, so that no archive and no xz is left in the image.
FROM ${BASE} AS unpacked
USER root
RUN command -v xz >/dev/null || { apt-get update && apt-get install -y --no-install-recommends xz-utils; }
WORKDIR /archives
ARG S6_OVERLAY_VERSION=3.2.3.2
ARG S6_OVERLAY=https://github.com/just-containers/s6-overlay/releases/download/v${S6_OVERLAY_VERSION}
# All three architectures, since a builder may not say in time which it builds for.
# The checksums come from where the archives do: to trust one release and no other,
# keep its .sha256 files beside this file and COPY them.
ADD ${S6_OVERLAY}/s6-overlay-noarch.tar.xz ${S6_OVERLAY}/s6-overlay-noarch.tar.xz.sha256 \
    ${S6_OVERLAY}/s6-overlay-x86_64.tar.xz ${S6_OVERLAY}/s6-overlay-x86_64.tar.xz.sha256 \
    ${S6_OVERLAY}/s6-overlay-aarch64.tar.xz ${S6_OVERLAY}/s6-overlay-aarch64.tar.xz.sha256 \
    ${S6_OVERLAY}/s6-overlay-arm.tar.xz ${S6_OVERLAY}/s6-overlay-arm.tar.xz.sha256 ./
# Where dist/ holds one version, any is that.
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
# Who gateways run as.
RUN id hermes >/dev/null 2>&1 || useradd --uid 10000 --user-group --home-dir /opt/data --no-create-home hermes
# The hook is what starts the registrar and the reconciler under every s6-overlay 3, the
# dashboard only where HERMES_DASHBOARD asks for it, no reconciler where HERMES_FOLLOW is 0.
ENV HERMES_HOME=/opt/data S6_STAGE2_HOOK=/etc/s6-overlay/stage2-hook
VOLUME /opt/data
# Unhealthy where a gateway that is to be up is not. Docker only shows that. What restarts
# a container for it, a swarm say, ends all gateways for one that was given up, and that
# gives up again: give it another command (deploy/swarm.yaml). Where gateways say of themselves
# how they are, --health-cmd 'hermes-svstat --check=ready' sees too whether they answer; that
# is nothing to restart a container for, either: it does not mend what they connect to.
HEALTHCHECK --interval=30s --timeout=10s --start-period=5m --retries=3 CMD ["hermes-svstat", "--check"]
ENTRYPOINT ["/init"]
