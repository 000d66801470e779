/* crc32c: the Castagnoli checksum (iSCSI, RFC 3720 B.4): finds torn and rotten records. No
 * protection against an adversary, unless the start value is a secret of the file. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include "base/slice.h"

/* Of [s], going on from [crc]: 0 at the start, or the result for the bytes before. */
uint32_t crc32c(uint32_t crc, slice s);

#endif
