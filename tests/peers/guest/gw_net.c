// SPDX-License-Identifier: BSD-3-Clause
//
// gw net, gw vsock: what is sent must come back unchanged.
//
// net sends numbered Ethernet frames that the backend is expected to send
// back with the addresses swapped (testpmd --forward-mode=macswap). A frame
// may be lost, as on any network; it must not come back changed or twice.
// vsock opens streams to the host, which echoes every byte.
#include "gw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/vm_sockets.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
	ETHERTYPE = 0x88b5, // IEEE: for local experiments
	PAYLOAD_MIN = 48,
	PAYLOAD_MAX = 1496, // a multiple of 8 within an MTU of 1500
	WINDOW_MAX = 1024,
	// Silence for so long while frames are under way means they are lost.
	LOST_AFTER_MS = 2000,
	VSOCK_MESSAGE = 4096,
};

struct frame {
	struct ether_header ethernet;
	// Keeps the payload's words aligned.
	uint16_t pad;
	uint64_t payload[PAYLOAD_MAX / 8];
};

static struct {
	int fd;
	unsigned long window;
	unsigned char address[ETH_ALEN];
	uint64_t next;               // sequence of the next frame to send
	uint64_t flying[WINDOW_MAX]; // sequence + 1 by slot, 0: free
	unsigned long count;
} net;

static size_t payload_size(uint64_t sequence)
{
	return PAYLOAD_MIN + sequence * 8 % (PAYLOAD_MAX - PAYLOAD_MIN + 8);
}

static bool send_frame(void)
{
	static const unsigned char peer[ETH_ALEN] = {0x02, 0, 0, 0, 0, 0x99};
	struct frame frame = {.pad = 0};
	size_t header = offsetof(struct frame, payload);
	size_t size = payload_size(net.next);

	memcpy(frame.ethernet.ether_dhost, peer, ETH_ALEN);
	memcpy(frame.ethernet.ether_shost, net.address, ETH_ALEN);
	frame.ethernet.ether_type = htons(ETHERTYPE);
	gw_fill(frame.payload, size, net.next, net.next);
	if (send(net.fd, &frame, header + size, MSG_DONTWAIT) < 0)
		return false;
	net.flying[net.next % net.window] = net.next + 1;
	net.next++;
	net.count++;
	return true;
}

static void take_frame(const struct frame *frame, size_t length)
{
	uint64_t sequence = frame->payload[0];
	uint64_t *slot = &net.flying[sequence % net.window];
	size_t header = offsetof(struct frame, payload);

	// An old one, given up on before: counted as lost, and nothing more.
	if (*slot != sequence + 1) {
		if (sequence >= net.next)
			gw_wrong("BADFRAME sequence=%lu was never sent", (unsigned long)sequence);
		return;
	}
	*slot = 0;
	net.count--;
	if (length < header + payload_size(sequence) ||
	    !gw_check(frame->payload, payload_size(sequence), sequence, sequence)) {
		gw_wrong("BADFRAME sequence=%lu length=%zu", (unsigned long)sequence, length);
		return;
	}
	atomic_fetch_add(&gw_done, 1);
	atomic_fetch_add(&gw_verified, 1);
	atomic_fetch_add(&gw_bytes, length);
}

static void give_up(void)
{
	atomic_fetch_add(&gw_lost, net.count);
	net.count = 0;
	memset(net.flying, 0, sizeof(net.flying));
}

static bool slot_free(void)
{
	return net.flying[net.next % net.window] == 0;
}

static void *net_main(void *unused)
{
	struct frame frame;
	ssize_t length;
	uint64_t heard = gw_now_us();

	(void)unused;
	// At the end what is still under way is awaited.
	while (!atomic_load(&gw_stop) || net.count > 0) {
		while (!atomic_load(&gw_stop) && net.count < net.window && slot_free())
			if (!send_frame())
				break;
		length = recv(net.fd, &frame, sizeof(frame), 0);
		if (length >= (ssize_t)(offsetof(struct frame, payload) + PAYLOAD_MIN)) {
			take_frame(&frame, (size_t)length);
			heard = gw_now_us();
		} else if (gw_now_us() - heard > LOST_AFTER_MS * 1000ull) {
			give_up();
			heard = gw_now_us();
		}
	}
	return NULL;
}

static bool net_start(int argc, char **argv)
{
	struct sockaddr_ll address = {
	    .sll_family = AF_PACKET,
	    .sll_protocol = htons(ETHERTYPE),
	};
	struct timeval wait = {.tv_usec = 100000};
	struct ifreq request = {0};

	if (argc < 2) {
		gw_say("usage: gw net %s", gw_net.usage);
		return false;
	}
	net.window = strtoul(argv[1], NULL, 10);
	if (net.window == 0 || net.window > WINDOW_MAX) {
		gw_say("gw: window %s: 1 to %d frames", argv[1], WINDOW_MAX);
		return false;
	}
	net.fd = socket(AF_PACKET, SOCK_RAW, htons(ETHERTYPE));
	strncpy(request.ifr_name, argv[0], sizeof(request.ifr_name) - 1);
	if (net.fd < 0 || ioctl(net.fd, SIOCGIFHWADDR, &request) != 0) {
		gw_say("gw: %s: %s", argv[0], strerror(errno));
		return false;
	}
	memcpy(net.address, request.ifr_hwaddr.sa_data, ETH_ALEN);
	request.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(net.fd, SIOCSIFFLAGS, &request) != 0 ||
	    ioctl(net.fd, SIOCGIFINDEX, &request) != 0) {
		gw_say("gw: %s up: %s", argv[0], strerror(errno));
		return false;
	}
	address.sll_ifindex = request.ifr_ifindex;
	setsockopt(net.fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (bind(net.fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		gw_say("gw: bind to %s: %s", argv[0], strerror(errno));
		return false;
	}
	return gw_thread(net_main, NULL);
}

// Every frame was checked when it came.
static bool net_verify(void)
{
	return true;
}

static bool move_all(int fd, bool is_send, char *bytes, size_t size)
{
	ssize_t moved;

	while (size > 0) {
		moved = is_send ? send(fd, bytes, size, MSG_NOSIGNAL) : recv(fd, bytes, size, 0);
		if (moved <= 0) {
			gw_wrong("IOERROR vsock %s: %s", is_send ? "send" : "receive",
				 moved < 0 ? strerror(errno) : "closed by the host");
			return false;
		}
		bytes += moved;
		size -= (size_t)moved;
	}
	return true;
}

static void *vsock_main(void *argument)
{
	static atomic_ulong streams;
	uint64_t which = atomic_fetch_add(&streams, 1), sequence = 0;
	char message[VSOCK_MESSAGE] __attribute__((aligned(8)));
	struct sockaddr_vm address = {
	    .svm_family = AF_VSOCK,
	    .svm_cid = VMADDR_CID_HOST,
	    .svm_port = (unsigned int)(uintptr_t)argument,
	};
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		gw_wrong("IOERROR vsock connect to port %u: %s", address.svm_port, strerror(errno));
		return NULL;
	}
	while (!atomic_load(&gw_stop)) {
		gw_fill(message, sizeof(message), which, ++sequence);
		if (!move_all(fd, true, message, sizeof(message)))
			break;
		memset(message, 0xa5, sizeof(message));
		if (!move_all(fd, false, message, sizeof(message)))
			break;
		if (!gw_check(message, sizeof(message), which, sequence)) {
			gw_wrong("BADFRAME stream=%lu sequence=%lu", (unsigned long)which,
				 (unsigned long)sequence);
			break;
		}
		atomic_fetch_add(&gw_done, 1);
		atomic_fetch_add(&gw_verified, 1);
		atomic_fetch_add(&gw_bytes, 2 * sizeof(message));
	}
	close(fd);
	return NULL;
}

static bool vsock_start(int argc, char **argv)
{
	unsigned long port, streams;

	if (argc < 2) {
		gw_say("usage: gw vsock %s", gw_vsock.usage);
		return false;
	}
	port = strtoul(argv[0], NULL, 10);
	streams = strtoul(argv[1], NULL, 10);
	for (unsigned long i = 0; i < streams; i++)
		if (!gw_thread(vsock_main, (void *)(uintptr_t)port))
			return false;
	return streams > 0;
}

const struct gw_work gw_net = {"net", "IFACE WINDOW", net_start, net_verify};
const struct gw_work gw_vsock = {"vsock", "PORT STREAMS", vsock_start, net_verify};
