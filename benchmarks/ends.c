/*
 * ends: what is on both sides of a proxy that is measured; cheap, so that the proxy is what costs.
 *
 *     ends origin LIFETIME            answers at a free port of 127.0.0.1, and prints "tcp PORT"
 *     ends stream PORT SECONDS        one stream at full speed
 *     ends ask PORT SECONDS           64 bytes there and back, one after the other
 *     ends connect PORT SECONDS N     connections that ask once and close, N at a time
 *     ends echo LIFETIME              sends datagrams back at a free port, and prints "udp PORT"
 *     ends datagrams PORT SECONDS N   64 bytes there and back by UDP, N on their way
 *
 * The first byte of a connection says what the origin does: with 'e' it sends back what comes, with
 * 's' it throws away what comes without looking at it, and says at the end how many bytes it was.
 * Clients print what they have found as JSON. Everything ends LIFETIME or SECONDS after it began.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    CHUNK = 1 << 20,   /* bytes of one system call */
    QUESTION = 64,     /* bytes that go there and back */
    MAX_FILES = 4096,  /* descriptors: a connection with a higher one is refused */
    MAX_TIMES = 1 << 22,
    EVENTS = 256,
    PATIENCE = 10,     /* seconds that a single answer may take */
    LOST = 100,        /* milliseconds of silence after which what is on its way is lost */
};

static char chunk[CHUNK];

static void check(bool right, const char *what)
{
    if (right)
        return;
    fprintf(stderr, "ends: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void hurry(int fd)
{
    int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

/* The origin: what a connection is for, by descriptor, and how many bytes it has sent. */
static struct { char what; uint64_t came; } served[MAX_FILES];

/* Do what a connection wants; false when it is over. */
static bool serve(int fd)
{
    char *what = &served[fd].what;
    if (!*what && recv(fd, what, 1, 0) <= 0)
        return false;
    for (;;) {
        /* With MSG_TRUNC the system throws away what it would have copied, tcp(7). */
        ssize_t size = recv(fd, chunk, sizeof chunk, *what == 's' ? MSG_TRUNC : 0);
        if (size < 0)
            return errno == EAGAIN;
        if (size == 0)
            break;
        served[fd].came += (uint64_t)size;
        if (*what == 'e' && send(fd, chunk, (size_t)size, MSG_NOSIGNAL) != size)
            return false;
    }
    if (*what == 's')
        dprintf(fd, "%llu", (unsigned long long)served[fd].came);
    return false;
}

static void origin(double seconds)
{
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    struct epoll_event events[EVENTS], event = {.events = EPOLLIN};
    double end = now() + seconds;
    int poller = epoll_create1(0), listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    check(bind(listener, (struct sockaddr *)&address, size) == 0, "bind");
    check(listen(listener, 4096) == 0, "listen");
    check(getsockname(listener, (struct sockaddr *)&address, &size) == 0, "getsockname");
    event.data.fd = listener;
    check(epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event) == 0, "epoll_ctl");
    printf("tcp %d\n", ntohs(address.sin_port));
    fflush(stdout);
    while (now() < end) {
        int count = epoll_wait(poller, events, EVENTS, 1000);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd != listener) {
                if (!serve(fd))
                    close(fd);
                continue;
            }
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                if (fd >= MAX_FILES) {
                    close(fd);
                    continue;
                }
                hurry(fd);
                served[fd].what = 0;
                served[fd].came = 0;
                event.data.fd = fd;
                check(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
            }
        }
    }
}

/* A connection that blocks, for at most PATIENCE seconds a call. */
static int connected(int port, char what)
{
    struct sockaddr_in address = loopback(port);
    struct timeval patience = {.tv_sec = PATIENCE};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    hurry(fd);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    check(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    check(send(fd, &what, 1, MSG_NOSIGNAL) == 1, "send");
    return fd;
}

static void stream(int port, double seconds)
{
    char said[32] = "";
    uint64_t sent = 0;
    int fd = connected(port, 's'), file = memfd_create("stream", 0);
    check(ftruncate(file, CHUNK) == 0, "ftruncate");
    check(write(file, chunk, CHUNK) == CHUNK, "write");
    double begin = now();
    while (now() < begin + seconds) {
        off_t offset = 0;
        ssize_t size = sendfile(fd, file, &offset, CHUNK);
        check(size > 0, "sendfile");
        sent += (uint64_t)size;
    }
    shutdown(fd, SHUT_WR);
    ssize_t size = recv(fd, said, sizeof said - 1, MSG_WAITALL);
    double taken = now() - begin;
    /* A proxy that knows no half-close loses the answer, but not the time when all was over. */
    if (size > 0 && strtoull(said, NULL, 10) != sent) {
        fprintf(stderr, "ends: %llu bytes were sent, and %s have arrived\n",
                (unsigned long long)sent, said);
        exit(1);
    }
    printf("{\"bytes\": %llu, \"seconds\": %.6f}\n", (unsigned long long)sent, taken);
}

static int order(const void *one, const void *other)
{
    float a = *(const float *)one, b = *(const float *)other;
    return (a > b) - (a < b);
}

static void ask(int port, double seconds)
{
    static float times[MAX_TIMES];
    int count = 0, fd = connected(port, 'e');
    double end = now() + seconds;
    for (int turn = 0; count < MAX_TIMES; turn++) {
        double begin = now();
        if (begin > end && count)
            break;
        check(send(fd, chunk, QUESTION, MSG_NOSIGNAL) == QUESTION, "send");
        check(recv(fd, chunk, QUESTION, MSG_WAITALL) == QUESTION, "recv");
        if (turn)
            times[count++] = (float)((now() - begin) * 1e6);
    }
    qsort(times, (size_t)count, sizeof *times, order);
    printf("{\"p50\": %.2f, \"p99\": %.2f, \"count\": %d}\n", times[count / 2],
           times[(int)(count * 0.99)], count);
}

/* One more connection, which says what it wants when it can. */
static void begin_one(int poller, int port)
{
    struct sockaddr_in address = loopback(port);
    struct epoll_event event = {.events = EPOLLOUT};
    event.data.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    hurry(event.data.fd);
    int result = connect(event.data.fd, (struct sockaddr *)&address, sizeof address);
    check(result == 0 || errno == EINPROGRESS, "connect");
    check(epoll_ctl(poller, EPOLL_CTL_ADD, event.data.fd, &event) == 0, "epoll_ctl");
}

static void many(int port, double seconds, int number)
{
    struct epoll_event events[EVENTS];
    int poller = epoll_create1(0), done = 0;
    double begin = now();
    for (int i = 0; i < number; i++)
        begin_one(poller, port);
    while (now() < begin + seconds) {
        int count = epoll_wait(poller, events, EVENTS, PATIENCE * 1000);
        check(count > 0, "no answer");
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (events[i].events & EPOLLOUT) {
                struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
                chunk[0] = 'e';
                check(send(fd, chunk, QUESTION + 1, MSG_NOSIGNAL) == QUESTION + 1, "send");
                check(epoll_ctl(poller, EPOLL_CTL_MOD, fd, &event) == 0, "epoll_ctl");
                continue;
            }
            check(recv(fd, chunk, QUESTION, 0) == QUESTION, "recv");
            close(fd);
            done++;
            begin_one(poller, port);
        }
    }
    printf("{\"count\": %d, \"seconds\": %.6f}\n", done, now() - begin);
}

static void echo(double seconds)
{
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    struct timeval second = {.tv_sec = 1};
    double end = now() + seconds;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    check(bind(fd, (struct sockaddr *)&address, size) == 0, "bind");
    check(getsockname(fd, (struct sockaddr *)&address, &size) == 0, "getsockname");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    printf("udp %d\n", ntohs(address.sin_port));
    fflush(stdout);
    while (now() < end) {
        ssize_t came = recvfrom(fd, chunk, sizeof chunk, 0, (struct sockaddr *)&address, &size);
        if (came >= 0)
            sendto(fd, chunk, (size_t)came, 0, (struct sockaddr *)&address, size);
    }
}

static void datagrams(int port, double seconds, int number)
{
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), under_way = 0, done = 0, lost = 0;
    check(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    double begin = now();
    while (now() < begin + seconds) {
        struct pollfd polled = {.fd = fd, .events = POLLIN};
        for (; under_way < number; under_way++)
            send(fd, chunk, QUESTION, 0);
        if (poll(&polled, 1, LOST) == 0) {
            lost += under_way;
            under_way = 0;
        }
        for (; recv(fd, chunk, QUESTION, 0) == QUESTION; done++)
            under_way -= under_way > 0;
    }
    check(done > 0, "no datagram has come back");
    printf("{\"count\": %d, \"lost\": %d, \"seconds\": %.6f}\n", done, lost, now() - begin);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    int port = argc > 2 ? atoi(argv[2]) : 0;
    double seconds = argc > 3 ? atof(argv[3]) : 0;
    if (argc == 3 && strcmp(what, "origin") == 0 && port > 0)
        origin(port);
    else if (argc == 4 && strcmp(what, "stream") == 0 && seconds > 0)
        stream(port, seconds);
    else if (argc == 4 && strcmp(what, "ask") == 0 && seconds > 0)
        ask(port, seconds);
    else if (argc == 5 && strcmp(what, "connect") == 0 && seconds > 0 && atoi(argv[4]) > 0)
        many(port, seconds, atoi(argv[4]));
    else if (argc == 3 && strcmp(what, "echo") == 0 && port > 0)
        echo(port);
    else if (argc == 5 && strcmp(what, "datagrams") == 0 && seconds > 0 && atoi(argv[4]) > 0)
        datagrams(port, seconds, atoi(argv[4]));
    else {
        fputs("usage: ends origin LIFETIME | stream PORT SECONDS | ask PORT SECONDS | "
              "connect PORT SECONDS N | echo LIFETIME | datagrams PORT SECONDS N\n", stderr);
        return 2;
    }
    return 0;
}
