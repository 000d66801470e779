/* proxyproto: reader of PROXY protocol headers (haproxy doc/proxy-protocol.txt, sections 2.1
 * and 2.2).
 *
 * A listener's session calls it until it answers, before any other protocol sees a byte. Invariant:
 * it never looks past the header that it returns, whatever the header says about itself. */
#include "wire/proxyproto.h"

#include <arpa/inet.h>

#include "base/num.h"

#define MALFORMED (-1)

/* --- Version 1, section 2.1 --- */

/* Decimal without leading zeros, up to 65535. */
static bool parse_port(slice s, uint16_t *port_out)
{
    uint64_t port;
    if (s.n > 5 || (s.n > 1 && s.p[0] == '0') || !num_u64(s, &port) || port > UINT16_MAX)
        return false;
    *port_out = (uint16_t)port;
    return true;
}

/* inet_pton is as strict as section 2.1 asks: four plain decimal numbers, or RFC 4291 2.2. It wants
 * a C string. */
static bool parse_address(slice s, uint8_t family, uint8_t address_out[16])
{
    char text[INET6_ADDRSTRLEN];
    if (s.n == 0 || s.n >= sizeof text || slice_find(s, '\0') >= 0)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return inet_pton(family == 4 ? AF_INET : AF_INET6, text, address_out) == 1;
}

/* "TCP4 1.2.3.4 5.6.7.8 1000 80": exactly one space between the parts. */
static bool parse_line(slice line, struct proxyproto *out)
{
    slice word[5], rest = line;
    for (size_t i = 0; i < COUNT_OF(word); i++)
        if (!slice_cut(&rest, ' ', &word[i]))
            return false;
    if (rest.p)
        return false;
    if (slice_is(word[0], SLICE("TCP4")))
        out->family = 4;
    else if (slice_is(word[0], SLICE("TCP6")))
        out->family = 6;
    else
        return false;
    return parse_address(word[1], out->family, out->source) &&
           parse_address(word[2], out->family, out->destination) &&
           parse_port(word[3], &out->source_port) && parse_port(word[4], &out->destination_port);
}

static ssize_t parse_v1(slice in, struct proxyproto *out)
{
    slice head = slice_head(in, PROXYPROTO_V1_MAX);
    ssize_t newline = slice_find(head, '\n');
    if (newline < 0)
        return in.n >= PROXYPROTO_V1_MAX ? MALFORMED : 0;
    slice line = slice_head(head, (size_t)newline);
    if (!slice_has_suffix(line, SLICE("\r")))
        return MALFORMED;
    line.n--;
    line = slice_skip(line, strlen("PROXY "));
    /* "UNKNOWN": whatever follows on the line is to be ignored. */
    bool is_unknown = slice_is(line, SLICE("UNKNOWN")) || slice_has_prefix(line, SLICE("UNKNOWN "));
    if (!is_unknown && !parse_line(line, out))
        return MALFORMED;
    return newline + 1;
}

/* --- Version 2, section 2.2 --- */

#define V2_HEAD      16
#define TLV_HEAD     3
#define TLV_CRC32C   0x03
#define CRC32C_BYTES 4

enum { COMMAND_LOCAL, COMMAND_PROXY };
enum { FAMILY_UNSPEC, FAMILY_INET, FAMILY_INET6, FAMILY_UNIX, FAMILY_COUNT };
enum { TRANSPORT_UNSPEC, TRANSPORT_STREAM, TRANSPORT_DGRAM, TRANSPORT_COUNT };

static uint8_t byte_at(slice s, size_t at)
{
    return (uint8_t)s.p[at];
}

static uint16_t u16_at(slice s, size_t at)
{
    return (uint16_t)(byte_at(s, at) << 8 | byte_at(s, at + 1));
}

static uint32_t u32_at(slice s, size_t at)
{
    return (uint32_t)u16_at(s, at) << 16 | u16_at(s, at + 2);
}

/* CRC-32c (RFC 3720 12.1: polynomial 0x1EDC6F41, reflected). A bit at a time: it runs over a
 * header, once a connection. */
static uint32_t crc32c_step(uint32_t crc, uint8_t byte)
{
    crc ^= byte;
    for (int bit = 0; bit < 8; bit++)
        crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    return crc;
}

/* Section 2.2.4: over the whole header, with zeros where the sum itself stands. */
static bool crc32c_is_right(slice header, size_t sum_at)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < header.n; i++) {
        bool is_sum = i >= sum_at && i < sum_at + CRC32C_BYTES;
        crc = crc32c_step(crc, is_sum ? 0 : byte_at(header, i));
    }
    return ~crc == u32_at(header, sum_at);
}

/* Section 2.2.6: type, length (2 bytes), value; they must fill the header exactly. At most one
 * checksum. */
static bool check_tlvs(slice header, size_t at)
{
    bool has_sum = false;
    while (at < header.n) {
        if (header.n - at < TLV_HEAD)
            return false;
        uint8_t type = byte_at(header, at);
        size_t length = u16_at(header, at + 1);
        at += TLV_HEAD;
        if (header.n - at < length)
            return false;
        if (type == TLV_CRC32C) {
            if (has_sum || length != CRC32C_BYTES || !crc32c_is_right(header, at))
                return false;
            has_sum = true;
        }
        at += length;
    }
    return true;
}

/* The address block: both addresses, then both ports. */
static void take_addresses(slice block, size_t address_bytes, struct proxyproto *out)
{
    memcpy(out->source, block.p, address_bytes);
    memcpy(out->destination, block.p + address_bytes, address_bytes);
    out->source_port = u16_at(block, 2 * address_bytes);
    out->destination_port = u16_at(block, 2 * address_bytes + 2);
}

/* A complete header with the command PROXY. */
static bool parse_proxied(slice header, struct proxyproto *out)
{
    static const size_t block_bytes[FAMILY_COUNT] = {
        [FAMILY_INET] = 12, [FAMILY_INET6] = 36, [FAMILY_UNIX] = 216};
    unsigned family = byte_at(header, 13) >> 4, transport = byte_at(header, 13) & 15;
    if (family >= FAMILY_COUNT || transport >= TRANSPORT_COUNT)
        return false;
    /* UNSPEC: "the receiver should ignore the address information", and cannot know where TLVs
     * begin. */
    if (family == FAMILY_UNSPEC)
        return true;
    slice block = slice_skip(header, V2_HEAD);
    if (block.n < block_bytes[family] || !check_tlvs(header, V2_HEAD + block_bytes[family]))
        return false;
    if (transport != TRANSPORT_STREAM || family == FAMILY_UNIX)
        return true;
    out->family = family == FAMILY_INET ? 4 : 6;
    take_addresses(block, family == FAMILY_INET ? 4 : 16, out);
    return true;
}

/* [in] begins with the signature. */
static ssize_t parse_v2(slice in, struct proxyproto *out)
{
    if (in.n < V2_HEAD)
        return 0;
    unsigned version = byte_at(in, 12) >> 4, command = byte_at(in, 12) & 15;
    size_t bytes = V2_HEAD + u16_at(in, 14);
    if (version != 2 || command > COMMAND_PROXY || bytes > PROXYPROTO_MAX)
        return MALFORMED;
    if (in.n < bytes)
        return 0;
    /* LOCAL: "the receiver must accept this connection as valid and must discard the protocol
     * block". */
    out->is_local = command == COMMAND_LOCAL;
    if (command == COMMAND_PROXY && !parse_proxied(slice_head(in, bytes), out))
        return MALFORMED;
    return (ssize_t)bytes;
}

/* Does [in] begin with [signature], as far as it goes? */
static bool may_begin_with(slice in, slice signature)
{
    return slice_has_prefix(signature, slice_head(in, signature.n));
}

ssize_t proxyproto_parse(slice in, struct proxyproto *out)
{
    const slice v1 = SLICE("PROXY "), v2 = SLICE("\r\n\r\n\0\r\nQUIT\n");
    struct proxyproto result = {.family = 0};
    ssize_t n = MALFORMED;
    if (may_begin_with(in, v1))
        n = in.n < v1.n ? 0 : parse_v1(in, &result);
    else if (may_begin_with(in, v2))
        n = in.n < v2.n ? 0 : parse_v2(in, &result);
    if (n > 0)
        *out = result;
    return n;
}
