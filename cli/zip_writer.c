/* SPDX-License-Identifier: Apache-2.0 */
/* Zip files as PKWARE's APPNOTE describes them, without extra fields. */
#include "zip_writer.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "cli.h"

enum {
    LOCAL = 0x04034b50,
    CENTRAL = 0x02014b50,
    END = 0x06054b50,
    VERSION = 20,      /* deflate */
    UNIX = 3 << 8,     /* whose attributes these are */
    DATE = 1 << 5 | 1, /* 1 January 1980 */
    DEFLATED = 8,
    MOST_BYTES = 1 << 30
};

/* n bytes, the lowest first. */
static void put(cli_zip *zip, uint32_t value, int n)
{
    for (int i = 0; i < n; i++) putc((int)(value >> (8 * i) & 255), zip->stream);
    zip->offset += (uint32_t)n;
}

static void put_bytes(cli_zip *zip, const void *bytes, uint32_t n)
{
    (void)fwrite(bytes, 1, n, zip->stream);
    zip->offset += n;
}

/* What the local header and the central directory say alike. */
static void put_facts(cli_zip *zip, const cli_zip_member *m)
{
    put(zip, 0, 2); /* flags */
    put(zip, m->method, 2);
    put(zip, 0, 2); /* time */
    put(zip, DATE, 2);
    put(zip, m->crc, 4);
    put(zip, m->packed, 4);
    put(zip, m->bytes, 4);
    put(zip, (uint32_t)strlen(m->name), 2);
    put(zip, 0, 2); /* extra field */
}

/* Bytes of the deflated member in `to`; 0: it is not smaller. */
static uint32_t squeeze(const char *bytes, uint32_t n, unsigned char *to)
{
    z_stream z = {0};
    if (n < 2 || deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, -MAX_WBITS, MAX_MEM_LEVEL,
                              Z_DEFAULT_STRATEGY) != Z_OK)
        return 0;
    z.next_in = (Bytef *)(uintptr_t)bytes;
    z.avail_in = n;
    z.next_out = to;
    z.avail_out = n - 1;
    const int end = deflate(&z, Z_FINISH);
    const uint32_t used = n - 1 - z.avail_out;
    (void)deflateEnd(&z);
    return end == Z_STREAM_END ? used : 0;
}

void cli_zip_put(cli_zip *zip, const char *name, const char *bytes, size_t n)
{
    if (n > MOST_BYTES || zip->n == CLI_ZIP_MEMBERS)
        cli_die(CLI_FAILED, "%s: too large for a zip file", name);
    cli_zip_member *m = &zip->members[zip->n++];
    unsigned char *packed = cli_allocate(NULL, n);
    const uint32_t all = (uint32_t)n, small = squeeze(bytes, all, packed);
    *m = (cli_zip_member){.name = name,
                          .method = small ? DEFLATED : 0,
                          .crc = (uint32_t)crc32(0, (const Bytef *)bytes, all),
                          .packed = small ? small : all,
                          .bytes = all,
                          .offset = zip->offset};
    put(zip, LOCAL, 4);
    put(zip, VERSION, 2);
    put_facts(zip, m);
    put_bytes(zip, name, (uint32_t)strlen(name));
    put_bytes(zip, small ? (const void *)packed : bytes, m->packed);
    free(packed);
}

void cli_zip_end(cli_zip *zip)
{
    const uint32_t from = zip->offset;
    for (uint32_t i = 0; i < zip->n; i++) {
        const cli_zip_member *m = &zip->members[i];
        put(zip, CENTRAL, 4);
        put(zip, UNIX | VERSION, 2);
        put(zip, VERSION, 2);
        put_facts(zip, m);
        put(zip, 0, 2);              /* comment */
        put(zip, 0, 2);              /* disk */
        put(zip, 1, 2);              /* text */
        put(zip, 0100644u << 16, 4); /* a file that all may read */
        put(zip, m->offset, 4);
        put_bytes(zip, m->name, (uint32_t)strlen(m->name));
    }
    const uint32_t bytes = zip->offset - from;
    put(zip, END, 4);
    put(zip, 0, 4); /* disks */
    put(zip, zip->n, 2);
    put(zip, zip->n, 2);
    put(zip, bytes, 4);
    put(zip, from, 4);
    put(zip, 0, 2); /* comment */
}
