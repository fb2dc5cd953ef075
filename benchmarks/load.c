/*
 * load: a load generator for request/reply servers on 127.0.0.1.
 *
 *     load TRANSPORT FRAMING PORT PID FILE CONNECTIONS DEPTH WARM SECONDS CPU
 *
 *     TRANSPORT    tcp or udp
 *     FRAMING      how a TCP reply ends: "lines" (LF) or "boxes" (AMP: a key of length 0);
 *                  over UDP a reply is a datagram, and FRAMING says "datagrams"
 *     PORT, PID    of the server; the PID serves only to read the times of its CPU
 *     FILE         the requests, each one preceded by its length (4 bytes, big-endian)
 *     CONNECTIONS  1 to 1,000; 1 for udp
 *     DEPTH        requests that each connection keeps in flight, 1 to 100,000
 *     WARM         seconds that run first and are not counted
 *     SECONDS      seconds that are counted
 *     CPU          where it runs, alone, and polls; "-" for anywhere, asleep while it waits
 *
 * It prints one line of JSON and knows nothing of what the requests mean. Each connection goes
 * through the requests in turn and starts again at the end; as many new ones are sent as replies
 * came. After the measured time it stops asking and waits for what is still in flight, so that
 * nothing is left over for the next measurement, and a reply too many is noticed.
 *
 * With a CPU of its own it polls for a while before it sleeps. So a server that soon has the next
 * reply does not pay for waking it, which is dear, and the next request follows at once. The time in
 * which it polls and finds nothing is not counted as CPU time of the generator.
 *
 * UDP replies carry no mark by which a lost one could be told. So a lost datagram makes the number
 * in flight smaller by one, until nothing comes for 100 ms: then all that is in flight counts as
 * lost and is asked anew.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdarg.h>
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
    MAX_CONNECTIONS = 1000,
    MAX_DEPTH = 100000,
    MAX_REQUEST = 60000,          /* bytes; fits a datagram */
    MAX_FILE = 1 << 30,           /* bytes */
    CHUNK = 256 * 1024,           /* bytes that one recv may take */
    BATCH = 64,                   /* datagrams that one system call moves */
    DATAGRAM = 2048,              /* bytes kept of a reply over UDP */
    POLL_US = 200,                /* on a CPU of its own it polls for so long before it sleeps */
    LOSS_MS = 100,                /* silence over UDP that means loss */
    STALL_MS = 5000,              /* silence that means the server is broken */
};

/* All requests in one piece, so that any run of up to DEPTH requests is one contiguous slice:
 * after the last request the first DEPTH ones are repeated. */
static struct {
    uint8_t *bytes;
    size_t *start;                /* request i is bytes[start[i]] up to bytes[start[i + 1]] */
    size_t count;                 /* without the repeated ones */
} requests;

/* Where we are in a stream of replies. Lines need no memory; for boxes see count_boxes(). */
struct parser {
    bool in_value;                /* the length being read is a value's, not a key's */
    unsigned length, digits;      /* of the two-byte length: its value so far, its bytes so far */
    size_t skip;                  /* bytes of a key or value still to come */
};

struct connection {
    int fd;
    bool blocked;                 /* the socket is full, we wait for EPOLLOUT */
    size_t cursor;                /* index of the next request */
    size_t owed;                  /* requests that may be sent now */
    size_t in_flight;             /* requests whose replies we await */
    size_t from, to;              /* the bytes of a slice that TCP has not taken yet */
    struct parser parser;
};

struct snapshot {
    double at, server_cpu, server_waited, own_cpu; /* seconds */
    uint64_t replies, lost;
};

static bool udp, boxes, polls;
static size_t depth;
static int poller;
static pid_t server;
static clockid_t server_clock;
static double polled;             /* CPU seconds in which nothing was found */
static uint64_t replies, lost;
static struct connection connections[MAX_CONNECTIONS];
static size_t connection_count;

/* ---- small tools ---- */

__attribute__((format(printf, 1, 2), noreturn)) static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static void *allocate(size_t size)
{
    void *memory = malloc(size);
    if (!memory)
        fail("no memory for %zu bytes", size);
    return memory;
}

static double seconds_of(clockid_t clock)
{
    struct timespec time;
    if (clock_gettime(clock, &time))
        fail("cannot read a clock (has the server ended?): %s", strerror(errno));
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double number(const char *text, const char *name, double low, double high)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= low && value <= high))
        fail("%s is %s; give %g to %g", name, text, low, high);
    return value;
}

/* ---- the requests ---- */

/* Read one request of the file to the end of requests.bytes; false at the end of the file. */
static bool read_request(FILE *file, const char *path, size_t *used, size_t *room)
{
    uint8_t head[4];
    size_t got = fread(head, 1, sizeof head, file);
    if (got == 0 && feof(file))
        return false;
    size_t length = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (got != sizeof head || length < 1 || length > MAX_REQUEST || *used + length > MAX_FILE)
        fail("%s: not a file of requests, or too large", path);
    if (*used + length > *room) {
        *room = 2 * (*used + length);
        requests.bytes = realloc(requests.bytes, *room);
        if (!requests.bytes)
            fail("no memory for %zu bytes", *room);
    }
    if (fread(requests.bytes + *used, 1, length, file) != length)
        fail("%s: ends within a request", path);
    *used += length;
    return true;
}

/* Append the first `depth` requests (or them again and again, if there are fewer). */
static void repeat_first(size_t used)
{
    size_t extra = 0;
    for (size_t i = 0; i < depth; i++)
        extra += requests.start[i % requests.count + 1] - requests.start[i % requests.count];
    requests.bytes = realloc(requests.bytes, used + extra);
    requests.start = realloc(requests.start, (requests.count + depth + 1) * sizeof(size_t));
    if (!requests.bytes || !requests.start)
        fail("no memory for %zu bytes", used + extra);
    for (size_t i = 0; i < depth; i++) {
        size_t first = requests.start[i], length = requests.start[i + 1] - first;
        memcpy(requests.bytes + used, requests.bytes + first, length);
        used += length;
        requests.start[requests.count + i + 1] = used;
    }
}

static void read_requests(const char *path)
{
    size_t used = 0, room = 0, entries = 1024;
    FILE *file = fopen(path, "rb");
    if (!file)
        fail("%s: %s", path, strerror(errno));
    requests.start = allocate(entries * sizeof(size_t));
    requests.start[0] = 0;
    while (read_request(file, path, &used, &room)) {
        if (requests.count + 2 > entries) {
            entries *= 2;
            requests.start = realloc(requests.start, entries * sizeof(size_t));
            if (!requests.start)
                fail("no memory for %zu requests", entries);
        }
        requests.start[++requests.count] = used;
    }
    fclose(file);
    if (requests.count == 0)
        fail("%s: no requests in it", path);
    repeat_first(used);
}

/* ---- counting replies ---- */

static size_t count_lines(const uint8_t *data, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++)
        count += data[i] == '\n';
    return count;
}

/* An AMP box is a row of keys and values, each after its two-byte length; a key of length 0 ends
 * the box. A chunk may end anywhere, so the parser remembers. */
static size_t count_boxes(struct parser *parser, const uint8_t *data, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < size;) {
        if (parser->skip > 0) {
            size_t step = parser->skip < size - i ? parser->skip : size - i;
            parser->skip -= step;
            i += step;
            continue;
        }
        parser->length = parser->length << 8 | data[i++];
        if (++parser->digits < 2)
            continue;
        if (parser->length == 0 && !parser->in_value) {
            count++;
        } else {
            parser->skip = parser->length;
            parser->in_value = !parser->in_value;
        }
        parser->length = parser->digits = 0;
    }
    return count;
}

/* ---- one connection ---- */

static void watch(struct connection *connection, bool blocked)
{
    struct epoll_event event = {.events = EPOLLIN | (blocked ? EPOLLOUT : 0),
                                .data.ptr = connection};
    if (connection->blocked == blocked)
        return;
    connection->blocked = blocked;
    if (epoll_ctl(poller, EPOLL_CTL_MOD, connection->fd, &event))
        fail("epoll_ctl: %s", strerror(errno));
}

static void open_connection(struct connection *connection, int port, size_t cursor)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    int yes = 1;
    *connection = (struct connection){.cursor = cursor, .owed = depth};
    connection->fd = socket(AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    if (connection->fd < 0)
        fail("socket: %s", strerror(errno));
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof address))
        fail("127.0.0.1 port %d: %s", port, strerror(errno));
    if (!udp && setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes))
        fail("TCP_NODELAY: %s", strerror(errno));
    if (epoll_ctl(poller, EPOLL_CTL_ADD, connection->fd, &event))
        fail("epoll_ctl: %s", strerror(errno));
}

static void advance(struct connection *connection, size_t count)
{
    connection->cursor = (connection->cursor + count) % requests.count;
    connection->owed -= count;
    connection->in_flight += count;
}

/* Send what is owed, as one slice. */
static void send_stream(struct connection *connection)
{
    while (connection->from < connection->to || connection->owed > 0) {
        if (connection->from == connection->to) {
            connection->from = requests.start[connection->cursor];
            connection->to = requests.start[connection->cursor + connection->owed];
            advance(connection, connection->owed);
        }
        ssize_t sent = send(connection->fd, requests.bytes + connection->from,
                            connection->to - connection->from, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN)
            fail("send: %s", strerror(errno));
        if (sent < 0) {
            watch(connection, true);
            return;
        }
        connection->from += (size_t)sent;
    }
    watch(connection, false);
}

/* Send what is owed, one datagram a request. */
static void send_datagrams(struct connection *connection)
{
    while (connection->owed > 0) {
        struct mmsghdr messages[BATCH];
        struct iovec parts[BATCH];
        size_t count = connection->owed < BATCH ? connection->owed : BATCH;
        memset(messages, 0, count * sizeof messages[0]);
        for (size_t i = 0; i < count; i++) {
            size_t first = requests.start[connection->cursor + i];
            size_t last = requests.start[connection->cursor + i + 1];
            parts[i] = (struct iovec){requests.bytes + first, last - first};
            messages[i].msg_hdr.msg_iov = &parts[i];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
        int sent = sendmmsg(connection->fd, messages, (unsigned)count, MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN)
            fail("sendmmsg: %s", strerror(errno));
        if (sent < 0) {
            watch(connection, true);
            return;
        }
        advance(connection, (size_t)sent);
    }
    watch(connection, false);
}

static size_t receive_stream(struct connection *connection)
{
    static uint8_t buffer[CHUNK];
    ssize_t size = recv(connection->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (size < 0)
        fail("recv: %s", strerror(errno));
    if (size == 0)
        fail("the server closed the connection");
    size_t count = boxes ? count_boxes(&connection->parser, buffer, (size_t)size)
                         : count_lines(buffer, (size_t)size);
    if (count > connection->in_flight)
        fail("%zu replies to %zu requests", count, connection->in_flight);
    return count;
}

static size_t receive_datagrams(struct connection *connection)
{
    static uint8_t buffers[BATCH][DATAGRAM];
    static struct mmsghdr messages[BATCH];
    static struct iovec parts[BATCH];
    for (size_t i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){buffers[i], DATAGRAM};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    int count = recvmmsg(connection->fd, messages, BATCH, MSG_DONTWAIT, NULL);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (count < 0)
        fail("recvmmsg: %s", strerror(errno));
    /* More than we await: replies that were given up for lost. They do not count. */
    return (size_t)count < connection->in_flight ? (size_t)count : connection->in_flight;
}

static void transmit(struct connection *connection)
{
    udp ? send_datagrams(connection) : send_stream(connection);
}

static void receive(struct connection *connection, bool asking)
{
    size_t count = udp ? receive_datagrams(connection) : receive_stream(connection);
    replies += count;
    connection->in_flight -= count;
    if (asking)
        connection->owed += count;
}

/* ---- the run ---- */

/* How long the server's first thread could have run so far while others had its CPU, in seconds;
 * always 0 where the system does not tell. */
static double server_waited(void)
{
    char path[64];
    double ran, waited = 0;
    snprintf(path, sizeof path, "/proc/%d/schedstat", (int)server);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    if (fscanf(file, "%lf %lf", &ran, &waited) != 2)
        waited = 0;
    fclose(file);
    return waited / 1e9;
}

static struct snapshot take_snapshot(void)
{
    return (struct snapshot){seconds_of(CLOCK_MONOTONIC), seconds_of(server_clock),
                             server_waited(), seconds_of(CLOCK_PROCESS_CPUTIME_ID) - polled,
                             replies, lost};
}

static size_t total_in_flight(void)
{
    size_t total = 0;
    for (size_t i = 0; i < connection_count; i++)
        total += connections[i].in_flight + connections[i].owed;
    return total;
}

/* Nothing came for a while. Over UDP that is loss, and what was in flight is asked anew. */
static void silence(bool asking)
{
    struct connection *connection = &connections[0];
    static int silences;
    static uint64_t replies_before;
    silences = replies == replies_before ? silences + 1 : 1;
    replies_before = replies;
    if (!udp || silences * LOSS_MS >= STALL_MS)
        fail("no reply for %d ms", STALL_MS);
    lost += connection->in_flight;
    connection->owed = asking ? connection->owed + connection->in_flight : 0;
    connection->in_flight = 0;
    transmit(connection);
}

/* What has come, waiting for it if need be; nothing after a long silence. */
static int await(struct epoll_event *events)
{
    int limit = udp ? LOSS_MS : STALL_MS;
    int count = epoll_wait(poller, events, MAX_CONNECTIONS, polls ? 0 : limit);
    if (!polls || count != 0)
        return count;
    double start = seconds_of(CLOCK_PROCESS_CPUTIME_ID), now = start;
    while (count == 0 && now - start < POLL_US / 1e6) {
        count = epoll_wait(poller, events, MAX_CONNECTIONS, 0);
        now = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    }
    polled += now - start;
    return count != 0 ? count : epoll_wait(poller, events, MAX_CONNECTIONS, limit);
}

/* Handle what has come, or wait for it. */
static void turn(bool asking)
{
    struct epoll_event events[MAX_CONNECTIONS];
    int count = await(events);
    if (count < 0 && errno != EINTR)
        fail("epoll_wait: %s", strerror(errno));
    if (count == 0)
        silence(asking);
    for (int i = 0; i < count; i++) {
        struct connection *connection = events[i].data.ptr;
        if (events[i].events & ~(uint32_t)EPOLLOUT)
            receive(connection, asking);
        transmit(connection);
    }
}

static void run_until(double end)
{
    while (seconds_of(CLOCK_MONOTONIC) < end)
        turn(true);
}

static void drain(void)
{
    while (total_in_flight() > 0)
        turn(false);
}

static void report(struct snapshot before, struct snapshot after)
{
    printf("{\"replies\": %llu, \"lost\": %llu, \"seconds\": %.6f, \"server_cpu\": %.6f, "
           "\"server_waited\": %.6f, \"generator_cpu\": %.6f}\n",
           (unsigned long long)(after.replies - before.replies),
           (unsigned long long)(after.lost - before.lost), after.at - before.at,
           after.server_cpu - before.server_cpu, after.server_waited - before.server_waited,
           after.own_cpu - before.own_cpu);
}

/* Run on one CPU only, alone if nobody else was told to. */
static void stay(size_t cpu)
{
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus))
        fail("cannot run on CPU %zu: %s", cpu, strerror(errno));
    polls = true;
}

int main(int argc, char **argv)
{
    if (argc != 11)
        fail("usage: load tcp|udp lines|boxes|datagrams PORT PID FILE CONNECTIONS DEPTH WARM "
             "SECONDS CPU|-");
    udp = strcmp(argv[1], "udp") == 0;
    boxes = strcmp(argv[2], "boxes") == 0;
    int port = (int)number(argv[3], "PORT", 1, 65535);
    server = (pid_t)number(argv[4], "PID", 1, 1 << 30);
    connection_count = (size_t)number(argv[6], "CONNECTIONS", 1, udp ? 1 : MAX_CONNECTIONS);
    depth = (size_t)number(argv[7], "DEPTH", 1, MAX_DEPTH);
    double warm = number(argv[8], "WARM", 0, 60), seconds = number(argv[9], "SECONDS", 0.01, 600);

    if (strcmp(argv[10], "-"))
        stay((size_t)number(argv[10], "CPU", 0, CPU_SETSIZE - 1));
    if (clock_getcpuclockid(server, &server_clock))
        fail("no process %d", (int)server);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        fail("epoll_create1: %s", strerror(errno));
    read_requests(argv[5]);
    for (size_t i = 0; i < connection_count; i++)
        open_connection(&connections[i], port, i * requests.count / connection_count);
    for (size_t i = 0; i < connection_count; i++)
        transmit(&connections[i]);

    double start = seconds_of(CLOCK_MONOTONIC);
    run_until(start + warm);
    struct snapshot before = take_snapshot();
    run_until(before.at + seconds);
    struct snapshot after = take_snapshot();
    drain();
    report(before, after);
    return 0;
}
