/*
 * splicer: how fast a relay could be here. It moves bytes between sockets with splice(2), in a
 * single thread, and does nothing else: no limits, no log, no faults.
 *
 *     splicer PORT LIFETIME
 *
 * PORT is that of the upstream on 127.0.0.1; LIFETIME is in seconds, and the process ends by itself
 * after that. It listens at a free port of 127.0.0.1 and prints it: "tcp PORT".
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PIPE = 1 << 20,   /* bytes that a pipe should hold */
    MAX_FILES = 4096, /* descriptors: a connection with a higher one is refused */
    EVENTS = 256,
    SPARES = 8,       /* pipes that are kept: a user may have 64 large ones, and others need some */
};

/* One end of a relayed connection, by descriptor: what it reads goes through its pipe to the peer. */
static struct end {
    int peer, pipe[2];
    size_t inside;
    bool made, ended, over, large;
    uint32_t events;
} ends[MAX_FILES];

static int poller, spare[SPARES][2], spares;

static void check(bool right, const char *what)
{
    if (right)
        return;
    fprintf(stderr, "splicer: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void watch(int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (ends[fd].events == events && ends[fd].made)
        return;
    check(epoll_ctl(poller, ends[fd].made ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) == 0,
          "epoll_ctl");
    ends[fd].events = events;
    ends[fd].made = true;
}

static void prepare(int fd, int peer)
{
    int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    ends[fd] = (struct end){.peer = peer};
    if (spares > 0) {
        memcpy(ends[fd].pipe, spare[--spares], sizeof spare[0]);
        ends[fd].large = true;
        return;
    }
    check(pipe2(ends[fd].pipe, O_NONBLOCK) == 0, "pipe2");
    ends[fd].large = fcntl(ends[fd].pipe[0], F_SETPIPE_SZ, PIPE) >= PIPE;
}

static void finish(int fd)
{
    int both[2] = {fd, ends[fd].peer};
    for (int i = 0; i < 2; i++) {
        struct end *end = &ends[both[i]];
        if (end->inside == 0 && end->large && spares < SPARES) {
            memcpy(spare[spares++], end->pipe, sizeof spare[0]);
        } else {
            close(end->pipe[0]);
            close(end->pipe[1]);
        }
        close(both[i]);
        end->over = true;
    }
}

/* Move what an end has sent; false when the connection is broken. */
static bool move(int fd)
{
    struct end *end = &ends[fd];
    if (end->inside == 0 && !end->ended) {
        ssize_t size = splice(fd, NULL, end->pipe[1], NULL, PIPE, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
        if (size < 0)
            return errno == EAGAIN;
        end->ended = size == 0;
        end->inside = (size_t)size;
    }
    while (end->inside > 0) {
        ssize_t size = splice(end->pipe[0], NULL, end->peer, NULL, end->inside,
                              SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
        if (size < 0 && errno == EAGAIN)
            return true;
        if (size <= 0)
            return false;
        end->inside -= (size_t)size;
    }
    if (end->ended)
        shutdown(end->peer, SHUT_WR);
    return true;
}

static uint32_t wanted(int fd)
{
    struct end *end = &ends[fd], *peer = &ends[end->peer];
    return (end->inside == 0 && !end->ended ? EPOLLIN : 0) | (peer->inside > 0 ? EPOLLOUT : 0);
}

static void serve(int fd, uint32_t events)
{
    int peer = ends[fd].peer;
    bool right = true;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        right = move(fd);
    if (right && (events & EPOLLOUT) && ends[peer].inside > 0)
        right = move(peer);
    if (!right || (ends[fd].ended && ends[peer].ended && !ends[fd].inside && !ends[peer].inside)) {
        finish(fd);
        return;
    }
    watch(fd, wanted(fd));
    watch(peer, wanted(peer));
}

static void accept_all(int listener, const struct sockaddr_in *upstream)
{
    int client, server;
    while ((client = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        check(server >= 0 && server < MAX_FILES && client < MAX_FILES, "socket");
        prepare(client, server);
        prepare(server, client);
        int result = connect(server, (const struct sockaddr *)upstream, sizeof *upstream);
        check(result == 0 || errno == EINPROGRESS, "connect");
        watch(client, EPOLLIN);
        watch(server, EPOLLIN);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in upstream = address;
    struct epoll_event events[EVENTS];
    socklen_t size = sizeof address;
    if (argc != 3 || atoi(argv[1]) < 1 || atoi(argv[2]) < 1) {
        fputs("usage: splicer PORT LIFETIME (seconds)\n", stderr);
        return 2;
    }
    alarm((unsigned)atoi(argv[2]));
    upstream.sin_port = htons((uint16_t)atoi(argv[1]));
    poller = epoll_create1(0);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    check(bind(listener, (struct sockaddr *)&address, size) == 0, "bind");
    check(listen(listener, 4096) == 0, "listen");
    check(getsockname(listener, (struct sockaddr *)&address, &size) == 0, "getsockname");
    watch(listener, EPOLLIN);
    printf("tcp %d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                accept_all(listener, &upstream);
            else if (!ends[fd].over)
                serve(fd, events[i].events);
        }
    }
}
