/* SPDX-License-Identifier: Apache-2.0 */
/* A zip file written from front to end: members deflated where that makes them smaller. Nothing of
 * the time or the machine is in it. */
#ifndef CLI_ZIP_WRITER_H
#define CLI_ZIP_WRITER_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { CLI_ZIP_MEMBERS = 16 };

typedef struct cli_zip_member {
    const char *name;
    uint32_t method, crc, packed, bytes, offset;
} cli_zip_member;
typedef struct cli_zip {
    FILE *stream; /* errors are seen where it is flushed */
    uint32_t n, offset;
    cli_zip_member members[CLI_ZIP_MEMBERS];
} cli_zip;

/* Names stay until the end; members have at most 2^30 bytes. */
void cli_zip_put(cli_zip *zip, const char *name, const char *bytes, size_t n);
void cli_zip_end(cli_zip *zip);

#endif
