// SPDX-License-Identifier: BSD-2-Clause
// usage: late <microseconds>: holds each packet of netfilter queue 1 for so long, then lets it go
// on, in the same order. Less than a second. late.sh starts it.
#include <arpa/inet.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

enum { kRoom = 65536 };

struct held {
    uint32_t id;
    uint64_t due;  // ns
};

static struct held ring[kRoom];
static unsigned first, end;  // modulo kRoom
static uint64_t length;      // ns

static uint64_t now(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int hold(struct nfq_q_handle* queue, struct nfgenmsg* message, struct nfq_data* data,
                void* unused) {
    (void)queue, (void)message, (void)unused;
    const struct nfqnl_msg_packet_hdr* header = nfq_get_msg_packet_hdr(data);
    if (header == NULL || end - first == kRoom) abort();
    ring[end++ % kRoom] = (struct held){ntohl(header->packet_id), now() + length};
    return 0;
}

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    length = strtoull(argv[1], NULL, 10) * 1000;
    if (length >= 1000000000u) return 2;
    struct nfq_handle* handle = nfq_open();
    struct nfq_q_handle* queue = handle ? nfq_create_queue(handle, 1, hold, NULL) : NULL;
    if (queue == NULL || nfq_set_mode(queue, NFQNL_COPY_META, 0) < 0) {
        perror("late: netfilter queue");
        return 77;
    }
    nfq_set_queue_maxlen(queue, kRoom);
    puts("ready");
    fflush(stdout);
    static char buffer[1 << 16];
    for (;;) {
        struct timespec left = {60, 0};
        if (first != end) {
            const uint64_t due = ring[first % kRoom].due, time = now();
            left = (struct timespec){0, due > time ? (long)(due - time) : 0};
        }
        struct pollfd fd = {nfq_fd(handle), POLLIN, 0};
        if (ppoll(&fd, 1, &left, NULL) > 0) {
            const ssize_t size = recv(fd.fd, buffer, sizeof buffer, 0);
            if (size > 0) nfq_handle_packet(handle, buffer, (int)size);
        }
        while (first != end && ring[first % kRoom].due <= now())
            nfq_set_verdict(queue, ring[first++ % kRoom].id, NF_ACCEPT, 0, NULL);
    }
}
