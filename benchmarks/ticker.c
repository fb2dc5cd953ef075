/*
 * ticker: how little a client of a sequence could cost here. What a client sees of a sequence is
 * what peers/asyncio_sequence.py gives: a session, a number a second, an answer to each heartbeat,
 * in the same lines. One epoll, one wheel of slots, one system call for each thing that is read or
 * sent, and nothing else: no store, no proof, no checksum, no silence, and numbers that are drawn.
 *
 *     ticker LIFETIME [together]
 *
 * LIFETIME is in seconds; the process ends by itself after that, whatever happens to its parent.
 * With `together`, the answer to a heartbeat waits for the next number, and leaves in one call with
 * it. It listens on a free port of 127.0.0.1 and prints it: "tcp PORT".
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
#include <time.h>
#include <unistd.h>

enum {
    SLOTS = 100,       /* in a second, which is the interval of all: who is in one stays in it */
    MAX_FILES = 65536, /* descriptors: a connection with a higher one is refused */
    LINE = 256,        /* bytes that a client may send at once; its lines come whole on loopback */
    EVENTS = 256,
    BACKLOG = 4096,
};

/* Clients, by descriptor: the next and the one before in the list of their slot, the slot in which
 * they have begun, their next number, and what they have said that is not answered yet. */
static struct client {
    int next, before;
    uint64_t begun;
    uint32_t index, beat;
    bool runs, owed;
} clients[MAX_FILES];

/* The first client of each slot; none is 0, which is no client's descriptor. */
static int slots[SLOTS];

static int poller;
static bool together;

static void check(bool right, const char *what)
{
    if (right)
        return;
    fprintf(stderr, "ticker: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void watch(int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    check(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

/* The time, in slots. */
static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return ((double)time.tv_sec + (double)time.tv_nsec / 1e9) * SLOTS;
}

static uint32_t draw(void)
{
    static uint64_t state = 88172645463325252u; /* xorshift64 (Marsaglia, 2003) */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}

static int listen_at(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    check(fd >= 0, "socket");
    check(bind(fd, (struct sockaddr *)&address, size) == 0, "bind");
    check(listen(fd, BACKLOG) == 0, "listen");
    check(getsockname(fd, (struct sockaddr *)&address, &size) == 0, "getsockname");
    *port = ntohs(address.sin_port);
    watch(fd);
    return fd;
}

static void accept_client(int listener)
{
    int yes = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (fd >= MAX_FILES) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    memset(&clients[fd], 0, sizeof clients[fd]);
    watch(fd);
}

static void drop(int fd)
{
    struct client *client = &clients[fd];
    if (client->runs) {
        if (client->before != 0)
            clients[client->before].next = client->next;
        else
            slots[client->begun % SLOTS] = client->next;
        clients[client->next].before = client->before;
    }
    close(fd);
}

/* Send; a client that does not take a line at once is not kept. */
static bool say(int fd, const char *text, int size)
{
    return send(fd, text, (size_t)size, MSG_NOSIGNAL) == size;
}

/* Send the next number, and the answer that has waited for it. */
static bool strike(int fd)
{
    char text[LINE];
    int size = 0;
    if (clients[fd].owed)
        size = sprintf(text, "alive %u\n", clients[fd].beat);
    clients[fd].owed = false;
    size += sprintf(text + size, "number %u %u\n", clients[fd].index++, draw());
    return say(fd, text, size);
}

/* Begin: the first number is due at once, the others when the slot of that moment ends. */
static bool start(int fd, unsigned n)
{
    char text[LINE];
    uint64_t begun = (uint64_t)now();
    int *slot = &slots[begun % SLOTS];
    int size = sprintf(text, "session %08x%08x%08x%08x %08x%08x%08x%08x %u 1\n", draw(), draw(),
                       draw(), draw(), draw(), draw(), draw(), draw(), n);
    clients[fd].runs = true;
    clients[fd].begun = begun;
    clients[fd].next = *slot;
    clients[*slot].before = fd;
    *slot = fd;
    return say(fd, text, size) && strike(fd);
}

static bool answer(int fd, uint32_t beat)
{
    char text[LINE];
    clients[fd].owed = together && clients[fd].runs && !clients[fd].owed;
    clients[fd].beat = beat;
    return clients[fd].owed || say(fd, text, sprintf(text, "alive %u\n", beat));
}

static void hear(int fd)
{
    char text[LINE + 1], *rest, *line;
    ssize_t size = recv(fd, text, LINE, 0);
    bool good = size > 0;
    text[good ? size : 0] = '\0';
    for (line = strtok_r(text, "\n", &rest); good && line; line = strtok_r(NULL, "\n", &rest)) {
        unsigned number;
        if (sscanf(line, "heartbeat %u", &number) == 1)
            good = answer(fd, number);
        else if (sscanf(line, "start %u", &number) == 1 && !clients[fd].runs)
            good = start(fd, number);
    }
    if (!good)
        drop(fd);
}

/* All of a slot that has ended, but those that have begun in it. */
static void turn(uint64_t slot)
{
    for (int next, fd = slots[slot % SLOTS]; fd != 0; fd = next) {
        next = clients[fd].next;
        if (clients[fd].begun != slot && !strike(fd))
            drop(fd);
    }
}

int main(int argc, char **argv)
{
    int port, lifetime = argc == 2 || argc == 3 ? atoi(argv[1]) : 0;
    together = argc == 3 && strcmp(argv[2], "together") == 0;
    if (lifetime < 1 || (argc == 3 && !together)) {
        fputs("usage: ticker LIFETIME [together] (seconds, 1 or more)\n", stderr);
        return 2;
    }
    alarm((unsigned)lifetime);
    poller = epoll_create1(EPOLL_CLOEXEC);
    check(poller >= 0, "epoll_create1");
    int listener = listen_at(&port);
    printf("tcp %d\n", port);
    fflush(stdout);

    for (uint64_t slot = (uint64_t)now();;) {
        struct epoll_event events[EVENTS];
        double left = (double)(slot + 1) - now();
        int wait = left > 0 ? (int)(left * 1000 / SLOTS) + 1 : 0; /* ms */
        int count = epoll_wait(poller, events, EVENTS, wait);
        check(count >= 0 || errno == EINTR, "epoll_wait");
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                accept_client(listener);
            else
                hear(fd);
        }
        for (; now() >= (double)(slot + 1); slot++)
            turn(slot);
    }
}
