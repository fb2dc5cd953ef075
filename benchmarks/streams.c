/*
 * streams: how fast packets over UDP can be here, sent and received, by a program that does nothing
 * else. It sends, to whoever has sent it something last, packets of 1,200 bytes that begin with
 * "packet SEQ NS", 54 with one system call (UDP_SEGMENT), until it is sent "quit"; or it asks for
 * such a stream and receives it, as many as the kernel hands over with one call (UDP_GRO).
 *
 *     streams send LIFETIME [printf]
 *     streams receive PORT SECONDS
 *
 * Packets that leave together have one time, and numbers are written by hand, two digits at a time:
 * the least that there is to do for a new number and a new time in each. With "printf" each has its
 * own time, and snprintf writes both, which is how one writes it first.
 *
 * LIFETIME is in seconds; the process ends by itself after that, whatever happens to its parent.
 * The first listens on a free port of 127.0.0.1 and prints it: "udp PORT". The second prints how
 * many packets have come, how many had been sent until the last of them, the time that it took and
 * the CPU time that it used, in seconds, as JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef SOL_UDP
#define SOL_UDP 17
#endif

enum {
    SIZE = 1200,         /* bytes of a packet */
    BATCH = 54,          /* packets that one system call sends: 64 KiB */
    ROOM = 64 * 1024,    /* bytes that one system call receives */
    BUFFER = 4 * 1 << 20 /* bytes of the receiving socket's buffer */
};

static char packets[BATCH * SIZE], room[ROOM];

static void must(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

/* Of this process so far. */
static double cpu(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec +
           (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static struct sockaddr_in place(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static char pairs[200]; /* "00" to "99" */

static void make_pairs(void)
{
    for (int at = 0; at < 100; at++) {
        pairs[2 * at] = '0' + at / 10;
        pairs[2 * at + 1] = '0' + at % 10;
    }
}

/* Write a number so that it ends there; gives where it begins. */
static char *decimal(char *end, uint64_t number)
{
    for (; number >= 100; number /= 100)
        memcpy(end -= 2, pairs + 2 * (number % 100), 2);
    if (number >= 10)
        return memcpy(end - 2, pairs + 2 * number, 2);
    *--end = '0' + number;
    return end;
}

static void blank(void)
{
    memset(packets, '.', sizeof packets);
    for (int at = 0; at < BATCH; at++)
        memcpy(packets + at * SIZE, "packet ", strlen("packet "));
}

static void stamp(uint64_t number)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    char time[32], *time_end = time + sizeof time, digits[20], *end = digits + sizeof digits;
    *--time_end = ' ';
    char *begin = decimal(time_end, now.tv_sec * 1000000000ULL + now.tv_nsec);
    *--begin = ' ';
    size_t behind = time + sizeof time - begin;
    for (int at = 0; at < BATCH; at++) {
        char *first = decimal(end, number + at), *to = packets + at * SIZE + strlen("packet ");
        memcpy(to, first, end - first);
        memcpy(to + (end - first), begin, behind);
    }
}

static void stamp_by_printf(uint64_t number)
{
    struct timespec now;
    for (int at = 0; at < BATCH; at++) {
        char *packet = packets + at * SIZE;
        clock_gettime(CLOCK_REALTIME, &now);
        int length = snprintf(packet, SIZE, "packet %llu %lld ", (unsigned long long)(number + at),
                              now.tv_sec * 1000000000LL + now.tv_nsec);
        packet[length] = '.'; /* where snprintf has put its zero */
    }
}

static void send_streams(void (*stamp)(uint64_t))
{
    int own = socket(AF_INET, SOCK_DGRAM, 0), size = SIZE;
    struct sockaddr_in address = place(0), peer;
    socklen_t length = sizeof address;
    must(bind(own, (struct sockaddr *)&address, length), "bind");
    must(getsockname(own, (struct sockaddr *)&address, &length), "getsockname");
    must(setsockopt(own, SOL_UDP, UDP_SEGMENT, &size, sizeof size), "UDP_SEGMENT");
    printf("udp %d\n", ntohs(address.sin_port));
    fflush(stdout);
    uint64_t number = 0;
    int streaming = 0;
    for (;;) {
        struct sockaddr_in from;
        length = sizeof from;
        ssize_t came = recvfrom(own, room, sizeof room, streaming ? MSG_DONTWAIT : 0,
                                (struct sockaddr *)&from, &length);
        if (came >= 0) {
            streaming = came < 4 || memcmp(room, "quit", 4) != 0;
            peer = from;
            number = 0;
            blank();
        }
        if (streaming) {
            stamp(number);
            sendto(own, packets, sizeof packets, 0, (struct sockaddr *)&peer, sizeof peer);
            number += BATCH;
        }
    }
}

static void receive_stream(int port, double lasting)
{
    int own = socket(AF_INET, SOCK_DGRAM, 0), on = 1, buffer = BUFFER;
    struct sockaddr_in address = place(port);
    must(connect(own, (struct sockaddr *)&address, sizeof address), "connect");
    must(setsockopt(own, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer), "SO_RCVBUF");
    must(setsockopt(own, SOL_UDP, UDP_GRO, &on, sizeof on), "UDP_GRO");
    must(send(own, "go", 2, 0), "send");
    double began = seconds(), used = cpu(), now;
    uint64_t came = 0, sent = 0;
    do {
        char said[256];
        struct iovec into = {.iov_base = room, .iov_len = sizeof room};
        struct msghdr message = {.msg_iov = &into, .msg_iovlen = 1, .msg_control = said,
                                 .msg_controllen = sizeof said};
        ssize_t length = recvmsg(own, &message, 0);
        must(length, "recvmsg");
        came += (length + SIZE - 1) / SIZE;
        sent = strtoull(room + (length - 1) / SIZE * SIZE + 7, NULL, 10) + 1;
        now = seconds();
    } while (now < began + lasting);
    used = cpu() - used;
    send(own, "quit", 4, 0);
    printf("{\"came\": %llu, \"sent\": %llu, \"seconds\": %f, \"cpu\": %f}\n",
           (unsigned long long)came, (unsigned long long)sent, now - began, used);
}

int main(int count, char **words)
{
    if (count >= 3 && strcmp(words[1], "send") == 0) {
        alarm(atoi(words[2]) + 1); /* its signal ends the process */
        make_pairs();
        send_streams(count == 4 && strcmp(words[3], "printf") == 0 ? stamp_by_printf : stamp);
    } else if (count == 4 && strcmp(words[1], "receive") == 0) {
        receive_stream(atoi(words[2]), atof(words[3]));
    } else {
        return 2;
    }
    return 0;
}
