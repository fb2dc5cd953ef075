/*
 * limit: how fast a server could be here. It answers each line, and each datagram, with "200,2\n",
 * whatever it says: no parsing, no arithmetic, one system call to read and one to write. What the
 * load generator reaches against it is the most that generator and kernel allow.
 *
 *     limit LIFETIME
 *
 * LIFETIME is in seconds; the process ends by itself after that, whatever happens to its parent.
 * It listens on two free ports of 127.0.0.1 and prints them: "tcp PORT udp PORT".
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
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

#define REPLY "200,2\n"

enum {
    REPLY_SIZE = sizeof REPLY - 1, /* bytes */
    CHUNK = 64 * 1024,             /* bytes that one recv may take; each may be a line */
    BATCH = 64,                    /* datagrams that one system call moves */
    DATAGRAM = 2048,               /* bytes kept of a datagram */
    MAX_FILES = 4096,              /* descriptors: a connection with a higher one is refused */
    BACKLOG = 1024,
};

/* Replies, end to end: all that a chunk of empty lines can ask for, and one more, because what is
 * left after a partial write may begin within a reply. */
static char replies[(CHUNK + 1) * REPLY_SIZE];

/* Bytes of replies that a connection's socket has not taken yet, by descriptor. While there are
 * any, nothing more is read from it: that bounds them. */
static size_t unsent[MAX_FILES];

static int poller;

static void check(bool right, const char *what)
{
    if (right)
        return;
    fprintf(stderr, "limit: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void watch(int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    check(epoll_ctl(poller, operation, fd, &event) == 0, "epoll_ctl");
}

/* A socket of this type on a free port of 127.0.0.1; the port is written to `port`. */
static int open_socket(int type, int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    check(fd >= 0, "socket");
    check(bind(fd, (struct sockaddr *)&address, size) == 0, "bind");
    check(type == SOCK_DGRAM || listen(fd, BACKLOG) == 0, "listen");
    check(getsockname(fd, (struct sockaddr *)&address, &size) == 0, "getsockname");
    *port = ntohs(address.sin_port);
    watch(EPOLL_CTL_ADD, fd, EPOLLIN);
    return fd;
}

static void accept_connection(int listener)
{
    int yes = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (fd >= MAX_FILES) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    unsent[fd] = 0;
    watch(EPOLL_CTL_ADD, fd, EPOLLIN);
}

/* Send what is unsent: after a partial write it begins within a reply. False: connection lost. */
static bool flush(int fd)
{
    size_t skip = (REPLY_SIZE - unsent[fd] % REPLY_SIZE) % REPLY_SIZE;
    ssize_t sent = send(fd, replies + skip, unsent[fd], MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR;
    unsent[fd] -= (size_t)sent;
    return true;
}

/* Read a chunk and answer its lines. False: connection lost. */
static bool answer(int fd)
{
    static char chunk[CHUNK];
    ssize_t size = recv(fd, chunk, sizeof chunk, 0);
    if (size <= 0)
        return size < 0 && (errno == EAGAIN || errno == EINTR);
    for (ssize_t i = 0; i < size; i++)
        unsent[fd] += chunk[i] == '\n' ? REPLY_SIZE : 0;
    return unsent[fd] == 0 || flush(fd);
}

static void serve_stream(int fd)
{
    bool was_full = unsent[fd] > 0;
    if (!(was_full ? flush(fd) : answer(fd))) {
        close(fd);
        return;
    }
    if (was_full != (unsent[fd] > 0))
        watch(EPOLL_CTL_MOD, fd, was_full ? EPOLLIN : EPOLLOUT);
}

/* Answer up to BATCH datagrams. A reply that does not fit is lost, as is usual over UDP. */
static void serve_datagrams(int fd)
{
    static char buffers[BATCH][DATAGRAM];
    struct sockaddr_in peers[BATCH];
    struct iovec parts[BATCH];
    struct mmsghdr messages[BATCH];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){buffers[i], DATAGRAM};
        messages[i].msg_hdr = (struct msghdr){.msg_name = &peers[i], .msg_namelen = sizeof peers[i],
                                              .msg_iov = &parts[i], .msg_iovlen = 1};
    }
    int count = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++)
        parts[i] = (struct iovec){replies, REPLY_SIZE};
    if (count > 0)
        sendmmsg(fd, messages, (unsigned)count, MSG_DONTWAIT);
}

int main(int argc, char **argv)
{
    int tcp_port, udp_port, lifetime = argc == 2 ? atoi(argv[1]) : 0;
    if (lifetime < 1) {
        fputs("usage: limit LIFETIME (seconds, 1 or more)\n", stderr);
        return 2;
    }
    alarm((unsigned)lifetime);
    for (size_t i = 0; i < sizeof replies; i++)
        replies[i] = REPLY[i % REPLY_SIZE];
    poller = epoll_create1(EPOLL_CLOEXEC);
    check(poller >= 0, "epoll_create1");
    int listener = open_socket(SOCK_STREAM, &tcp_port);
    int datagrams = open_socket(SOCK_DGRAM, &udp_port);
    printf("tcp %d udp %d\n", tcp_port, udp_port);
    fflush(stdout);

    for (;;) {
        struct epoll_event events[256];
        int count = epoll_wait(poller, events, 256, -1);
        check(count >= 0 || errno == EINTR, "epoll_wait");
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                accept_connection(listener);
            else if (fd == datagrams)
                serve_datagrams(datagrams);
            else
                serve_stream(fd);
        }
    }
}
