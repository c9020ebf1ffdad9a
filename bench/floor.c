/*
 * The floor: the least a program can do to turn a packet ring into pcapng with rebuilt cooked headers.
 *
 *     floor INTERFACE FILE|-
 *
 * TPACKET_V3 on a SOCK_DGRAM socket, 64 ring blocks of 1 MiB; every packet becomes an enhanced packet block with
 * an SLL header and epb_flags, built in one buffer and given to write(2). One thread, no options, no care for disks.
 * On SIGINT it prints what it wrote and what the kernel dropped.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <fcntl.h>
#include <unistd.h>

enum {
    RING_BLOCK_SIZE = 1 << 20,
    RING_BLOCKS = 64,
    RETIRE_TIMEOUT_MS = 60,
    OUTPUT_SIZE = 4 << 20,
    LARGEST_BLOCK = 262144,
    SLL_SIZE = 16,
    LINKTYPE_LINUX_SLL = 113,
};

static volatile sig_atomic_t stopped;
static unsigned char output[OUTPUT_SIZE];
static size_t used;
static unsigned long long written;
static int out;

static void stop(int number) { (void)number; stopped = 1; }

static void fail(const char *what) { perror(what); exit(1); }

static void flush(void)
{
    for (size_t at = 0; at < used;) {
        ssize_t n = write(out, output + at, used - at);
        if (n < 0)
            fail("write");
        at += n;
    }
    used = 0;
}

static void put32(unsigned char *at, uint32_t value) { memcpy(at, &value, 4); }
static void put16be(unsigned char *at, uint16_t value) { value = htons(value); memcpy(at, &value, 2); }

static void put_head(void)
{
    static const uint32_t head[] = {
        0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0xFFFFFFFF, 0xFFFFFFFF, 28,                 /* section header */
        1, 32, LINKTYPE_LINUX_SLL, 262144, 1 << 16 | 9, 9, 0, 32,                  /* interface, if_tsresol 9 */
    };
    memcpy(output, head, sizeof head);
    used = sizeof head;
}

static void put_packet(const struct tpacket3_hdr *header)
{
    static const uint32_t reception[] = {1 | 1 << 2, 1 | 3 << 2, 1 | 2 << 2, 1 | 4 << 2, 2};
    const struct sockaddr_ll *address = (const void *)((const char *)header + TPACKET_ALIGN(sizeof *header));
    uint32_t payload = header->tp_snaplen, captured = payload + SLL_SIZE, padded = (captured + 3) & ~3u;
    uint32_t total = 28 + padded + 12 + 4;
    uint64_t time = header->tp_sec * 1000000000ull + header->tp_nsec;
    unsigned char *at = output + used;

    put32(at, 6);
    put32(at + 4, total);
    put32(at + 8, 0);
    put32(at + 12, time >> 32);
    put32(at + 16, (uint32_t)time);
    put32(at + 20, captured);
    put32(at + 24, header->tp_len + SLL_SIZE);
    put16be(at + 28, address->sll_pkttype);
    put16be(at + 30, address->sll_hatype);
    put16be(at + 32, address->sll_halen);
    memcpy(at + 34, address->sll_addr, 8);
    memcpy(at + 42, &address->sll_protocol, 2);
    memcpy(at + 44, (const char *)header + header->tp_net, payload);
    memset(at + 28 + captured, 0, padded - captured);
    at += 28 + padded;
    put32(at, 4 << 16 | 2);
    put32(at + 4, address->sll_pkttype <= 4 ? reception[address->sll_pkttype] : 0);
    put32(at + 8, 0);
    put32(at + 12, total);
    used += total;
    written++;
}

int main(int count, char **argument)
{
    if (count != 3)
        return 2;
    out = strcmp(argument[2], "-") ? open(argument[2], O_WRONLY | O_CREAT | O_TRUNC, 0644) : 1;
    if (out < 0)
        fail(argument[2]);
    int fd = socket(AF_PACKET, SOCK_DGRAM, 0), version = TPACKET_V3;
    struct tpacket_req3 ring = {
        .tp_block_size = RING_BLOCK_SIZE, .tp_block_nr = RING_BLOCKS, .tp_frame_size = 2048,
        .tp_frame_nr = RING_BLOCK_SIZE / 2048 * RING_BLOCKS, .tp_retire_blk_tov = RETIRE_TIMEOUT_MS,
    };
    struct sockaddr_ll link = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = if_nametoindex(argument[1]),
    };
    if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version)
        || setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring))
        fail("packet ring");
    char *map = mmap(NULL, (size_t)RING_BLOCK_SIZE * RING_BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        fail("mmap");
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGINT, &action, NULL);
    put_head();
    if (bind(fd, (struct sockaddr *)&link, sizeof link))
        fail("bind");

    for (unsigned current = 0; !stopped;) {
        struct tpacket_block_desc *block = (void *)(map + (size_t)current * RING_BLOCK_SIZE);
        if (!(__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) {
            flush();
            poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, -1);
            continue;
        }
        char *packet = (char *)block + block->hdr.bh1.offset_to_first_pkt;
        for (uint32_t left = block->hdr.bh1.num_pkts; left; left--) {
            if (used > OUTPUT_SIZE - LARGEST_BLOCK)
                flush();
            put_packet((struct tpacket3_hdr *)packet);
            packet += ((struct tpacket3_hdr *)packet)->tp_next_offset;
        }
        __atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        current = (current + 1) % RING_BLOCKS;
    }
    flush();
    struct tpacket_stats_v3 statistics;
    socklen_t size = sizeof statistics;
    getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &size);
    fprintf(stderr, "%llu packets written, %u dropped by kernel\n", written, statistics.tp_drops);
    return 0;
}
